//! `/api/v1/snapshot`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};

use super::distribution::refused;
use crate::{app::App, distributor::export, http::failure::Failure};

/// Everything that proxies enforce, as a file with which a new proxy can begin.
///
/// It is what a proxy that subscribes is sent first, and it is checked by the proxy as a whole. Secrets in it are
/// sealed if there is a master key, and keys are digests. It takes one of the `full_states` places. If reading fails half-way, the answer is cut off.
#[utoipa::path(
    get, path = "/api/v1/snapshot", operation_id = "exportSnapshot", tag = "platform",
    responses((status = 200, body = String, content_type = "application/x-ndjson")),
    security(("bearer" = ["nodes:write", "tenants:read", "plans:read", "gateway:read"])),
)]
pub async fn export_snapshot(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let frames = export(&app).map_err(|not_now| refused(&app, not_now))?;
    let headers =
        [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(frames)).into_response())
}
