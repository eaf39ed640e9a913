//! Answers that hold one resource.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenantry_tenancy::Listing;

use super::conditions::Known;
use tenantry_api::PageBody;

/// One resource with its entity tag.
pub struct Single<T> {
    status: StatusCode,
    location: Option<String>,
    revision: u64,
    body: Option<T>,
}

impl<T> Single<T> {
    /// It is there.
    pub fn ok(revision: u64, body: T) -> Self {
        Self { status: StatusCode::OK, location: None, revision, body: Some(body) }
    }

    /// It was made, and is at this path now.
    pub fn created(location: String, revision: u64, body: T) -> Self {
        let location = Some(location);
        Self { status: StatusCode::CREATED, location, revision, body: Some(body) }
    }

    /// Nothing but the tag, if the client has this revision already.
    #[must_use]
    pub fn unless(self, known: &Known) -> Self {
        if known.has(self.revision) {
            Self { status: StatusCode::NOT_MODIFIED, body: None, ..self }
        } else {
            self
        }
    }
}

impl<T: Serialize> IntoResponse for Single<T> {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => (self.status, Json(body)).into_response(),
            None => self.status.into_response(),
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.revision)) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(Ok(location)) = self.location.map(HeaderValue::try_from) {
            headers.insert(header::LOCATION, location);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// One page of a list.
pub fn page<T, B>(
    listing: Listing<T>,
    shown: impl FnMut(tenantry_tenancy::Versioned<T>) -> B,
) -> Json<PageBody<B>> {
    let Listing { items, next_cursor, .. } = listing;
    Json(PageBody { items: items.into_iter().map(shown).collect(), next_cursor })
}
