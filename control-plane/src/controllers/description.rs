//! What the API says of itself: `/api/v1/openapi.json` for programs, `/docs` for people.
//!
//! Both are the same for everybody and hold nothing of the platform's state, so no token is needed.

use std::sync::Arc;

use axum::{
    Extension,
    http::{HeaderName, header},
    response::IntoResponse,
};

use crate::openapi::Document;

/// The page has no script and fetches nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// This document: OpenAPI 3.1.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", operation_id = "getOpenApi", tag = "process",
    responses((status = 200, body = Object)), security(()),
)]
pub async fn openapi(Extension(document): Extension<Arc<Document>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document.json())
}

/// This document as a page.
#[utoipa::path(
    get, path = "/docs", operation_id = "getDocs", tag = "process",
    responses((status = 200, body = String, content_type = "text/html")), security(()),
)]
pub async fn page(Extension(document): Extension<Arc<Document>>) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, document.page())
}
