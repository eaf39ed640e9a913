//! Who may ask: whoever holds the token of the listener.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tenantry_api::ProblemKind;

use super::failure::Failure;
use crate::{app::App, token::Token};

/// What the API says of itself, which is the same for everybody.
const DESCRIPTION: &str = "/api/v1/openapi.json";

/// Everything under `/api/` needs the root token, also what does not exist, except for
/// its description.
pub async fn root(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_open = !path.starts_with("/api/") || path == DESCRIPTION;
    if is_open || presents(request.headers(), &app.root_token) {
        next.run(request).await
    } else {
        refused("send the root token as `Authorization: Bearer ...`")
    }
}

/// Everything needs the node token.
pub async fn node(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if presents(request.headers(), &app.node_token) {
        next.run(request).await
    } else {
        refused("send the node token as `Authorization: Bearer ...`")
    }
}

fn presents(headers: &HeaderMap, token: &Token) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    match value.as_bytes().split_at_checked(b"Bearer ".len()) {
        Some((scheme, presented)) => scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(presented),
        None => false,
    }
}

fn refused(detail: &'static str) -> Response {
    Failure::new(ProblemKind::Unauthorized, detail)
        .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"tenantry\"")
        .into_response()
}
