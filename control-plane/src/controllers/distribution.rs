//! `/distribution/v1`: what proxies talk to.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use tenantry_distribution::{Answer, KeyUse, StatusReport, SubscribeQuery};

use crate::{
    app::App,
    distributor::stream,
    http::{
        body::{Json, Parameters},
        enrolment::Enrolment,
        failure::Failure,
    },
};

/// `GET /distribution/v1/stream`: frames without end.
pub async fn stream(
    State(app): State<Arc<App>>,
    Extension(enrolment): Extension<Enrolment>,
    Parameters(query): Parameters<SubscribeQuery>,
) -> Result<Response, Failure> {
    enrolment.admits(&query.node)?;
    if app.distributor.position().is_none() {
        return Err(Failure::loading());
    }
    let ended = Box::pin(enrolment.ended(Arc::clone(&app)));
    let body = Body::from_stream(stream::open(&app, query).take_until(ended));
    let headers =
        [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// `POST /distribution/v1/status`: what a proxy enforces.
///
/// What it enforces is taken in first: whoever waits for that need not wait for the store.
pub async fn status(
    State(app): State<Arc<App>>,
    Extension(enrolment): Extension<Enrolment>,
    Json(mut report): Json<StatusReport>,
) -> Result<StatusCode, Failure> {
    enrolment.admits(&report.node)?;
    let mut uses = std::mem::take(&mut report.keys_used);
    app.nodes.report(report, app.clock.now());
    uses.truncate(StatusReport::MAX_KEYS_USED);
    let uses: Vec<_> = uses.into_iter().map(|KeyUse { key, at }| (key, at)).collect();
    app.tenancy.note_used_keys(&uses).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /distribution/v1/answers`: what a proxy answers to what it was asked.
pub async fn answer(
    State(app): State<Arc<App>>,
    Extension(enrolment): Extension<Enrolment>,
    Json(answer): Json<Answer>,
) -> Result<StatusCode, Failure> {
    enrolment.admits(&answer.node)?;
    app.questions.answered(answer);
    Ok(StatusCode::NO_CONTENT)
}
