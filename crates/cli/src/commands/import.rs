//! `tenantry import`: many tenants in one stream.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures::stream;
use indicatif::ProgressBar;
use tenantry_api::{ConflictAction, ImportCounts, ImportEvent, ImportQuery, Problem, client::Body};
use tokio::sync::mpsc;

use super::progress;
use crate::{
    error::CliError,
    output::{Answer, value},
    session::Session,
};

/// How much of a file is sent at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What is imported.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A line of JSON for each tenant, as one is created with; `-` for standard input
    file: PathBuf,
    /// What becomes of a tenant that is there and is not as its line says
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    on_conflict: OnConflict,
    /// Begin no further line once one has failed
    #[arg(long)]
    stop_on_error: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnConflict {
    /// It stays, and the line has failed
    Fail,
    /// It stays, and the line is skipped
    Skip,
    /// It becomes what the line says
    Update,
}

pub(super) async fn run(import: &Import, session: &Session) -> Result<Answer, CliError> {
    let on_conflict = match import.on_conflict {
        OnConflict::Fail => ConflictAction::Fail,
        OnConflict::Skip => ConflictAction::Skip,
        OnConflict::Update => ConflictAction::Update,
    };
    let query = ImportQuery { on_conflict, stop_on_error: import.stop_on_error };
    let (file, length) = open(&import.file)?;
    let bar = progress::bytes(length);
    let body = Body::wrap_stream(pieces(file, bar.clone()));
    let mut answer = session.ask_patiently(session.client.import(body, &query)).await?;
    let (mut held, mut counts) = (Vec::new(), ImportCounts::default());
    let ended = loop {
        // What breaks off here was begun, and is not known to have ended.
        let Ok(Some(piece)) = answer.next().await else { break None };
        held.extend(piece);
        if let Some(summary) = told(&mut held, &mut counts, &bar) {
            break Some(summary);
        }
    };
    bar.finish_and_clear();
    let Some(summary) = ended else { return Err(CliError::ImportCutOff { lines: counts.lines }) };
    if let ImportEvent::Summary { applied: Some(applied), .. } = &summary {
        session.client.has_waited(applied.clone());
    }
    Ok(answered(summary))
}

/// Says what has come so far; the summary, if it has.
fn told(held: &mut Vec<u8>, counts: &mut ImportCounts, bar: &ProgressBar) -> Option<ImportEvent> {
    while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = held.drain(..=end).collect();
        match serde_json::from_slice(&line) {
            Ok(ImportEvent::Error { line, slug, problem }) => {
                let text = failure(line, slug.as_deref(), &problem);
                // Where there is no terminal a bar says nothing, not even this.
                bar.suspend(|| complain(&text));
            }
            Ok(ImportEvent::Progress { counts: now }) => {
                *counts = now;
                bar.set_message(counted(now));
            }
            Ok(summary @ ImportEvent::Summary { .. }) => return Some(summary),
            // From a control plane that has more to say than this command knows of.
            Err(_) => {}
        }
    }
    None
}

#[expect(clippy::print_stderr, reason = "it is long before there is an answer to print")]
fn complain(text: &str) {
    eprintln!("{text}");
}

fn failure(line: u64, slug: Option<&str>, problem: &Problem) -> String {
    let slug = slug.map(|slug| format!(" ({slug})")).unwrap_or_default();
    let mut text = format!("line {line}{slug}: {}", problem.detail);
    for error in &problem.errors {
        let place = if error.pointer.is_empty() { "the line" } else { &error.pointer };
        let detail = if error.detail == problem.detail { "" } else { &error.detail };
        let colon = if detail.is_empty() { "" } else { ": " };
        text.push_str(&format!("\n  {place}{colon}{detail}"));
    }
    text
}

