//! `tenantry rollout`: a change for some proxies first, watched, and then for all or taken back.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Subcommand};
use tenantry_api::{
    RolloutDetailBody, RolloutReference, RolloutRelease, RolloutRequests, RolloutStateBody,
    RolloutWatchBody, StartRolloutQuery, TakeBackRollout,
};

use super::{desired::read, progress};
use crate::{
    error::CliError,
    output::{Answer, value},
    pages::{self, Listing},
    session::Session,
    value,
};

/// How often is looked whether it is over.
const LOOK: Duration = Duration::from_secs(1);

/// What can be done with roll-outs.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutVerb {
    /// Release a change to some proxies first
    ///
    /// The documents are those of `apply`; nothing is deleted. With --dry-run it says what would be changed, and who
    /// would have it first. With --follow, exits with 0 if it was released, 1 if it was taken back.
    Start(Box<Start>),
    /// Show roll-outs, newest first
    List {
        #[command(flatten)]
        listing: Listing,
    },
    /// Show what a roll-out changes, and how it is going
    Show {
        /// Its id
        rollout: String,
    },
    /// Apply it for all now
    Release {
        /// Its id
        rollout: String,
    },
    /// Take it from the proxies that have it
    TakeBack {
        /// Its id
        rollout: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
}

/// A roll-out to be begun.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The documents, in YAML or JSON; `-` for standard input
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    first: First,
    /// For how long it is watched, such as 90s, 5m or 2h [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = watch_seconds)]
    watch: Option<u32>,
    /// Wait for `rollout release` when it was watched for long enough, at most a day
    #[arg(long)]
    manual: bool,
    /// By how many percentage points the share of answers 5xx may exceed that of the other proxies [default: 1]
    #[arg(long, value_name = "POINTS")]
    max_server_errors: Option<u8>,
    /// The same of requests that are denied [default: 5]
    #[arg(long, value_name = "POINTS")]
    max_denied: Option<u8>,
    /// From how many requests on shares are compared [default: 100]
    #[arg(long, value_name = "N")]
    min_requests: Option<u32>,
    /// Go on until it is over, and say how it goes on standard error
    #[arg(long)]
    follow: bool,
}

/// Who has it first.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct First {
    /// The proxy of this name; may be repeated
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,
    /// The proxies that were enrolled with this label; of several they have all
    #[arg(long = "label", value_name = "LABEL=VALUE")]
    labels: Vec<String>,
    /// So many of a hundred of the proxies that are connected
    #[arg(long, value_name = "1..100")]
    percentage: Option<u8>,
}

fn watch_seconds(text: &str) -> Result<u32, String> {
    let seconds = value::seconds_or_none(text)?;
    u32::try_from(seconds).map_err(|_| format!("{text:?} is too long"))
}

impl Start {
    fn query(&self) -> StartRolloutQuery {
        let joined = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
        StartRolloutQuery {
            node: joined(&self.first.nodes),
            label: joined(&self.first.labels),
            percentage: self.first.percentage,
            watch_seconds: self.watch,
            release: self.manual.then_some(RolloutRelease::Manual),
            max_server_errors: self.max_server_errors,
            max_denied: self.max_denied,
            min_requests: self.min_requests,
        }
    }
}

pub(super) async fn run(verb: &RolloutVerb, session: &Session) -> Result<Answer, CliError> {
    let client = &session.client;
    match verb {
        RolloutVerb::Start(start) => {
            let documents = read(&start.file)?;
            let waiting = progress::waiting("working out");
            let started =
                session.ask_patiently(client.start_rollout(documents, &start.query())).await;
            waiting.finish_and_clear();
            let started = started?;
            if start.follow && !client.has_rehearsed() {
                return follow(started, session).await;
            }
            Ok(item(started))
        }
        RolloutVerb::List { listing } => {
            pages::collect(session, listing, async |page| client.rollouts(&page).await).await
        }
        RolloutVerb::Show { rollout } => session.ask(client.rollout(rollout)).await.map(item),
        RolloutVerb::Release { rollout } => {
            let waiting = progress::waiting("applying");
            let released = session.ask_patiently(client.release_rollout(rollout)).await;
            waiting.finish_and_clear();
            released.map(item)
        }
        RolloutVerb::TakeBack { rollout, reason } => {
            let request = TakeBackRollout { reason: reason.clone() };
            session.ask(client.take_back_rollout(rollout, &request)).await.map(item)
        }
    }
}

/// Looks until it is over.
async fn follow(started: RolloutDetailBody, session: &Session) -> Result<Answer, CliError> {
    let (id, mut rollout, mut said) = (started.rollout.id.to_string(), started, String::new());
    loop {
        let line = standing(&rollout);
        if line != said {
            writeln!(io::stderr(), "{line}").map_err(CliError::Write)?;
            said = line;
        }
        if rollout.rollout.state.is_end() {
            break;
        }
        tokio::time::sleep(LOOK).await;
        rollout = session.ask(session.client.rollout(&id)).await?;
    }
    match rollout.rollout.state {
        RolloutStateBody::TakenBack => {
            Ok(Answer::Differs { text: shown(&rollout), json: value(rollout) })
        }
        _ => Ok(item(rollout)),
    }
}

