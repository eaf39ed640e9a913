//! `/distribution/v1`: what proxies talk to.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use tenantry_distribution::{StatusReport, SubscribeQuery};

use crate::{
    app::App,
    distributor::stream,
    http::{
        body::{Json, Parameters},
        failure::Failure,
    },
};

/// `GET /distribution/v1/stream`: frames without end.
pub async fn stream(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<SubscribeQuery>,
) -> Result<Response, Failure> {
    if app.distributor.position().is_none() {
        return Err(Failure::loading());
    }
    let body = Body::from_stream(stream::open(&app, query));
    let headers =
        [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// `POST /distribution/v1/status`: what a proxy enforces.
pub async fn status(State(app): State<Arc<App>>, Json(report): Json<StatusReport>) -> StatusCode {
    app.nodes.report(report, app.clock.now());
    StatusCode::NO_CONTENT
}