/// Only what has happened at all, and how many lines that were.
fn counted(counts: ImportCounts) -> String {
    let ImportCounts { lines, created, updated, unchanged, skipped, failed } = counts;
    let outcomes = [
        (created, "created"),
        (updated, "updated"),
        (unchanged, "unchanged"),
        (skipped, "skipped"),
        (failed, "failed"),
    ];
    let outcomes = outcomes.iter().filter(|(count, _)| *count > 0);
    let outcomes: Vec<_> = outcomes.map(|(count, what)| format!("{count} {what}")).collect();
    let lines = format!("{lines} {}", if lines == 1 { "line" } else { "lines" });
    if outcomes.is_empty() { lines } else { format!("{lines}: {}", outcomes.join(", ")) }
}

fn answered(summary: ImportEvent) -> Answer {
    let json = value(&summary);
    let ImportEvent::Summary { counts, dry_run, stopped, .. } = summary else {
        return Answer::Nothing;
    };
    let mut text = counted(counts);
    if dry_run {
        text.push_str(", if it were no dry run");
    }
    if let Some(why) = &stopped {
        text.push_str(&format!("\nit ended before the last line: {why}"));
    }
    match counts.failed == 0 && stopped.is_none() {
        true => Answer::Text { text, json },
        false => Answer::Differs { text, json },
    }
}

type Source = Box<dyn Read + Send>;

/// What is read, and how long it is, if that is known.
fn open(path: &Path) -> Result<(Source, Option<u64>), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let opened = opened.and_then(|(metadata, file)| match metadata.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok((metadata, file)),
    });
    let (metadata, file) =
        opened.map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// The pieces of what is read, by a thread of its own: reading may wait for whoever writes it.
fn pieces(
    mut source: Source,
    bar: ProgressBar,
) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = source.read(&mut piece).map(|read| {
                piece.truncate(read);
                piece
            });
            if read.as_ref().is_ok_and(Vec::is_empty) {
                break;
            }
            let is_last = read.is_err();
            // Nobody wants the rest.
            if sender.blocking_send(read).is_err() || is_last {
                break;
            }
        }
    });
    stream::unfold((receiver, bar), |(mut receiver, bar)| async move {
        let piece = receiver.recv().await?.map(Bytes::from);
        bar.inc(piece.as_ref().map_or(0, |piece| u64::try_from(piece.len()).unwrap_or(0)));
        Some((piece, (receiver, bar)))
    })
}

#[cfg(test)]
mod tests {
    use tenantry_api::{FieldError, ProblemKind};

    use super::*;

    #[test]
    fn a_failure_names_line_tenant_and_place() {
        let mut problem = Problem::new(ProblemKind::SlugTaken, "the slug acme is taken");
        let error = |pointer: &str, detail: &str| FieldError {
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        };
        problem.errors = vec![error("/slug", "the slug acme is taken"), error("", "odd")];
        assert_eq!(
            failure(3, Some("acme"), &problem),
            "line 3 (acme): the slug acme is taken\n  /slug\n  the line: odd"
        );
    }

    #[test]
    fn what_has_not_happened_is_not_counted() {
        let counts = ImportCounts { lines: 3, created: 2, failed: 1, ..ImportCounts::default() };
        assert_eq!(counted(counts), "3 lines: 2 created, 1 failed");
        assert_eq!(counted(ImportCounts::default()), "0 lines");
    }

    #[test]
    fn events_are_read_in_any_pieces() {
        let text = "{\"event\":\"progress\",\"lines\":1,\"created\":1,\"updated\":0,\"unchanged\":0,\
                    \"skipped\":0,\"failed\":0}\n{\"event\":\"later\"}\n{\"event\":\"summary\",\"lines\":2,\
                    \"created\":2,\"updated\":0,\"unchanged\":0,\"skipped\":0,\"failed\":0,\
                    \"dry_run\":false,\"stopped\":null,\"revision\":7}\n";
        let (mut held, mut counts) = (Vec::new(), ImportCounts::default());
        let mut summary = None;
        for byte in text.bytes() {
            assert!(summary.is_none());
            held.push(byte);
            summary = told(&mut held, &mut counts, &ProgressBar::hidden());
        }
        assert_eq!(counts.lines, 1);
        assert!(matches!(summary, Some(ImportEvent::Summary { counts, .. }) if counts.lines == 2));
    }
}
