//! `tenantry revision`: history, and the way back.

use clap::{Args, Subcommand};
use tenantry_api::{
    LeftBody, RecordChangeBody, RevisionBody, RevisionDetailBody, RevisionDiffQuery, RevisionQuery,
    RollbackQuery, RolledBackBody,
};
use tenantry_model::Timestamp;

use super::{
    desired::{in_commits, lines},
    progress,
};
use crate::{
    error::CliError,
    output::{Answer, value},
    pages::{self, Listing},
    session::Session,
};

/// What can be asked of history.
#[derive(Debug, Subcommand)]
pub(crate) enum RevisionVerb {
    /// Show what was changed, newest first, as far back as revisions are kept
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show all that a revision changed, with secrets masked
    Show {
        /// The revision's number
        revision: u64,
    },
    /// Show how the platform's documents differ between two revisions
    ///
    /// Exits with 0 if nothing differs, 1 if something does.
    Diff {
        /// The earlier revision
        from: u64,
        /// The later revision [default: the newest]
        to: Option<u64>,
    },
    /// Make everything there are documents of what it was at a revision
    ///
    /// All of it is looked at before anything is changed; `--dry-run` does only that. Keys, people, states and the
    /// audit log do not go back.
    Rollback {
        /// The revision to go back to
        revision: u64,
        /// If something cannot come back, do all that can
        #[arg(long)]
        partial: bool,
        /// Go on even if all tenants would be deleted, or more than half of a hundred or more
        #[arg(long)]
        allow_mass_removal: bool,
    },
}

/// Which revisions.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only what concerns this tenant, by id or slug
    #[arg(long)]
    tenant: Option<String>,
    /// Only what this actor did
    #[arg(long)]
    actor: Option<String>,
    /// Only with this among what was done, such as plan.update, or tenant.* for all that begins so
    #[arg(long)]
    action: Option<String>,
    /// Only with this among what it was done to, such as plan/pro
    #[arg(long, value_name = "KIND/ID")]
    target: Option<String>,
    /// Only what this request did
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only what was done at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only what was done before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl Filter {
    fn query(&self) -> RevisionQuery {
        let Self { tenant, actor, action, target, request_id, since, until } = self;
        RevisionQuery {
            limit: None,
            cursor: None,
            tenant: tenant.clone(),
            actor: actor.clone(),
            action: action.clone(),
            target: target.clone(),
            request_id: request_id.clone(),
            since: *since,
            until: *until,
        }
    }
}

pub(super) async fn run(verb: &RevisionVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        RevisionVerb::List { filter, listing } => {
            pages::collect(session, listing, async |page| {
                let query =
                    RevisionQuery { limit: page.limit, cursor: page.cursor, ..filter.query() };
                session.client.revisions(&query).await
            })
            .await
        }
        RevisionVerb::Show { revision } => {
            let found = session.ask(session.client.revision(*revision)).await?;
            Ok(Answer::Text { text: shown(&found), json: value(found) })
        }
        RevisionVerb::Diff { from, to } => {
            let query = RevisionDiffQuery { to: *to };
            let found = session.ask_patiently(session.client.revision_diff(*from, &query)).await?;
            if found.changes.is_empty() {
                return Ok(Answer::Text { text: "no difference".to_owned(), json: value(found) });
            }
            Ok(Answer::Differs { text: lines(&found.changes), json: value(found) })
        }
        RevisionVerb::Rollback { revision, partial, allow_mass_removal } => {
            let query = RollbackQuery {
                partial: partial.then_some(true),
                allow_mass_removal: allow_mass_removal.then_some(true),
            };
            let waiting = progress::waiting("going back");
            let done = session.ask_patiently(session.client.roll_back(*revision, &query)).await;
            waiting.finish_and_clear();
            let done = done?;
            Ok(Answer::Text { text: rolled_back(&done), json: value(done) })
        }
    }
}

fn shown(revision: &RevisionDetailBody) -> String {
    let RevisionDetailBody { revision, changes } = revision;
    let RevisionBody { revision: number, at, actor, request_id, rollback_to, .. } = revision;
    let mut text = format!("revision {number}, {at}, by {actor}, request {request_id}");
    if let Some(to) = rollback_to {
        text.push_str(&format!(", back to revision {to}"));
    }
    for entry in &revision.entries {
        text.push_str(&format!("\n  {} {}", entry.action, entry.target));
    }
    for change in changes {
        text.push_str("\n\n");
        text.push_str(&record(change));
    }
    text
}

fn record(change: &RecordChangeBody) -> String {
    let RecordChangeBody { kind, id, before, after, fields } = change;
    match (before, after) {
        (_, Some(after)) => format!("create {kind} {id}\n+ {after}"),
        (Some(before), None) => format!("delete {kind} {id}\n- {before}"),
        (None, None) => {
            let lines = fields.iter().map(|field| {
                format!("\n- {0} {1}\n+ {0} {2}", field.pointer, field.before, field.after)
            });
            format!("update {kind} {id}{}", lines.collect::<String>())
        }
    }
}

fn rolled_back(done: &RolledBackBody) -> String {
    let mut text = lines(&done.changes);
    if !text.is_empty() {
        text.push('\n');
    }
    for (what, left) in [("kept", &done.kept), ("lost", &done.lost)] {
        for LeftBody { kind, name, reason } in left {
            text.push_str(&format!("{what} {kind} {name}: {reason}\n"));
        }
    }
    text + &in_commits(done.chunks, done.atomic, done.dry_run)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_is_told_beside_what_was_done() {
        let left =
            |name: &str, reason: &str| json!({"kind": "plan", "name": name, "reason": reason});
        let done: RolledBackBody = serde_json::from_value(json!({
            "to": 7, "dry_run": true, "atomic": true, "chunks": 1,
            "changes": [{"action": "delete", "kind": "route", "name": "all"}],
            "kept": [left("new", "it is used")], "lost": [],
        }))
        .unwrap();
        let text =
            "delete route all\nkept plan new: it is used\nin one commit, if it were no dry run";
        assert_eq!(rolled_back(&done), text);
    }

    #[test]
    fn a_change_of_a_record_shows_its_parts() {
        let change: RecordChangeBody = serde_json::from_value(json!({
            "kind": "plan", "id": "pro",
            "fields": [{"pointer": "/resource/name", "before": "Pro", "after": null}],
        }))
        .unwrap();
        let text = "update plan pro\n- /resource/name \"Pro\"\n+ /resource/name null";
        assert_eq!(record(&change), text);
    }
}
