//! `tenantry export`, `diff` and `apply`: the platform as documents.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use tenantry_api::{ApplyQuery, ChangeBody, DiffQuery, ExportFormat, ExportQuery};

use super::progress;
use crate::{
    args::Format,
    error::CliError,
    output::{Answer, value},
    session::Session,
};

/// What is exported.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Only tenants with this label, and their routes; and whatever belongs to no tenant
    #[arg(long, value_name = "LABEL=VALUE")]
    label: Option<String>,
}

/// What is compared.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The documents, in YAML or JSON; `-` for standard input
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Show tenants with this label that no document is of as to be deleted
    #[arg(long, value_name = "LABEL=VALUE")]
    prune: Option<String>,
}

/// What is applied.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The documents, in YAML or JSON; `-` for standard input
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Delete tenants with this label that no document is of; `tenant undelete` brings them back
    #[arg(long, value_name = "LABEL=VALUE")]
    prune: Option<String>,
    /// Go on even if all tenants would be deleted, or more than half of a hundred or more
    #[arg(long)]
    allow_mass_removal: bool,
}

/// Writes the documents to standard output: in JSON if that is asked for, and otherwise in YAML.
pub(super) async fn export(
    export: &Export,
    output: Format,
    session: &Session,
) -> Result<Answer, CliError> {
    let format = match output {
        Format::Json => ExportFormat::Json,
        Format::Table | Format::Yaml => ExportFormat::Yaml,
    };
    let query = ExportQuery { format: Some(format), label: export.label.clone() };
    let mut download = session.ask_patiently(session.client.export(&query)).await?;
    while let Some(piece) = session.ask_patiently(download.next()).await? {
        io::stdout().write_all(&piece).map_err(CliError::Write)?;
    }
    Ok(Answer::Nothing)
}

pub(super) async fn diff(diff: &Diff, session: &Session) -> Result<Answer, CliError> {
    let query = DiffQuery { prune: diff.prune.clone() };
    let documents = read(&diff.file)?;
    let waiting = progress::waiting("comparing");
    let found = session.ask_patiently(session.client.diff(documents, &query)).await;
    waiting.finish_and_clear();
    let found = found?;
    if found.changes.is_empty() {
        return Ok(Answer::Text { text: "no difference".to_owned(), json: value(found) });
    }
    let text = lines(&found.changes);
    Ok(Answer::Differs { text, json: value(found) })
}

pub(super) async fn apply(apply: &Apply, session: &Session) -> Result<Answer, CliError> {
    let query = ApplyQuery {
        prune: apply.prune.clone(),
        allow_mass_removal: apply.allow_mass_removal.then_some(true),
    };
    let documents = read(&apply.file)?;
    let waiting = progress::waiting("applying");
    let applied = session.ask_patiently(session.client.apply(documents, &query)).await;
    waiting.finish_and_clear();
    let applied = applied?;
    let done = in_commits(applied.chunks, applied.atomic, applied.dry_run);
    let mut text = lines(&applied.changes);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&done);
    Ok(Answer::Text { text, json: value(applied) })
}

/// How it was done.
pub(super) fn in_commits(chunks: usize, atomic: bool, dry_run: bool) -> String {
    let done = match (chunks, atomic) {
        (0, _) => return "nothing to change".to_owned(),
        (_, true) => "in one commit".to_owned(),
        (chunks, false) => format!("in {chunks} commits"),
    };
    if dry_run { format!("{done}, if it were no dry run") } else { done }
}

pub(super) fn lines(changes: &[ChangeBody]) -> String {
    let lines = changes.iter().map(|change| {
        let ChangeBody { action, kind, name, before, after } = change;
        let mut line = format!("{} {kind} {name}", action.as_str());
        if let (Some(before), Some(after)) = (before, after) {
            line.push_str(&format!(" ({})", differing(before, after).join(", ")));
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The fields that are not the same.
fn differing<'v>(before: &'v serde_json::Value, after: &'v serde_json::Value) -> Vec<&'v str> {
    let names = |value: &'v serde_json::Value| value.as_object().into_iter().flatten();
    let mut differing: Vec<_> = names(before)
        .chain(names(after))
        .map(|(name, _)| name.as_str())
        .filter(|name| before.get(name) != after.get(name))
        .collect();
    differing.sort_unstable();
    differing.dedup();
    differing
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut documents = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_end(&mut documents).map(|_| documents)
    } else {
        fs::read(path)
    };
    read.map_err(|source| CliError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenantry_api::ChangeAction;

    use super::*;

    #[test]
    fn a_change_names_what_differs() {
        let change = ChangeBody {
            action: ChangeAction::Update,
            kind: "plan".to_owned(),
            name: "pro".to_owned(),
            before: Some(json!({"id": "pro", "name": "Pro", "gone": 1})),
            after: Some(json!({"id": "pro", "name": "Pro+", "limits": {}})),
        };
        assert_eq!(lines(&[change]), "update plan pro (gone, limits, name)");
    }
}
