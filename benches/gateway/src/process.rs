//! Programs that are run beside each other, each on a core of its own.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::account;

/// How long a program may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// What is to be run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Launch {
    pub(crate) fn new<A: ToString>(
        program: impl AsRef<Path>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: arguments.into_iter().map(|argument| argument.to_string()).collect(),
            environment: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts it on some cores. What it prints goes to a file beside its other files.
    pub(crate) fn start(&self, cores: &[usize], directory: &Path) -> anyhow::Result<Running> {
        let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = directory.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        // It ends with this program, even if that is killed.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", &cores.join(",")])
            .arg(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Running { name, child, log })
    }
}

/// A program that runs. It ends, with all it started, when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Its process and those that it started.
    pub(crate) fn family(&self) -> Vec<u32> {
        account::family(self.child.id())
    }

    /// Tells it something.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(pid(self.child.id())?, signal).with_context(|| format!("{} is gone", self.name))
    }

    /// Fails if it has ended, and says with which words.
    pub(crate) fn must_run(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let printed = fs::read_to_string(&self.log).unwrap_or_default();
            let end = printed.len().saturating_sub(4000);
            let end = (end..=printed.len()).find_map(|at| printed.get(at..)).unwrap_or_default();
            anyhow::bail!("{} has ended with {status}; it printed:\n{end}", self.name);
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has; what does not end by itself is killed.
    fn end(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        let family = self.family();
        let _ = self.signal(Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            thread::sleep(LOOK);
        }
        // Those that are gone are not meant: a process id is not used again so soon.
        for member in family {
            let _ = pid(member).map(|member| kill(member, Signal::SIGKILL));
        }
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn pid(id: u32) -> anyhow::Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(id)?))
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn output<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> anyhow::Result<String> {
    let name = program.display();
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{name} cannot be run"))?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).trim().to_owned();
    anyhow::ensure!(output.status.success(), "{name} failed: {printed}");
    Ok(printed)
}
