//! Why `tenantry up` did not start, or did not go on.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use super::processes::Program;
use crate::error::CliError;

/// Why `tenantry up` did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    #[error("the data directory {} cannot be used; choose another with --data-dir", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error("another `tenantry up` is running on the data directory {}; stop it, or choose another with --data-dir", path.display())]
    Busy { path: PathBuf },
    #[error("there is no {name} in {}, where tenantry is; build or install all three programs together", directory.display())]
    NoProgram { name: &'static str, directory: PathBuf },
    #[error("{name} cannot be started")]
    Spawn { name: &'static str, source: io::Error },
    #[error("{} ended {} ({})", .0.name, .0.when, .0.status)]
    Ended(Box<Ended>),
    #[error("{} ended {times} times in a row soon after its start ({}), and is not started again: the end of its log says why", .ended.name, .ended.status)]
    GaveUp { times: u32, ended: Box<Ended> },
    #[error("control plane and proxy were not ready in time; their logs are in {}", log_dir.display())]
    Slow { log_dir: PathBuf },
    #[error("stop signals cannot be listened for")]
    Signals(#[source] io::Error),
    #[error("this program does not know where it is")]
    Itself(#[source] io::Error),
    #[error("the demo's origin server cannot be started")]
    Origin(#[source] io::Error),
    #[error("the demo cannot be described")]
    DemoFile(#[source] serde_json::Error),
    #[error("the demo's key cannot be made")]
    DemoKey(#[source] tenantry_credentials::signing::SeedError),
    #[error("the data directory {} has tenants that are not the demo's; choose another with --data-dir, or leave out --demo", path.display())]
    NotTheDemos { path: PathBuf },
    #[error("the demo cannot be set up: {0}")]
    Demo(Box<CliError>),
}

/// A child that ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(super) program: Program,
    pub(crate) name: &'static str,
    pub(crate) when: &'static str,
    pub(crate) status: Status,
    /// For how long it ran.
    pub(crate) ran: Duration,
    pub(crate) log: PathBuf,
    pub(crate) last_lines: Vec<String>,
}

/// How a child ended, if the system could say.
#[derive(Debug)]
pub(crate) struct Status(pub(crate) io::Result<ExitStatus>);

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Ok(status) => status.fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}

impl From<CliError> for UpError {
    fn from(error: CliError) -> Self {
        Self::Demo(Box::new(error))
    }
}
