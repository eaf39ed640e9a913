//! What operators and Prometheus look at: no token is needed, and nothing of a tenant is shown.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use tenantry_api::ProblemKind;
use tenantry_store::ReadOnly;

use crate::{app::App, http::failure::Failure};

/// Whether the process answers.
#[utoipa::path(
    get, path = "/healthz", operation_id = "getHealth", tag = "process",
    responses((status = 200, body = String, content_type = "text/plain")), security(()),
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests are served.
///
/// With a full disk reads are, so this stays 200 and the body says `read-only`: whoever took the process
/// out of service for it would take the reads away as well.
#[utoipa::path(
    get, path = "/readyz", operation_id = "getReadiness", tag = "process",
    responses((status = 200, body = String, content_type = "text/plain")), security(()),
)]
pub async fn readyz(State(app): State<Arc<App>>) -> Result<String, Failure> {
    if app.distributor.position().is_none() {
        return Err(Failure::loading());
    }
    match app.store.status().await.read_only {
        None => Ok("ok\n".to_owned()),
        Some(reason @ ReadOnly::Full) => Ok(format!("read-only: {reason}\n")),
        Some(reason) => Err(Failure::new(ProblemKind::Unavailable, reason.to_string())),
    }
}

/// Metrics for Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "getMetrics", tag = "process",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
    security(()),
)]
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let status = app.store.status().await;
    match app.metrics.page(&status, app.nodes.connected()) {
        Ok(page) => ([(header::CONTENT_TYPE, tenantry_telemetry::metrics::CONTENT_TYPE)], page)
            .into_response(),
        Err(_) => Failure::internal().into_response(),
    }
}
