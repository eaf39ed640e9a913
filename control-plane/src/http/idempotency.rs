//! `Idempotency-Key`: a name that a client gives to a change, so that it can ask again without doing it
//! twice.
//!
//! What was answered is kept by the operation itself, in the commit that has the effect
//! (`tenantry_tenancy::idempotency`). Here the name is read, the request is told apart from others under the same
//! name by method, path, query and body, and a second request is held off while the first is on its way. That is
//! a courtesy and no more: two that come through at once are told apart inside the commit.

use std::{collections::HashSet, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use tenantry_api::ProblemKind;
use tenantry_tenancy::{Idempotency, Principal};

use super::{body, changes::Rehearsal, failure::Failure};
use crate::app::App;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY_BYTES: usize = 255;

/// The names of the changes that are on their way. There are never more than requests.
#[derive(Debug, Default)]
pub struct InProgress(Mutex<HashSet<String>>);

impl InProgress {
    fn begin(self: &Arc<Self>, name: &str) -> Option<Beginning> {
        let is_first = self.0.lock().insert(name.to_owned());
        is_first.then(|| Beginning { all: Arc::clone(self), name: name.to_owned() })
    }
}

/// A change on its way, for as long as this lives.
struct Beginning {
    all: Arc<InProgress>,
    name: String,
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.name);
    }
}

/// Reads the name of a change.
pub async fn named(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    // What is not done is not done twice.
    if request.extensions().get::<Rehearsal>().is_some() {
        return next.run(request).await;
    }
    // Nobody is no one in particular, and could be answered what somebody else was.
    let is_known = !matches!(request.extensions().get(), None | Some(Principal::Anonymous));
    match key(request.headers()) {
        Ok(Some(_)) if !is_known => next.run(request).await,
        Ok(None) => next.run(request).await,
        Ok(Some(key)) => {
            answered(&app, &key, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
        Err(failure) => failure.into_response(),
    }
}

async fn answered(app: &App, key: &str, request: Request, next: Next) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let body = body::whole(Request::from_parts(parts.clone(), body), app).await?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    // The name itself is part of it: a body may hold a password, which a plain digest would give away to
    // whoever reads the store and guesses.
    let same = [key.as_bytes(), parts.method.as_str().as_bytes(), target.as_bytes(), &body];
    let idempotency = Idempotency::new(&holder(&parts), key, &same);
    let Some(beginning) = app.in_progress.begin(idempotency.name()) else {
        let detail = "a request with this Idempotency-Key is still in progress; try again";
        return Err(Failure::new(ProblemKind::IdempotencyInProgress, detail).retry_after("1"));
    };
    parts.extensions.insert(idempotency.clone());
    let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
    drop(beginning);
    if idempotency.is_replayed() {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Whoever asks, whichever credential shows it.
fn holder(parts: &Parts) -> String {
    match parts.extensions.get::<Principal>() {
        Some(Principal::Operator { operator, .. }) => format!("operator/{operator}"),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    let is_good = more.is_none()
        && (1..=MAX_KEY_BYTES).contains(&value.len())
        && value.as_bytes().iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(key) if is_good => Ok(Some(key.to_owned())),
        _ => {
            let detail = "an Idempotency-Key is given once and has 1 to 255 visible characters";
            Err(Failure::new(ProblemKind::InvalidHeader, detail))
        }
    }
}
