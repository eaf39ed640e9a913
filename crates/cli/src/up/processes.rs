//! The children of `tenantry up`.

use std::{
    env,
    ffi::OsString,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use futures::future::{join_all, select_all};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use super::{
    DataDir, UpError,
    error::{Ended, Status},
    log::Log,
    start::now,
};

/// How long a child may take to stop before it is killed. Longer than both take by default.
pub(super) const GRACE: Duration = Duration::from_secs(10);

const ROOT_TOKEN: &str = "TENANTRY_ROOT_TOKEN";

/// A program that belongs to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    ControlPlane,
    Proxy,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => "tenantry-control-plane",
            Self::Proxy => "tenantry-proxy",
        }
    }

    fn log(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane.log",
            Self::Proxy => "proxy.log",
        }
    }
}

/// The children.
pub(super) struct Processes {
    itself: PathBuf,
    directory: PathBuf,
    logs: PathBuf,
    root_token: Option<String>,
    running: Vec<Process>,
}

struct Process {
    program: Program,
    began: Instant,
    child: Child,
    log: Log,
}

impl Processes {
    /// None yet. Both programs must stand beside this one.
    pub(super) fn new(data_dir: &DataDir, root_token: Option<&str>) -> Result<Self, UpError> {
        let itself = env::current_exe().map_err(UpError::Itself)?;
        let directory = itself.parent().map(PathBuf::from).unwrap_or_default();
        for program in [Program::ControlPlane, Program::Proxy] {
            if !directory.join(program.name()).is_file() {
                return Err(UpError::NoProgram { name: program.name(), directory });
            }
        }
        let (logs, root_token) = (data_dir.path().to_owned(), root_token.map(str::to_owned));
        Ok(Self { itself, directory, logs, root_token, running: Vec::new() })
    }

    /// Starts a program.
    pub(super) fn start(
        &mut self,
        program: Program,
        arguments: Vec<OsString>,
    ) -> Result<(), UpError> {
        let name = program.name();
        let spawn = || -> io::Result<Process> {
            let (log, out, err) = Log::open(self.logs.join(program.log()))?;
            let mut command = Command::new(&self.itself);
            command.arg("run-child").arg(std::process::id().to_string()).arg("--");
            command.arg(self.directory.join(name)).args(arguments);
            match (program, &self.root_token) {
                (Program::ControlPlane, Some(token)) => command.env(ROOT_TOKEN, token),
                // The proxy has no use for it.
                _ => command.env_remove(ROOT_TOKEN),
            };
            command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
            let child = command.kill_on_drop(true).spawn()?;
            Ok(Process { program, began: now(), child, log })
        };
        let process = spawn().map_err(|source| UpError::Spawn { name, source })?;
        self.running.push(process);
        Ok(())
    }

    /// Waits for something that can only come while all children live.
    pub(super) async fn while_alive<T>(
        &mut self,
        awaited: impl Future<Output = T>,
    ) -> Result<T, UpError> {
        tokio::select! {
            biased;
            (_, ended) = self.ended("while it was starting") => Err(UpError::Ended(Box::new(ended))),
            done = awaited => Ok(done),
        }
    }

    /// Waits until a child ends by itself; it is none of them any more then.
    pub(super) async fn next_end(&mut self) -> Ended {
        let (index, ended) = self.ended("while it was running").await;
        self.running.remove(index);
        ended
    }

    async fn ended(&mut self, when: &'static str) -> (usize, Ended) {
        if self.running.is_empty() {
            return std::future::pending().await;
        }
        let waits = self.running.iter_mut().map(|process| Box::pin(process.ended(when)));
        let (ended, index, _) = select_all(waits).await;
        (index, ended)
    }

    /// Stops all children: asks them, waits for a while or until `impatience`, then kills.
    pub(super) async fn stop(&mut self, impatience: impl Future<Output = ()>) {
        for process in &self.running {
            process.terminate();
        }
        let all = join_all(self.running.iter_mut().map(|process| process.child.wait()));
        tokio::select! {
            _ = all => {}
            () = tokio::time::sleep(GRACE) => {}
            () = impatience => {}
        }
        // Does nothing to those that have ended.
        join_all(self.running.iter_mut().map(|process| process.child.kill())).await;
        self.running.clear();
    }
}

impl Process {
    async fn ended(&mut self, when: &'static str) -> Ended {
        let status: io::Result<ExitStatus> = self.child.wait().await;
        Ended {
            program: self.program,
            name: self.program.name(),
            when,
            ran: self.began.elapsed(),
            status: Status(status),
            log: self.log.path.clone(),
            last_lines: self.log.last_lines(),
        }
    }

    /// A child without an id has ended, and its id may be another's by now.
    fn terminate(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // If it cannot be asked it is killed soon.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}
