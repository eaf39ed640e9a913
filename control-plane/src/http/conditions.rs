//! Conditional requests (RFC 9110, section 13). The entity tag of a resource is the revision that
//! last wrote it, in quotes.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use tenantry_api::ProblemKind;
use tenantry_tenancy::Precondition;

use super::failure::Failure;

/// The conditions of a request.
pub struct Conditions {
    /// `If-Match`, for whoever changes something.
    pub precondition: Precondition,
    /// `If-None-Match`, for whoever reads something.
    pub known: Known,
}

/// Which form of a resource the client has already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It did not say.
    Nothing,
    /// Any form will do.
    Anything,
    /// One of these revisions.
    AnyOf(Vec<u64>),
}

impl Known {
    /// Whether the client has this revision.
    #[must_use]
    pub fn has(&self, revision: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Anything => true,
            Self::AnyOf(revisions) => revisions.contains(&revision),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Conditions {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let precondition = match tags(&parts.headers, &header::IF_MATCH)? {
            // Whatever is changed must exist anyway.
            Known::Nothing | Known::Anything => Precondition::None,
            Known::AnyOf(revisions) => Precondition::AnyOf(revisions),
        };
        Ok(Self { precondition, known: tags(&parts.headers, &header::IF_NONE_MATCH)? })
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Known, Failure> {
    let mut revisions = Vec::new();
    let mut is_given = false;
    for value in headers.get_all(name) {
        is_given = true;
        let text = value.to_str().map_err(|_| unreadable(name))?;
        if text.trim() == "*" {
            return Ok(Known::Anything);
        }
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let weak = tag.strip_prefix("W/");
            // A weak tag never matches where a strong one is asked for, and none is given out here.
            let is_usable = weak.is_none() || name == header::IF_NONE_MATCH;
            let opaque =
                weak.unwrap_or(tag).strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let opaque = opaque.ok_or_else(|| unreadable(name))?;
            // A tag that is no revision is one of something else: it matches nothing.
            revisions.extend(opaque.parse::<u64>().ok().filter(|_| is_usable));
        }
    }
    Ok(if is_given { Known::AnyOf(revisions) } else { Known::Nothing })
}

fn unreadable(name: &HeaderName) -> Failure {
    let detail = format!("{name} holds entity tags, such as \"42\" with its quotes, or `*`");
    Failure::new(ProblemKind::InvalidHeader, detail)
}
