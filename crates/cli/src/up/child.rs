//! A child that cannot outlive its parent.
//!
//! Linux sends a process a signal when the thread that started it ends (`PR_SET_PDEATHSIG`), however
//! it ends. Only the process itself can ask for that, and between fork and exec only with unsafe
//! code. But the request survives an exec. So this program starts *itself* first; that copy asks for
//! the signal, checks that the parent was not gone before it asked, and becomes the real program,
//! under the same process id.
//!
//! The signal is SIGKILL: whoever sees it has lost its supervisor and must not be able to linger, and
//! both programs are made to be killed at any moment. On other systems than Linux there is no such
//! request, and children outlive a parent that was killed with SIGKILL.

use std::{ffi::OsString, io, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use clap::Args;
use rustix::process::getppid;

use super::UpError;

/// What becomes which program.
#[derive(Debug, Args)]
pub(crate) struct RunChild {
    /// The process id of the parent.
    parent: i32,
    program: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Becomes the program; returns only if that failed.
pub(crate) fn run_child(child: &RunChild) -> UpError {
    let source = match die_with_parent(child.parent) {
        Ok(()) => Command::new(&child.program).args(&child.arguments).exec(),
        Err(error) => error,
    };
    UpError::Spawn { name: "a child", source }
}

#[cfg(target_os = "linux")]
fn die_with_parent(parent: i32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    check_parent(parent)
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(parent: i32) -> io::Result<()> {
    check_parent(parent)
}

fn check_parent(parent: i32) -> io::Result<()> {
    if getppid().is_some_and(|pid| pid.as_raw_pid() == parent) {
        Ok(())
    } else {
        Err(io::Error::other("the process that wanted it is gone"))
    }
}
