//! What a request says: its body, its query, the names in its path. Whatever is wrong with it becomes
//! a problem that names the place.

use std::{fmt::Display, str::FromStr, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value, error::Category};
use tenantry_api::ProblemKind;
use tenantry_tenancy::{
    Error,
    merge::{placed, plain},
};

use super::{failure::Failure, unique::UniqueMembers};

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if !content_type.is_some_and(|value| is_json(value.as_bytes())) {
            let detail = "send the body as JSON, with `Content-Type: application/json`";
            return Err(Failure::new(ProblemKind::UnsupportedMediaType, detail));
        }
        parse(&whole(request, state).await?).map(Self)
    }
}

/// How long a body may take to arrive.
#[derive(Debug, Clone, Copy)]
pub struct BodyTimeout(pub Duration);

/// A whole body, within its bounds of size and time.
pub(super) async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Failure> {
    let timeout = request.extensions().get::<BodyTimeout>().map_or(Duration::MAX, |it| it.0);
    let bytes = tokio::time::timeout(timeout, Bytes::from_request(request, state)).await;
    let bytes = bytes.map_err(|_| {
        Failure::new(ProblemKind::RequestTimeout, "the body took too long to arrive")
    })?;
    bytes.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Failure::new(ProblemKind::TooLarge, "the body is larger than this path takes")
        } else {
            Failure::new(ProblemKind::MalformedJson, "the body did not arrive whole")
        }
    })
}

/// `application/json`, or the type of merge patches. Others that are JSON by their suffix mean something else: a
/// JSON patch must not be taken for a merge patch.
fn is_json(value: &[u8]) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json" || essence == b"application/merge-patch+json"
}

/// A JSON object, every member of which stands once.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    // serde reads a list as a struct whose fields come in order; nobody writes a tenant like that.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| malformed(&error))?;
        return Err(Failure::new(ProblemKind::Invalid, "the body is a JSON object").at(""));
    }
    let parsed = parse_as(bytes)?;
    parse_as::<UniqueMembers>(bytes)?;
    Ok(parsed)
}

fn parse_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        match error.inner().classify() {
            Category::Data => misplaced(error),
            Category::Syntax | Category::Eof | Category::Io => malformed(error.inner()),
        }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(parsed)
}

/// For a document that breaks a rule somewhere.
#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
pub fn misplaced(error: serde_path_to_error::Error<serde_json::Error>) -> Failure {
    let (pointer, detail) = placed(error.path(), &error.inner().to_string());
    Failure::new(ProblemKind::Invalid, detail).at(pointer)
}

fn malformed(error: &serde_json::Error) -> Failure {
    Failure::new(ProblemKind::MalformedJson, format!("the body is not JSON: {error}"))
}

/// Takes out what the platform keeps about a resource, so that what was read can be sent back as it is.
pub fn without_bookkeeping(document: &mut Map<String, Value>) {
    for member in ["created_at", "updated_at", "revision"] {
        document.remove(member);
    }
}

/// The parameters behind `?`.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(parameters)| Self(parameters)).map_err(|rejection| {
            let text = rejection.body_text();
            let (name, detail) = misread(text.strip_prefix(MISREAD).unwrap_or(&text));
            let failure = Failure::new(ProblemKind::InvalidQuery, detail);
            if name.is_empty() { failure } else { failure.at(format!("?{name}")) }
        })
    }
}

/// What stands before it where axum says what is wrong with a query.
const MISREAD: &str = "Failed to deserialize query string: ";

/// Which parameter is wrong, and why.
fn misread(text: &str) -> (&str, String) {
    if let Some(name) = text.split('`').nth(1).filter(|_| text.contains("unknown field `")) {
        return (name, format!("there is no parameter `{name}` here"));
    }
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match text.split_once(": ") {
        Some((name, message)) if is_name(name) => (name, plain(message)),
        _ => ("", plain(text)),
    }
}

/// What a parameter says, read as what it is meant to be.
pub fn parameter<T>(name: &'static str, text: Option<&str>) -> Result<Option<T>, Error>
where
    T: FromStr,
    T::Err: Display,
{
    let parsed = text.map(str::parse::<T>).transpose();
    parsed.map_err(|error| Error::InvalidQuery { parameter: name, detail: error.to_string() })
}

/// The names in the path. One that cannot be decoded names nothing.
pub struct Names<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Names<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let names = Path::<T>::from_request_parts(parts, state).await;
        names.map(|Path(names)| Self(names)).map_err(|_| {
            Failure::new(ProblemKind::NotFound, "a name in the path is not percent-encoded UTF-8")
        })
    }
}
