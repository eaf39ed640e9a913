//! `/api/v1/rollouts`: a change for some proxies first.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json as Answer,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use tenantry_api::{
    ChangeAction, DesiredState, ListQuery, PageBody, ProblemKind, RefusedResource, RolloutBody,
    RolloutChangeBody, RolloutChoice, RolloutDetailBody, RolloutProxyBody, RolloutReference,
    RolloutRelease, RolloutRequests, RolloutStateBody, RolloutWatchBody, StartRolloutQuery,
    TakeBackRollout,
};
use tenantry_model::{NodeName, Revision, RolloutId};
use tenantry_tenancy::{
    ChosenBy, Error, LabelSelector, NewRollout, PageRequest, Release, RolloutChange, RolloutRecord,
    RolloutState, RolloutTerms, Versioned,
};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        failure::Failure,
        request::Asking,
        response::page,
        yaml::Documents,
    },
    openapi::RolloutName,
    rollouts::{
        self,
        choice::{self, Labels},
        judgement::{Chosen, Reference, Requests, Verdict},
        seen,
    },
};

/// How many enrolments are read at once.
const PAGE: usize = 1000;

/// Releases a change to some proxies first, where it is watched.
///
/// The documents are those of `apply`, and nothing is deleted. What they would change is worked out now and sent to the
/// chosen proxies alone; when it has been watched for long enough it is applied for all, and if it does harm it is
/// taken back. One roll-out is under way at a time. If somebody else changes what it changes, it is taken back.
#[utoipa::path(
    post, path = "/api/v1/rollouts", operation_id = "startRollout", tag = "platform",
    params(StartRolloutQuery),
    request_body(content(
        (DesiredState = "application/json"),
        (String = "application/yaml"),
    )),
    responses((status = 201, body = RolloutDetailBody)),
    security(("bearer" = [
        "tenants:write", "domains:write", "issuers:write", "subscriptions:write", "plans:write",
        "gateway:write",
    ])),
)]
pub async fn start(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Parameters(query): Parameters<StartRolloutQuery>,
    Documents(desired): Documents<DesiredState>,
) -> Result<impl IntoResponse, Failure> {
    let (by, parameter) = chosen_by(&query)?;
    let id = app.tenancy.rollout_id();
    let labels = match by {
        ChosenBy::Labels(_) => labels(&app).await?,
        ChosenBy::Nodes(_) | ChosenBy::Percentage(_) => Labels::new(),
    };
    let mut connected = BTreeSet::new();
    app.nodes.each_connected(|node| {
        connected.insert(node.name.clone());
    });
    let nodes = choice::chosen(id, &by, &connected, &labels)
        .map_err(|detail| Failure::new(ProblemKind::Invalid, detail).at(parameter))?;
    let (chosen_by, terms, documents) = (by, terms(&query), desired.documents);
    let rollout = NewRollout { id, nodes, chosen_by, terms, documents };
    let started = app.tenancy.start_rollout(&caller, rollout).await?;
    if !caller.is_rehearsal {
        // What comes from now on is compared with what was until now.
        rollouts::begin(&app, started.value.id, false).await?;
        app.rollouts.wake();
    }
    let location = format!("/api/v1/rollouts/{}", started.value.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(detail(&app, started))))
}

