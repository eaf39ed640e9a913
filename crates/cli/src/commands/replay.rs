//! `tenantry replay`: who would be answered otherwise if documents were applied.
//!
//! The access log is read once, from its beginning to its end. Requests that are the same are decided once and counted,
//! and they are sent in batches, so a log may be as long as it likes. What cannot be decided again is counted by
//! its reason and told.

mod line;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tenantry_api::{RecordedRequest, ReplayOutcome, ReplayRequest};

use super::{desired, progress};
use crate::{
    error::{BodyError, CliError},
    output::{Answer, columns, value},
    session::Session,
};

/// Requests that are sent at once.
const BATCH: usize = 5000;
/// The longest line that is read; a proxy writes none that is nearly as long.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What is replayed.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The access log of a proxy; `-` for standard input
    log: PathBuf,
    /// The documents that are proposed, in YAML or JSON, as for `apply`
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    /// As if tenants with this label were deleted that no document is of
    #[arg(long, value_name = "LABEL=VALUE")]
    prune: Option<String>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Found {
    /// The revision that the documents are proposed for.
    revision: u64,
    /// How many resources they would change.
    changes: u64,
    /// Requests that were decided again.
    decided: u64,
    /// Those of them that would be answered otherwise.
    different: u64,
    /// Requests that could not be decided again, by the reason.
    left_out: BTreeMap<String, u64>,
    differences: Vec<Difference>,
}

/// Requests that would be answered otherwise, all in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    tenant: Option<String>,
    host: String,
    method: String,
    path: String,
    before: ReplayOutcome,
    after: ReplayOutcome,
    count: u64,
    /// Whether it depends on what the token of the request said, which no log has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    uncertain: bool,
}

/// What differences are counted by, in the order in which they are shown.
type Kind = (Option<String>, String, String, String, ReplayOutcome, ReplayOutcome, bool);

pub(super) async fn run(replay: &Replay, session: &Session) -> Result<Answer, CliError> {
    let documents = documents(&replay.candidate)?;
    let mut log = open(&replay.log)?;
    let mut replaying = Replaying {
        session,
        asked: ReplayRequest { documents, prune: replay.prune.clone(), requests: Vec::new() },
        waiting: BTreeMap::new(),
        found: Found::default(),
        kinds: BTreeMap::new(),
    };
    let bar = progress::waiting("replaying");
    let read = replaying.all(&replay.log, &mut log).await;
    bar.finish_and_clear();
    read?;
    Ok(replaying.answer())
}

struct Replaying<'s> {
    session: &'s Session,
    asked: ReplayRequest,
    /// Requests that are still to be decided, and how often each was made.
    waiting: BTreeMap<RecordedRequest, u64>,
    found: Found,
    kinds: BTreeMap<Kind, u64>,
}

impl Replaying<'_> {
    async fn all(&mut self, path: &Path, log: &mut dyn BufRead) -> Result<(), CliError> {
        let failed = |source| CliError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let mut line = io::Read::take(&mut *log, MAX_LINE_BYTES as u64);
            if line.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
                break;
            }
            match line::read(&bytes) {
                Ok(Some((request, count))) => *self.waiting.entry(request).or_default() += count,
                Ok(None) => {}
                Err(reason) => *self.found.left_out.entry(reason).or_default() += 1,
            }
            if self.waiting.len() >= BATCH {
                self.decide().await?;
            }
        }
        // Documents that are at fault are at fault even if the log is empty.
        self.decide().await
    }

    async fn decide(&mut self) -> Result<(), CliError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.asked.requests = waiting.keys().cloned().collect();
        let client = &self.session.client;
        let decided = self.session.ask_patiently(client.replay(&self.asked)).await?;
        (self.found.revision, self.found.changes) = (decided.revision, decided.changes);
        for ((request, count), replayed) in waiting.into_iter().zip(decided.requests) {
            self.found.decided += count;
            let (before, after) = (replayed.before, replayed.after);
            if before.is_alike(&after) {
                continue;
            }
            self.found.different += count;
            let is_unsure = |outcome: &ReplayOutcome| outcome.outcome == "scope-missing";
            let is_unnamed = request.has_token || request.proven;
            let uncertain = is_unnamed && (is_unsure(&before) || is_unsure(&after));
            let tenant = before.tenant.clone().or_else(|| after.tenant.clone());
            let RecordedRequest { host, method, path, .. } = request;
            let kind = (tenant, host, path, method, before, after, uncertain);
            *self.kinds.entry(kind).or_default() += count;
        }
        Ok(())
    }

    fn answer(self) -> Answer {
        let Self { mut found, kinds, .. } = self;
        let difference = |(kind, count): (Kind, u64)| {
            let (tenant, host, path, method, before, after, uncertain) = kind;
            Difference { tenant, host, method, path, before, after, count, uncertain }
        };
        found.differences = kinds.into_iter().map(difference).collect();
        let (text, json) = (text(&found), value(&found));
        if found.differences.is_empty() {
            Answer::Text { text, json }
        } else {
            Answer::Differs { text, json }
        }
    }
}

