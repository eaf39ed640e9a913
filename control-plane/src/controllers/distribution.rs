//! `/distribution/v1`: what proxies talk to.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use tenantry_api::ProblemKind;
use tenantry_distribution::{Answer, Encoding, KeyUse, Protocols, StatusReport, SubscribeQuery};

use crate::{
    app::App,
    distributor::{NotNow, is_ahead, stream},
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
    headers: HeaderMap,
) -> Result<Response, Failure> {
    enrolment.admits(&query.node)?;
    let theirs = query.protocol.unwrap_or(Protocols::FIRST);
    let protocol = Protocols::OURS
        .with(theirs)
        .map_err(|refusal| Failure::new(ProblemKind::NoCommonProtocol, refusal.to_string()))?;
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let encoding = Encoding::accepted(accepted);
    let view = enrolment.region().cloned();
    app.distributor.wait_for(&view).await;
    if let Some(claimed) = query.position() {
        if is_ahead(&app, claimed).await {
            return Err(Failure::loading());
        }
        let track = app.distributor.track(&query.node, &view, Some(claimed));
        app.distributor.reach(&track, claimed).await;
    }
    let terms = stream::Terms { protocol, encoding };
    let frames =
        stream::open(&app, &query, &view, terms).map_err(|not_now| refused(&app, not_now))?;
    let frames = frames.take_until(Box::pin(enrolment.ended(Arc::clone(&app))));
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept-encoding"),
    ];
    let mut response = (headers, Body::from_stream(frames)).into_response();
    if encoding == Encoding::Zstd {
        let zstd = HeaderValue::from_static(Encoding::ZSTD);
        response.headers_mut().insert(header::CONTENT_ENCODING, zstd);
    }
    Ok(response)
}

pub(super) fn refused(app: &App, not_now: NotNow) -> Failure {
    match not_now {
        NotNow::Loading => Failure::loading(),
        NotNow::TurnedAway(turned_away) => {
            let seconds = turned_away.retry_after_seconds(app.random.share());
            let detail = "others are being sent a state; come back as `Retry-After` says";
            Failure::new(ProblemKind::Unavailable, detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
        }
    }
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
    // What it was sent may have been refused for being older; then this alone says that it is ahead.
    let view = enrolment.region().cloned();
    if !is_ahead(&app, report.position()).await {
        let track = app.distributor.track(&report.node, &view, Some(report.position()));
        app.distributor.pass(&track, report.position());
    }
    let mut uses = std::mem::take(&mut report.keys_used);
    app.nodes.report(report, &view, app.clock.now());
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
