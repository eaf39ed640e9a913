//! Which pages of other origins may use the API: none, unless the bootstrap config names them.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use tenantry_model::Invalid;
use tower_http::cors::CorsLayer;

/// How long a browser may believe what it was told.
const MAX_AGE: Duration = Duration::from_secs(600);

/// An origin as browsers write it (RFC 6454, section 6.2), such as `https://console.example.com`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

impl TryFrom<String> for Origin {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte)
        };
        if host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_plain)) {
            Ok(Self(text))
        } else {
            let rule = "write http:// or https:// and a host in lower case, with its port if that is \
                        not the usual one, and no slash at the end; `*` is not taken";
            Err(Invalid::new("origin", &text, rule))
        }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        origin.0
    }
}

/// Lets pages of these origins use the API with a token that they have; nothing a browser adds by itself
/// counts as one.
pub(crate) fn allowing(origins: &[Origin]) -> CorsLayer {
    let origins: Vec<_> =
        origins.iter().filter_map(|origin| HeaderValue::try_from(&origin.0).ok()).collect();
    let named = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            named("idempotency-key"),
            named("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            named("idempotency-replayed"),
            named("ratelimit"),
            named("ratelimit-policy"),
            named("x-request-id"),
        ])
        .max_age(MAX_AGE)
}
