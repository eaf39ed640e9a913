//! Processes under test.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::eventually;

/// The path of a program of this workspace, built beside the tests.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("tests are in target/<profile>/deps");
    let binary = profile.join(name);
    assert!(
        binary.is_file(),
        "{} is missing: build the workspace's binaries first",
        binary.display()
    );
    binary
}

/// A running program. It is killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program of this workspace. What it prints goes to a file in `directory`. The
    /// environment is empty but for `PATH` and `env`, so that a developer's own settings do not matter.
    #[must_use]
    pub fn start(name: &str, arguments: &[String], env: &[(&str, &str)], directory: &Path) -> Self {
        Self::spawn(name, Command::new(binary(name)), arguments, env, directory)
    }

    /// The same, run by another program with arguments of its own; that has to become the program in the end, or
    /// to be it.
    #[must_use]
    pub fn start_under(
        tool: &[String],
        name: &str,
        arguments: &[String],
        env: &[(&str, &str)],
        directory: &Path,
    ) -> Self {
        let Some((program, options)) = tool.split_first() else {
            return Self::start(name, arguments, env, directory);
        };
        let mut command = Command::new(program);
        command.args(options).arg(binary(name));
        Self::spawn(name, command, arguments, env, directory)
    }

    /// The same with files that cannot grow beyond so many KiB, for it and for what it starts: a write
    /// beyond that fails as one to a full disk does. [`lift_file_limit`](Self::lift_file_limit) makes
    /// space.
    #[must_use]
    pub fn start_with_file_limit(
        name: &str,
        arguments: &[String],
        kib: u32,
        directory: &Path,
    ) -> Self {
        // Without the trap the first write too many would kill the process instead of failing.
        let script = "trap '' XFSZ; ulimit -S -f \"$1\"; shift; exec \"$@\"";
        let mut shell = Command::new("bash");
        shell.args(["-c", script, "bash", &kib.to_string()]).arg(binary(name));
        Self::spawn(name, shell, arguments, &[], directory)
    }

    /// From now on what it starts may write files of any size.
    pub fn lift_file_limit(&self) {
        let pid = self.pid().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
        assert!(lifted.expect("prlimit runs").success());
    }

    fn spawn(
        name: &str,
        mut command: Command,
        arguments: &[String],
        env: &[(&str, &str)],
        directory: &Path,
    ) -> Self {
        let log = directory.join(format!("{name}.test.log"));
        put_aside(&log);
        let output = |log: &Path| -> File {
            OpenOptions::new().create(true).append(true).open(log).expect("the log can be written")
        };
        let child = command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .envs(env.iter().copied())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output(&log))
            .stderr(output(&log))
            .spawn()
            .expect("the program starts");
        Self { name: name.to_owned(), child, log }
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ends");
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn terminate(mut self) -> ExitStatus {
        self.ask_to_end();
        self.exit().await
    }

    /// Asks it to end (SIGTERM).
    pub fn ask_to_end(&self) {
        kill(self.pid(), Signal::SIGTERM).expect("it was running");
    }

    /// Tells it that its terminal is gone (SIGHUP), which servers take as "open your files anew".
    pub fn hang_up(&self) {
        kill(self.pid(), Signal::SIGHUP).expect("it was running");
    }

    /// Waits until it ends by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let what = format!("{} ends; it printed:\n{}", self.name, self.printed());
        eventually(&what, async || self.child.try_wait().expect("it can be waited for")).await
    }

    /// Stops it where it is (SIGSTOP), until it is killed.
    pub fn freeze(&self) {
        kill(self.pid(), Signal::SIGSTOP).expect("it was running");
    }

    /// Crashes the child of it that runs this program, and returns which one that was.
    pub async fn kill_child(&self, program: &str) -> Pid {
        let child =
            eventually(&format!("{program} runs"), async || self.child_running(program)).await;
        kill(child, Signal::SIGKILL).expect("it was running");
        child
    }

    /// The child of it that runs this program.
    #[must_use]
    pub fn child_running(&self, program: &str) -> Option<Pid> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let mut children = children.split_whitespace().filter_map(|child| child.parse().ok());
        let runs = |child: &i32| {
            let executable = fs::read_link(format!("/proc/{child}/exe"));
            executable.is_ok_and(|path| path.file_name().is_some_and(|name| name == program))
        };
        children.find(runs).map(Pid::from_raw)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// The most memory that it ever had at once, in KiB.
    #[must_use]
    pub fn peak_memory_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that it has now, in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse().ok());
        kib.expect("Linux tells how much memory a process has")
    }

    /// Everything it printed.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What the kernel knows it by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are small"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let earlier = fs::read_to_string(earlier(&self.log)).unwrap_or_default();
            eprintln!("--- {} printed:\n{earlier}{}", self.name, self.printed());
        }
    }
}

/// What an earlier run printed says nothing about this one, but much to whoever looks for why a test fails.
fn put_aside(log: &Path) {
    let Ok(printed) = fs::read(log) else { return };
    let all = OpenOptions::new().create(true).append(true).open(earlier(log));
    let mut all = all.expect("the log can be put aside");
    all.write_all(&printed)
        .and_then(|()| all.write_all(b"--- and then:\n"))
        .expect("it is written");
    fs::remove_file(log).expect("the log can be put aside");
}

fn earlier(log: &Path) -> PathBuf {
    log.with_extension("earlier.log")
}
