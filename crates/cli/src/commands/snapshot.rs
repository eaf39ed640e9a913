//! `tenantry snapshot`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use tenantry_api::client::Download;

use crate::{error::CliError, output::Answer, session::Session};

/// What can be done with what proxies enforce.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotVerb {
    /// Write it, for a proxy that is started with --snapshot-file
    Export {
        /// Where to, readable for its owner alone [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

pub(super) async fn run(verb: &SnapshotVerb, session: &Session) -> Result<Answer, CliError> {
    let SnapshotVerb::Export { file } = verb;
    let Some(path) = file else {
        let download = session.ask(session.client.export_snapshot()).await?;
        receive(download, &mut io::stdout(), session, CliError::Write).await?;
        return Ok(Answer::Nothing);
    };
    let unfinished = unfinished(path);
    let received = write(&unfinished, path, session).await;
    if received.is_err() {
        // What is half a snapshot is of no use; if there is none, that is as well.
        let _ = fs::remove_file(&unfinished);
    }
    received.map(|()| Answer::Done(format!("the snapshot is in {}", path.display())))
}

/// The file appears under its name when all of it is there.
async fn write(unfinished: &Path, path: &Path, session: &Session) -> Result<(), CliError> {
    let failed = |source| CliError::WriteFile { path: path.to_owned(), source };
    let download = session.ask(session.client.export_snapshot()).await?;
    let mut file = create(unfinished).map_err(failed)?;
    receive(download, &mut file, session, failed).await?;
    file.sync_all().and_then(|()| fs::rename(unfinished, path)).map_err(failed)
}

async fn receive(
    mut download: Download,
    to: &mut impl Write,
    session: &Session,
    failed: impl Fn(io::Error) -> CliError,
) -> Result<(), CliError> {
    while let Some(piece) = session.ask(download.next()).await? {
        to.write_all(&piece).map_err(&failed)?;
    }
    to.flush().map_err(failed)
}

/// Anew, so that no mode or link of an old one is inherited.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}
