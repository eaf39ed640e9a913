//! Who may ask: whoever holds the token of the listener.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tenantry_api::ProblemKind;

use super::{failure::Failure, rate::Subject};
use crate::{app::App, token::Token};

/// What the API says of itself, which is the same for everybody.
const DESCRIPTION: &str = "/api/v1/openapi.json";

/// Everything under `/api/` needs the root token, also what does not exist, except for
/// its description.
pub async fn root(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/api/") {
        return next.run(request).await;
    }
    let is_known = presents(request.headers(), &app.root_token);
    let is_open = is_known || path == DESCRIPTION;
    let subject = match is_known {
        true => Subject::Principal(super::request::ROOT.to_owned()),
        false => Subject::address(address(&request)),
    };
    let (mut response, level) = match app.rate_limiter.admit(subject, app.clock.now()) {
        Ok(level) if is_open => (next.run(request).await, level),
        Ok(level) => (refused("send the root token as `Authorization: Bearer ...`"), level),
        Err((failure, level)) => (failure.into_response(), level),
    };
    level.show(&mut response);
    response
}

fn address(request: &Request) -> IpAddr {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |from| from.0.ip())
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
