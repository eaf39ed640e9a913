//! What operators and Prometheus look at: no token is needed, and nothing of a tenant is shown.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tenantry_api::ProblemKind;

use crate::{app::App, http::failure::Failure};

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the state is loaded and changes are taken.
pub async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Failure> {
    if let Some(reason) = app.store.status().await.read_only {
        return Err(Failure::new(ProblemKind::Unavailable, reason.to_string()));
    }
    match app.distributor.position() {
        Some(_) => Ok("ok\n"),
        None => Err(Failure::loading()),
    }
}

/// `GET /metrics`.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let status = app.store.status().await;
    match app.metrics.page(&status, app.nodes.connected()) {
        Ok(page) => ([(header::CONTENT_TYPE, tenantry_telemetry::metrics::CONTENT_TYPE)], page)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