/// The roll-outs, newest first: the latest hundred.
#[utoipa::path(
    get, path = "/api/v1/rollouts", operation_id = "listRollouts", tag = "platform",
    params(ListQuery),
    responses((status = 200, body = PageBody<RolloutBody>)),
    security(("bearer" = ["tenants:read", "plans:read", "gateway:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.rollouts(&request).await?, |rollout| body(&rollout)))
}

/// One roll-out: what it changes, and how it is going at each of its proxies.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{id}", operation_id = "getRollout", tag = "platform",
    params(RolloutName),
    responses((status = 200, body = RolloutDetailBody)),
    security(("bearer" = ["tenants:read", "plans:read", "gateway:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(id): Names<String>,
) -> Result<Answer<RolloutDetailBody>, Failure> {
    let found = app.tenancy.rollout(parsed(&id)?).await?;
    Ok(Answer(detail(&app, found)))
}

/// Applies for all what the chosen proxies have, however long it was watched.
///
/// If it cannot be applied any more, or somebody else has changed what it changes, it is taken back.
#[utoipa::path(
    post, path = "/api/v1/rollouts/{id}/release", operation_id = "releaseRollout",
    tag = "platform", params(RolloutName),
    responses((status = 200, body = RolloutDetailBody)),
    security(("bearer" = [
        "tenants:write", "domains:write", "issuers:write", "subscriptions:write", "plans:write",
        "gateway:write",
    ])),
)]
pub async fn release(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
) -> Result<Answer<RolloutDetailBody>, Failure> {
    let _alone = app.rollouts.applying().await;
    let released = app.tenancy.release_rollout(&caller, parsed(&id)?).await;
    app.rollouts.wake();
    Ok(Answer(detail(&app, released?)))
}

/// Takes from the chosen proxies what was rolled out.
#[utoipa::path(
    post, path = "/api/v1/rollouts/{id}/take-back", operation_id = "takeBackRollout",
    tag = "platform", params(RolloutName), request_body = TakeBackRollout,
    responses((status = 200, body = RolloutDetailBody)),
    security(("bearer" = [
        "tenants:write", "domains:write", "issuers:write", "subscriptions:write", "plans:write",
        "gateway:write",
    ])),
)]
pub async fn take_back(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    Json(request): Json<TakeBackRollout>,
) -> Result<Answer<RolloutDetailBody>, Failure> {
    let reason = request.reason.unwrap_or_else(|| "an operator has taken it back".to_owned());
    let ended = app.tenancy.take_back_rollout(&caller, parsed(&id)?, reason).await?;
    app.rollouts.wake();
    Ok(Answer(detail(&app, ended)))
}

fn parsed(id: &str) -> Result<RolloutId, Error> {
    id.parse().map_err(|_| Error::not_found("roll-out", id))
}

/// How proxies are to be chosen, and the parameter that says so.
fn chosen_by(query: &StartRolloutQuery) -> Result<(ChosenBy, &'static str), Failure> {
    let invalid =
        |parameter: &'static str, detail: String| Error::InvalidQuery { parameter, detail };
    match (&query.node, &query.label, query.percentage) {
        (Some(names), None, None) => {
            let names = names.split(',').map(str::parse::<NodeName>).collect::<Result<_, _>>();
            let names = names.map_err(|error| invalid("node", error.to_string()))?;
            Ok((ChosenBy::Nodes(names), "?node"))
        }
        (None, Some(labels), None) => {
            let pair = |label: &str| {
                // In the words in which labels are written elsewhere.
                label.parse::<LabelSelector>()?;
                let (name, value) = label.split_once('=').unwrap_or_default();
                Ok((name.to_owned(), value.to_owned()))
            };
            let labels = labels.split(',').map(pair).collect::<Result<_, String>>();
            Ok((ChosenBy::Labels(labels.map_err(|detail| invalid("label", detail))?), "?label"))
        }
        (None, None, Some(percentage @ 1..=100)) => {
            Ok((ChosenBy::Percentage(percentage), "?percentage"))
        }
        (None, None, Some(_)) => {
            Err(invalid("percentage", "percentage is 1 to 100".to_owned()).into())
        }
        _ => {
            let detail = "say who has it first by exactly one of node, label and percentage";
            Err(Failure::new(ProblemKind::InvalidQuery, detail).at("?node"))
        }
    }
}

fn terms(query: &StartRolloutQuery) -> RolloutTerms {
    let usual = RolloutTerms::default();
    RolloutTerms {
        watch_seconds: query.watch_seconds.unwrap_or(usual.watch_seconds),
        release: match query.release {
            None => usual.release,
            Some(RolloutRelease::Automatic) => Release::Automatic,
            Some(RolloutRelease::Manual) => Release::Manual,
        },
        max_server_errors: query.max_server_errors.unwrap_or(usual.max_server_errors),
        max_denied: query.max_denied.unwrap_or(usual.max_denied),
        min_requests: query.min_requests.unwrap_or(usual.min_requests),
    }
}

