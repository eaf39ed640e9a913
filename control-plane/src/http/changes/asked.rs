//! What a change is asked with, apart from what its handler reads.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Query, Request},
    http::{Method, Uri},
};
use tenantry_api::ProblemKind;

use crate::{
    http::{failure::Failure, query},
    openapi::Document,
};

const DRY_RUN: &str = "dry_run";
const WAIT: &str = "wait";
const WAIT_SECONDS: &str = "wait_seconds";
/// How long is waited if nothing is said.
const USUAL_WAIT: u64 = 10;
/// How long is waited at most.
const MAX_WAIT: u64 = 60;

/// How long is waited for proxies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting(pub(super) Duration);

#[derive(Default)]
pub(super) struct Asked {
    pub(super) is_rehearsal: bool,
    pub(super) waiting: Option<Waiting>,
    /// Where the request goes without these parameters, if one was given.
    pub(super) uri: Option<Uri>,
}

pub(super) fn asked(document: &Document, request: &Request) -> Result<Asked, Failure> {
    let (method, uri) = (request.method(), request.uri());
    let path = request.extensions().get::<MatchedPath>();
    let taken = path.and_then(|path| document.query(method, path.as_str()));
    let (Some(taken), Some(_)) = (taken, uri.query()) else { return Ok(Asked::default()) };
    let Ok(Query(given)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        let detail = "the part behind `?` is not percent-encoded UTF-8";
        return Err(Failure::new(ProblemKind::InvalidQuery, detail));
    };
    let is_change = *method != Method::GET;
    let is_ours = |name: &str| [DRY_RUN, WAIT, WAIT_SECONDS].contains(&name);
    if let Some((name, _)) =
        given.iter().find(|(name, _)| !taken.contains(name) && (is_change || is_ours(name)))
    {
        return Err(unknown(name));
    }
    if !is_change {
        return Ok(Asked::default());
    }
    let is_rehearsal = match one(&given, DRY_RUN) {
        Ok(None | Some("false")) => false,
        Ok(Some("true")) => true,
        _ => return Err(refused(DRY_RUN, "dry_run is given once, as true or false")),
    };
    let waiting = waiting(&given)?;
    if is_rehearsal && waiting.is_some() {
        let detail = "what is only looked at is in force nowhere: leave wait out";
        return Err(refused(WAIT, detail));
    }
    let mut bare = None;
    for name in [DRY_RUN, WAIT, WAIT_SECONDS] {
        if given.iter().any(|(known, _)| known == name) {
            bare = query::without(bare.as_ref().unwrap_or(uri), name).map(|(_, uri)| uri);
        }
    }
    Ok(Asked { is_rehearsal, waiting, uri: bare })
}

fn waiting(given: &[(String, String)]) -> Result<Option<Waiting>, Failure> {
    let is_waited = match one(given, WAIT) {
        Ok(None) => false,
        Ok(Some("applied")) => true,
        _ => return Err(refused(WAIT, "wait is given once, as `applied`")),
    };
    let seconds = match one(given, WAIT_SECONDS) {
        Ok(None) => return Ok(is_waited.then_some(Waiting(Duration::from_secs(USUAL_WAIT)))),
        Ok(Some(text)) => text.parse().ok().filter(|seconds| (1..=MAX_WAIT).contains(seconds)),
        Err(Repeated) => None,
    };
    match seconds {
        None => Err(refused(WAIT_SECONDS, "wait_seconds is given once, as a number from 1 to 60")),
        Some(_) if !is_waited => {
            Err(refused(WAIT_SECONDS, "wait_seconds says how long to wait: give wait=applied, too"))
        }
        Some(seconds) => Ok(Some(Waiting(Duration::from_secs(seconds)))),
    }
}

struct Repeated;

fn one<'g>(given: &'g [(String, String)], name: &str) -> Result<Option<&'g str>, Repeated> {
    let mut values = given.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Repeated),
        (first, None) => Ok(first.map(String::as_str)),
    }
}

fn refused(name: &str, detail: &str) -> Failure {
    Failure::new(ProblemKind::InvalidQuery, detail).at(format!("?{name}"))
}

fn unknown(name: &str) -> Failure {
    let detail = match name {
        DRY_RUN => {
            "this cannot be looked at without being done, or changes nothing: leave dry_run out"
                .to_owned()
        }
        WAIT | WAIT_SECONDS => {
            format!("this changes nothing that proxies enforce: leave {name} out")
        }
        name => format!("there is no parameter `{name}` here"),
    };
    Failure::new(ProblemKind::InvalidQuery, detail).at(format!("?{name}"))
}
