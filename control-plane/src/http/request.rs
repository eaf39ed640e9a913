//! Every request gets a name, and every problem says which request it answers.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderName, HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use tenantry_tenancy::{Caller, Principal};

use super::{
    changes::Rehearsal,
    failure::{Failure, Unsent},
};
use crate::app::App;

/// The header that carries the request's name, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The name of a request: the client's own, if it sent a good one.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Names the request, and writes the problem that a handler or a layer has left in the response.
pub async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).filter(|value| is_good(value)).cloned();
    let fresh = || HeaderValue::from_str(&app.random.ulid(app.clock.now()).to_string()).ok();
    let id = given.or_else(fresh).unwrap_or_else(|| HeaderValue::from_static("unknown"));
    let id = RequestId(id);
    request.extensions_mut().insert(id.clone());
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(Unsent(mut problem)) = response.extensions_mut().remove::<Unsent>() {
        problem.instance = Some(path);
        problem.request_id = Some(id.as_str().to_owned());
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        // Whoever made the response without a body has also said that it has none.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
    response.headers_mut().insert(REQUEST_ID, id.0);
    response
}

fn is_good(value: &HeaderValue) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&value.len())
        && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Who asks, for the audit log.
pub struct Asking(pub Caller);

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self(caller(parts)))
    }
}

/// Who asks for what these are the parts of.
pub(crate) fn caller(parts: &Parts) -> Caller {
    let id = parts.extensions.get::<RequestId>();
    let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let principal = parts.extensions.get::<Principal>();
    Caller {
        principal: principal.cloned().unwrap_or(Principal::Anonymous),
        request_id: id.map(RequestId::as_str).unwrap_or_default().to_owned(),
        source_address: from.map(|from| from.0.ip()),
        idempotency: parts.extensions.get().cloned(),
        is_rehearsal: parts.extensions.get::<Rehearsal>().is_some(),
    }
}