/// The labels of all enrolments.
async fn labels(app: &App) -> Result<Labels, Error> {
    let (mut labels, mut cursor) = (Labels::new(), None);
    let now = app.clock.now();
    loop {
        let listed = app.tenancy.nodes(&PageRequest::new(Some(PAGE), cursor)?).await?;
        for node in listed.items.into_iter().map(|node| node.value) {
            if node.expires_at.is_none_or(|expires_at| now < expires_at) {
                labels.entry(node.name).or_default().push(node.labels);
            }
        }
        cursor = listed.next_cursor;
        if cursor.is_none() {
            return Ok(labels);
        }
    }
}

fn body(rollout: &Versioned<RolloutRecord>) -> RolloutBody {
    let started_revision = rollout.started().as_u64();
    let record = &rollout.value;
    let terms = &record.terms;
    RolloutBody {
        id: record.id,
        state: match record.state {
            RolloutState::Watching => RolloutStateBody::Watching,
            RolloutState::Releasing => RolloutStateBody::Releasing,
            RolloutState::Released => RolloutStateBody::Released,
            RolloutState::TakenBack => RolloutStateBody::TakenBack,
        },
        reason: record.reason.clone(),
        started_by: record.started_by.clone(),
        started_at: record.started_at,
        started_revision,
        ended_at: record.ended_at,
        nodes: record.nodes.clone(),
        chosen_by: match record.chosen_by.clone() {
            ChosenBy::Nodes(nodes) => RolloutChoice { nodes: Some(nodes), ..Default::default() },
            ChosenBy::Labels(labels) => {
                RolloutChoice { labels: Some(labels), ..Default::default() }
            }
            ChosenBy::Percentage(percentage) => {
                RolloutChoice { percentage: Some(percentage), ..Default::default() }
            }
        },
        watch_seconds: terms.watch_seconds,
        release: match terms.release {
            Release::Automatic => RolloutRelease::Automatic,
            Release::Manual => RolloutRelease::Manual,
        },
        max_server_errors: terms.max_server_errors,
        max_denied: terms.max_denied,
        min_requests: terms.min_requests,
        changes_total: record.changes.len() as u64,
    }
}

fn detail(app: &App, rollout: Versioned<RolloutRecord>) -> RolloutDetailBody {
    let watch = match rollout.value.state {
        RolloutState::Watching => watch(app, &rollout.value),
        _ => None,
    };
    let changes = rollout.value.changes.iter().map(change).collect();
    RolloutDetailBody { rollout: body(&rollout), changes, watch }
}

fn change(change: &RolloutChange) -> RolloutChangeBody {
    let action = match (change.is_removed, change.base) {
        (true, _) => ChangeAction::Delete,
        (false, Revision::ZERO) => ChangeAction::Create,
        (false, _) => ChangeAction::Update,
    };
    let (kind, id) = (change.resource.kind.to_string(), change.resource.id.clone());
    RolloutChangeBody { action, kind, id }
}

fn watch(app: &App, record: &RolloutRecord) -> Option<RolloutWatchBody> {
    let seen = seen(app, record)?;
    let (reference, reference_of) = match seen.reference() {
        Reference::Others(requests) => (requests, RolloutReference::Others),
        Reference::Before(requests) => (requests, RolloutReference::Before),
        Reference::Nothing => (Requests::default(), RolloutReference::Nothing),
    };
    Some(RolloutWatchBody {
        until: seen.until(),
        ready: seen.judged() == Verdict::Ready,
        chosen: requests(seen.at_chosen()),
        reference: requests(reference),
        reference_of,
        proxies: seen.chosen.into_iter().map(proxy).collect(),
    })
}

fn requests(Requests { requests, server_errors, denied }: Requests) -> RolloutRequests {
    RolloutRequests { requests, server_errors, denied }
}

fn proxy(chosen: Chosen) -> RolloutProxyBody {
    let since = requests(chosen.measured.since());
    let refused = chosen.refusals.into_iter().map(|(resource, reason)| RefusedResource {
        kind: resource.kind,
        id: resource.id,
        reason,
    });
    RolloutProxyBody {
        node: chosen.node,
        connected: chosen.is_connected,
        enforces: chosen.enforces,
        refused: refused.collect(),
        since,
    }
}