fn item(rollout: RolloutDetailBody) -> Answer {
    Answer::Text { text: shown(&rollout), json: value(rollout) }
}

/// Where it stands, in a line that changes when that does.
fn standing(rollout: &RolloutDetailBody) -> String {
    let body = &rollout.rollout;
    let state = match (&rollout.watch, &body.reason) {
        (Some(watch), _) if watch.ready => "waits to be released".to_owned(),
        (Some(watch), _) => {
            let enforcing = watch.proxies.iter().filter(|proxy| proxy.enforces).count();
            format!(
                "watched until {}, in force at {enforcing} of {}",
                watch.until,
                body.nodes.len()
            )
        }
        (None, Some(reason)) => format!("{}: {reason}", word(body.state)),
        (None, None) => word(body.state).to_owned(),
    };
    format!("{} {state}", body.id)
}

fn word(state: RolloutStateBody) -> &'static str {
    match state {
        RolloutStateBody::Watching => "watched",
        RolloutStateBody::Releasing => "being released",
        RolloutStateBody::Released => "released",
        RolloutStateBody::TakenBack => "taken back",
    }
}

fn shown(rollout: &RolloutDetailBody) -> String {
    let body = &rollout.rollout;
    let mut lines = vec![standing(rollout)];
    lines.push(format!("begun {} by {}", body.started_at, body.started_by));
    if let Some(watch) = &rollout.watch {
        lines.extend(watched(watch));
    } else {
        let nodes: Vec<_> = body.nodes.iter().map(ToString::to_string).collect();
        lines.push(format!("first at {}", nodes.join(", ")));
    }
    lines.extend(
        rollout
            .changes
            .iter()
            .map(|change| format!("{} {} {}", change.action.as_str(), change.kind, change.id)),
    );
    lines.join("\n")
}

fn watched(watch: &RolloutWatchBody) -> Vec<String> {
    let mut lines = vec![format!("the chosen: {}", shares(watch.chosen))];
    lines.push(match watch.reference_of {
        RolloutReference::Others => format!("the others: {}", shares(watch.reference)),
        RolloutReference::Before => format!("before:     {}", shares(watch.reference)),
        RolloutReference::Nothing => "nothing to compare with yet".to_owned(),
    });
    for proxy in &watch.proxies {
        let standing = match (proxy.connected, proxy.enforces) {
            (false, _) => "not connected",
            (true, false) => "not in force yet",
            (true, true) => "in force",
        };
        lines.push(format!("{}: {standing}, {}", proxy.node, shares(proxy.since)));
        let refused = proxy.refused.iter();
        lines.extend(refused.map(|refused| {
            format!("  refuses {} {}: {}", refused.kind, refused.id, refused.reason)
        }));
    }
    lines
}

fn shares(requests: RolloutRequests) -> String {
    let RolloutRequests { requests, server_errors, denied } = requests;
    let percent = |part: u64| {
        let permille = u128::from(part) * 1000 / u128::from(requests.max(1));
        format!("{}.{} %", permille / 10, permille % 10)
    };
    format!("{requests} requests, {} 5xx, {} denied", percent(server_errors), percent(denied))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_roll_out_says_how_it_is_going() {
        let mut rollout: RolloutDetailBody = serde_json::from_value(json!({
            "id": "rol_01HZZZZZZZZZZZZZZZZZZZZZZZ", "state": "watching", "started_by": "root",
            "started_at": "2030-01-01T00:00:00Z", "started_revision": 7, "ended_at": null,
            "nodes": ["edge-1", "edge-2"], "chosen_by": {"percentage": 10}, "watch_seconds": 300,
            "release": "automatic", "max_server_errors": 1, "max_denied": 5, "min_requests": 100,
            "changes_total": 1,
            "changes": [{"action": "update", "kind": "plan", "id": "pro"}],
            "watch": {
                "until": "2030-01-01T00:05:00Z", "ready": false,
                "chosen": {"requests": 200, "server_errors": 3, "denied": 0},
                "reference": {"requests": 0, "server_errors": 0, "denied": 0},
                "reference_of": "nothing",
                "proxies": [{
                    "node": "edge-1", "connected": true, "enforces": true,
                    "since": {"requests": 200, "server_errors": 3, "denied": 0},
                    "refused": [{"kind": "plan", "id": "pro", "reason": "no"}],
                }],
            },
        }))
        .unwrap();
        let text = shown(&rollout);
        assert_eq!(
            text,
            "rol_01HZZZZZZZZZZZZZZZZZZZZZZZ watched until 2030-01-01T00:05:00Z, in force at 1 of 2\n\
             begun 2030-01-01T00:00:00Z by root\n\
             the chosen: 200 requests, 1.5 % 5xx, 0.0 % denied\n\
             nothing to compare with yet\n\
             edge-1: in force, 200 requests, 1.5 % 5xx, 0.0 % denied\n  \
             refuses plan pro: no\n\
             update plan pro"
        );
        rollout.watch = None;
        rollout.rollout.state = RolloutStateBody::TakenBack;
        rollout.rollout.reason = Some("edge-1 refuses plan/pro: no".to_owned());
        let expected = "rol_01HZZZZZZZZZZZZZZZZZZZZZZZ taken back: edge-1 refuses plan/pro: no";
        assert_eq!(standing(&rollout), expected);
    }
}
