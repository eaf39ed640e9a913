//! Small file systems of their own, for tests that fill them up or cut their power.
//!
//! They are mounted in a mount namespace that only the calling thread and what it starts from then on
//! belong to. So nobody else sees them, and the system takes them away with the last of these
//! processes, however they end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

/// Why this machine cannot run a test that needs to mount something.
pub type CannotMount = String;

/// How often a disk that is not at rest is copied anew.
const COPIES: usize = 50;

/// A mounted file system. It is unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    mounted_on: PathBuf,
    /// What is mounted, if it is a file.
    image: Option<PathBuf>,
}

impl Disk {
    /// In memory, of so many MiB.
    ///
    /// # Errors
    /// If this machine does not allow it.
    pub fn in_memory(on: &Path, mib: u32) -> Result<Self, CannotMount> {
        make_namespace()?;
        let size = format!("size={mib}m,mode=0700");
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], on)?;
        Ok(Self { mounted_on: on.to_owned(), image: None })
    }

    /// An ext4 in a new image file, through a loop device.
    ///
    /// # Errors
    /// If this machine does not allow it.
    pub fn in_file(image: &Path, mib: u64, on: &Path) -> Result<Self, CannotMount> {
        make_namespace()?;
        let file = fs::File::create(image).map_err(|error| error.to_string())?;
        file.set_len(mib << 20).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", &text(image)])?;
        Self::of_file(image, on)
    }

    /// The ext4 in an image file. Its journal is written when somebody syncs, and otherwise not for
    /// minutes.
    ///
    /// # Errors
    /// If this machine does not allow it.
    pub fn of_file(image: &Path, on: &Path) -> Result<Self, CannotMount> {
        mount(&["-t", "ext4", "-o", "loop,commit=600", &text(image)], on)?;
        Ok(Self { mounted_on: on.to_owned(), image: Some(image.to_owned()) })
    }

    /// Copies the image as the disk is: without what the system holds in memory and has not written
    /// yet, as after a power cut. Nobody may be writing; what is still on its way is waited for.
    ///
    /// # Panics
    /// If it cannot be copied, or does not come to rest.
    pub fn copy_as_it_is(&self, to: &Path) {
        let image = self.image.as_ref().expect("a disk in a file");
        for _ in 0..COPIES {
            let before = self.requests();
            fs::copy(image, to).expect("the image can be copied");
            if self.requests() == before {
                return;
            }
        }
        panic!("the disk does not come to rest");
    }

    /// What the device has done so far, and has under way.
    fn requests(&self) -> Vec<String> {
        // Of this thread, because it may be in another namespace than the first one.
        let mounts =
            fs::read_to_string("/proc/thread-self/mounts").expect("Linux tells the mounts");
        let on = text(&self.mounted_on);
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(on.as_str()));
        let device = line.and_then(|line| line.strip_prefix("/dev/")?.split(' ').next());
        let device = device.expect("it is mounted");
        let stat = fs::read_to_string(format!("/sys/block/{device}/stat"));
        let stat = stat.expect("Linux tells what a device does");
        let fields: Vec<_> = stat.split_whitespace().map(str::to_owned).collect();
        // Writes done, sectors written, in progress, flushes done; the others are times and reads.
        [4, 6, 8, 15].into_iter().filter_map(|field| fields.get(field).cloned()).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let on = text(&self.mounted_on);
        if let Err(error) = run("umount", &[&on]) {
            // Busy, if a test failed and left something running; it goes when that ends.
            eprintln!("{error}");
            let _ = run("umount", &["--lazy", &on]);
        }
    }
}

/// Takes the calling thread, and what it starts from now on, out of everybody's sight.
fn make_namespace() -> Result<(), CannotMount> {
    if !geteuid().is_root() {
        return Err("only root may mount file systems, and this is not root".to_owned());
    }
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| format!("this machine allows no mount namespace of its own: {error}"))?;
    run("mount", &["--make-rprivate", "/"])
}

fn mount(what: &[&str], on: &Path) -> Result<(), CannotMount> {
    fs::create_dir_all(on).map_err(|error| error.to_string())?;
    run("mount", &[what, &[&text(on)]].concat())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) -> Result<(), CannotMount> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{program} {}: {said}", arguments.join(" ")))
}
