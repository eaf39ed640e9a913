//! Errors as the API returns them: RFC 9457.
//!
//! The `type` is a URN, `urn:tenantry:problem:` and a name that never changes, not an `https` URL:
//! clients compare it and must not be tempted to fetch it, and it has to mean the same on a machine
//! that has never seen the project's site.

use serde::{Deserialize, Serialize};

const URN: &str = "urn:tenantry:problem:";

/// An error response.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind of error; compare it with [`ProblemKind::urn`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words; the same for every problem of the kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time, and what to do about it.
    pub detail: String,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The request, as the control plane's log and audit call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The parts of the request that are at fault, where they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// Of a kind, with a detail.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.urn(),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            instance: None,
            request_id: None,
            errors: Vec::new(),
        }
    }

    /// Whether it is of this kind.
    #[must_use]
    pub fn is(&self, kind: ProblemKind) -> bool {
        self.kind == kind.urn()
    }
}

/// One part of a request that is at fault.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// A JSON pointer into the body (RFC 6901), or the name of a query parameter after `?`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $kind:ident, $name:literal, $status:literal, $title:literal;)*) => {
        /// Every kind of error the API returns.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemKind { $($(#[$doc])* $kind,)* }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The last part of the URN.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The HTTP status it comes with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// The kind in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }
        }
    };
}

problems! {
    /// The body is not JSON.
    MalformedJson, "malformed-json", 400, "The body is not JSON";
    /// A query parameter breaks a rule.
    InvalidQuery, "invalid-query", 400, "A query parameter is not valid";
    /// A header breaks a rule.
    InvalidHeader, "invalid-header", 400, "A header is not valid";
    /// The cursor is not one of this list, or its state is no longer kept.
    InvalidCursor, "invalid-cursor", 400, "The cursor cannot be used";
    /// No credential, or a wrong one.
    Unauthorized, "unauthorized", 401, "A valid token is needed";
    /// The caller is known and may not do this.
    Forbidden, "forbidden", 403, "This is not allowed";
    /// There is nothing of this name.
    NotFound, "not-found", 404, "There is no such thing";
    /// The path exists, the method does not.
    MethodNotAllowed, "method-not-allowed", 405, "The method is not allowed here";
    /// The request came too slowly.
    RequestTimeout, "request-timeout", 408, "The request took too long to arrive";
    /// The slug belongs to a tenant.
    SlugTaken, "slug-taken", 409, "The slug is taken";
    /// The e-mail address belongs to somebody.
    EmailTaken, "email-taken", 409, "The e-mail address is taken";
    /// Somebody must be left who may do everything.
    LastOwner, "last-owner", 409, "This is the last owner";
    /// The domain belongs to a tenant.
    DomainTaken, "domain-taken", 409, "The domain is taken";
    /// There is a certificate for the name, or a default one, already.
    CertificateTaken, "certificate-taken", 409, "There is a certificate for this";
    /// The identifier is in use.
    IdTaken, "id-taken", 409, "The identifier is taken";
    /// Another key has taken its place.
    KeyReplaced, "key-replaced", 409, "The key was rolled already";
    /// They belong to the tenant already.
    MemberAlready, "member-already", 409, "They are a member already";
    /// There is no room under a quota.
    QuotaExceeded, "quota-exceeded", 409, "Quota exceeded";
    /// Something refers to it.
    InUse, "in-use", 409, "It is in use";
    /// The tenant's state does not allow it.
    InvalidState, "invalid-state", 409, "The tenant's state does not allow this";
    /// The two ends of a stream are too far apart.
    NoCommonProtocol, "no-common-protocol", 409, "There is no protocol that both ends speak";
    /// The same request is on its way already.
    IdempotencyInProgress, "idempotency-in-progress", 409, "The same request is in progress";
    /// Others kept changing the same records.
    ConcurrentChange, "concurrent-change", 409, "It was changed at the same time";
    /// Some of what was there cannot come back.
    NotRestorable, "not-restorable", 409, "Not all of it can come back";
    /// All tenants, or most of many, would go.
    MassRemoval, "mass-removal", 409, "Too many tenants would be removed";
    /// There is one roll-out at a time.
    RolloutUnderWay, "rollout-under-way", 409, "A roll-out is under way";
    /// The roll-out cannot be released or taken back any more.
    RolloutEnded, "rollout-ended", 409, "The roll-out is over";
    /// Somebody else has changed what is rolled out.
    RolloutOutdated, "rollout-outdated", 409, "What is rolled out was changed by somebody else";
    /// The revision is older than what is kept.
    RevisionForgotten, "revision-forgotten", 410, "The revision is not kept any more";
    /// It was there, and cannot be used any more.
    Gone, "gone", 410, "It cannot be used any more";
    /// `If-Match` names another revision.
    PreconditionFailed, "precondition-failed", 412, "It has changed since";
    /// The body is too large.
    TooLarge, "too-large", 413, "The request is too large";
    /// The body is of another type.
    UnsupportedMediaType, "unsupported-media-type", 415, "The body must be JSON";
    /// The body is JSON and breaks a rule.
    Invalid, "invalid", 422, "The request is not valid";
    /// The name of another request.
    IdempotencyKeyReused, "idempotency-key-reused", 422, "The Idempotency-Key is that of another request";
    /// More requests than the caller may make.
    RateLimited, "rate-limited", 429, "Too many requests";
    /// Too many attempts.
    TooManyAttempts, "too-many-attempts", 429, "Too many attempts";
    /// A fault of the control plane.
    Internal, "internal", 500, "The control plane failed";
    /// Not now.
    Unavailable, "unavailable", 503, "The control plane cannot do this now";
    /// Secrets cannot be sealed.
    NoMasterKey, "no-master-key", 503, "There is no master key";
    /// The write may or may not have been made.
    OutcomeUnknown, "outcome-unknown", 503, "It is not known whether the change was made";
    /// A proxy that was asked did not answer.
    ProxySilent, "proxy-silent", 504, "The proxy did not answer";
    /// The disk is full.
    StorageFull, "storage-full", 507, "The disk of the control plane is full";
}

impl ProblemKind {
    /// The value of `type`.
    #[must_use]
    pub fn urn(self) -> String {
        format!("{URN}{}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn kinds_have_different_names() {
        let names: HashSet<_> = ProblemKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ProblemKind::ALL.len());
    }
}