fn text(found: &Found) -> String {
    let mut text = String::new();
    if !found.differences.is_empty() {
        let names = ["TENANT", "HOST", "METHOD", "PATH", "BEFORE", "AFTER", "COUNT"];
        let rows: Vec<_> = found.differences.iter().map(row).collect();
        text = format!("{}\n\n", columns(&names, &rows));
    }
    let Found { revision, changes, decided, different, left_out, differences } = found;
    text.push_str(&format!(
        "{different} of {decided} requests would be answered otherwise, with {changes} resources changed, at revision {revision}"
    ));
    if !left_out.is_empty() {
        let reasons = left_out.iter().map(|(reason, count)| format!("{count} {reason}"));
        let reasons: Vec<_> = reasons.collect();
        text.push_str(&format!("\nnot decided again: {}", reasons.join(", ")));
    }
    if differences.iter().any(|difference| difference.uncertain) {
        text.push_str("\n(?) depends on the scopes or claims of a token, which are not in the log");
    }
    text
}

fn row(difference: &Difference) -> Vec<String> {
    let Difference { tenant, host, method, path, before, after, count, uncertain } = difference;
    let mark = if *uncertain { " (?)" } else { "" };
    vec![
        tenant.clone().unwrap_or_default(),
        host.clone(),
        method.clone(),
        path.clone(),
        outcome(before),
        format!("{}{mark}", outcome(after)),
        count.to_string(),
    ]
}

fn outcome(outcome: &ReplayOutcome) -> String {
    let ReplayOutcome { outcome, status, upstream, location, .. } = outcome;
    match (upstream.as_ref().or(location.as_ref()), status) {
        (Some(to), _) => format!("{outcome} to {to}"),
        (None, Some(status)) => format!("{outcome} ({status})"),
        (None, None) => outcome.clone(),
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, CliError> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path);
    let file = file.map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    Ok(Box::new(BufReader::new(file)))
}

/// The documents in a file, as the control plane reads them.
fn documents(path: &Path) -> Result<Vec<Value>, CliError> {
    let unusable = |reason: String| CliError::Body {
        origin: path.display().to_string(),
        what: "documents",
        source: BodyError::Field { path: ".".to_owned(), reason },
    };
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let read: Value = serde_saphyr::from_slice_with_options(&desired::read(path)?, options)
        .map_err(|error| unusable(error.to_string()))?;
    match read.get("documents") {
        Some(Value::Array(documents)) => Ok(documents.clone()),
        _ => Err(unusable("write them as a list under `documents`".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_what_was_left_out_are_told() {
        let outcome = |outcome: &str, status, upstream: Option<&str>| ReplayOutcome {
            outcome: outcome.to_owned(),
            status,
            upstream: upstream.map(str::to_owned),
            ..ReplayOutcome::default()
        };
        let found = Found {
            revision: 7,
            changes: 1,
            decided: 12,
            different: 2,
            left_out: BTreeMap::from([("credential-invalid".to_owned(), 3)]),
            differences: vec![Difference {
                tenant: Some("acme".to_owned()),
                host: "a.example".to_owned(),
                method: "GET".to_owned(),
                path: "/".to_owned(),
                before: outcome("forward", None, Some("main")),
                after: outcome("scope-missing", Some(403), None),
                count: 2,
                uncertain: true,
            }],
        };
        assert_eq!(
            text(&found),
            "TENANT  HOST       METHOD  PATH  BEFORE           AFTER                    COUNT\n\
             acme    a.example  GET     /     forward to main  scope-missing (403) (?)  2\n\n\
             2 of 12 requests would be answered otherwise, with 1 resources changed, at revision 7\n\
             not decided again: 3 credential-invalid\n\
             (?) depends on the scopes or claims of a token, which are not in the log"
        );
    }
}
