//! Errors to problems: the only place where an error becomes a status and a text for the client.
//!
//! A fault of the control plane is logged here, once, with its detail; the client gets a sentence
//! without it.

use std::any::Any;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tenantry_api::{FieldError, Problem, ProblemKind};
use tenantry_tenancy::{Error, Fault, StoreFault};

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    problem: Box<Problem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem on its way out; the request's name and path are added where they are known.
#[derive(Debug, Clone)]
pub(crate) struct Unsent(pub(crate) Problem);

impl Failure {
    /// Of a kind, with a sentence for the client.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(kind, detail)), headers: Vec::new() }
    }

    /// With the part of the request that is at fault.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        let detail = self.problem.detail.clone();
        self.problem.errors.push(FieldError { pointer: pointer.into(), detail });
        self
    }

    /// What there is to say of it.
    pub(crate) fn into_problem(self) -> Box<Problem> {
        self.problem
    }

    /// With a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a word on when to try again.
    #[must_use]
    pub fn retry_after(self, seconds: &'static str) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from_static(seconds))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response.headers_mut().extend(self.headers);
        response.extensions_mut().insert(Unsent(*self.problem));
        response
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound { .. } => Self::new(ProblemKind::NotFound, detail),
            Error::Forbidden(_) => Self::new(ProblemKind::Forbidden, detail),
            Error::Gone(_) => Self::new(ProblemKind::Gone, detail),
            Error::LastOwner => Self::new(ProblemKind::LastOwner, detail),
            Error::EmailTaken(_) => Self::new(ProblemKind::EmailTaken, detail).at("/email"),
            Error::SlugTaken(_) => Self::new(ProblemKind::SlugTaken, detail).at("/slug"),
            Error::DomainTaken { pointer, .. } => {
                Self::new(ProblemKind::DomainTaken, detail).at(pointer)
            }
            Error::CertificateTaken { pointer, .. } => {
                Self::new(ProblemKind::CertificateTaken, detail).at(pointer)
            }
            Error::NoMasterKey => Self::new(ProblemKind::NoMasterKey, detail),
            Error::IdTaken { .. } => Self::new(ProblemKind::IdTaken, detail).at("/id"),
            Error::KeyReplaced { .. } => Self::new(ProblemKind::KeyReplaced, detail),
            Error::MemberAlready(_) => Self::new(ProblemKind::MemberAlready, detail).at("/email"),
            Error::QuotaExceeded { .. } => Self::new(ProblemKind::QuotaExceeded, detail),
            Error::InUse { .. } => Self::new(ProblemKind::InUse, detail),
            Error::InvalidState { .. } => Self::new(ProblemKind::InvalidState, detail),
            Error::IdempotencyKeyReused => Self::new(ProblemKind::IdempotencyKeyReused, detail),
            Error::PreconditionFailed { .. } => Self::new(ProblemKind::PreconditionFailed, detail),
            Error::Invalid { pointer, .. } => Self::new(ProblemKind::Invalid, detail).at(pointer),
            Error::Faults(faults) => {
                let mut failure = Self::new(ProblemKind::Invalid, detail);
                let faults = faults.into_iter();
                let error = |Fault { pointer, detail }| FieldError { pointer, detail };
                failure.problem.errors.extend(faults.map(error));
                failure
            }
            Error::RevisionForgotten { .. } => Self::new(ProblemKind::RevisionForgotten, detail),
            Error::MassRemoval { .. } => {
                Self::new(ProblemKind::MassRemoval, detail).at("?allow_mass_removal")
            }
            Error::NotRestorable(lost) => {
                let mut failure = Self::new(ProblemKind::NotRestorable, detail);
                let error = |Fault { pointer, detail }| FieldError { pointer, detail };
                failure.problem.errors.extend(lost.into_iter().map(error));
                failure
            }
            Error::RolloutUnderWay(_) => Self::new(ProblemKind::RolloutUnderWay, detail),
            Error::RolloutEnded(_) => Self::new(ProblemKind::RolloutEnded, detail),
            Error::RolloutOutdated(_) => Self::new(ProblemKind::RolloutOutdated, detail),
            Error::InvalidQuery { parameter, .. } => {
                Self::new(ProblemKind::InvalidQuery, detail).at(format!("?{parameter}"))
            }
            Error::InvalidCursor(_) => Self::new(ProblemKind::InvalidCursor, detail).at("?cursor"),
            Error::TooLarge { .. } => Self::new(ProblemKind::TooLarge, detail),
            Error::ConcurrentChange => Self::new(ProblemKind::ConcurrentChange, detail),
            Error::Store(fault) => Self::from(fault),
        }
    }
}

impl From<StoreFault> for Failure {
    fn from(fault: StoreFault) -> Self {
        let detail = fault.to_string();
        match fault {
            StoreFault::Full => Self::new(ProblemKind::StorageFull, detail),
            StoreFault::Unavailable => Self::new(ProblemKind::Unavailable, detail).retry_after("1"),
            StoreFault::Unknown => Self::new(ProblemKind::OutcomeUnknown, detail),
            StoreFault::Failed => Self::new(ProblemKind::Unavailable, detail),
            StoreFault::Damaged { key } => {
                tracing::error!(key, "a stored record cannot be read");
                Self::internal()
            }
            StoreFault::Limit(limit) => {
                tracing::error!(limit, "a change does not fit one commit");
                Self::internal()
            }
        }
    }
}

impl Failure {
    /// A fault of the control plane, which its log describes.
    pub(crate) fn internal() -> Self {
        let detail = "something is wrong with the control plane; its log has this request's id";
        Self::new(ProblemKind::Internal, detail)
    }

    /// The state is still being read from the store.
    #[must_use]
    pub fn loading() -> Self {
        let detail = "the state is still being loaded; try again";
        Self::new(ProblemKind::Unavailable, detail).retry_after("1")
    }
}

/// For a path that does not exist.
pub async fn no_such_path(uri: Uri) -> Failure {
    Failure::new(ProblemKind::NotFound, format!("there is nothing at {}", uri.path()))
}

/// For a method that a path does not have. What it has is in `Allow`.
pub async fn no_such_method(method: Method) -> Failure {
    Failure::new(ProblemKind::MethodNotAllowed, format!("{method} is not one of those in Allow"))
}

/// For a handler that panicked.
#[expect(clippy::needless_pass_by_value, reason = "the signature tower-http asks for")]
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    tracing::error!(panic = text, "a handler panicked");
    Failure::internal().into_response()
}
