//! `POST /api/v1/replay`: recorded requests, decided again as things are and as documents would have them.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{KeyId, TenantId};

/// Recorded requests, and what is proposed.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// What is proposed: documents as `apply` takes them.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub documents: Vec<Value>,
    /// As if tenants with this label were deleted that no document is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<String>,
    /// The requests, at most 10,000.
    #[cfg_attr(feature = "openapi", schema(max_items = 10_000))]
    pub requests: Vec<RecordedRequest>,
}

impl ReplayRequest {
    /// The most requests that are decided at once.
    pub const MAX_REQUESTS: usize = 10_000;
}

/// A request as an access log has it. It holds no credentials: what they proved stands for them.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequest {
    /// The host that was asked for.
    pub host: String,
    /// The path, in the form that routes see.
    pub path: String,
    /// The method.
    pub method: String,
    /// The client's address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub client: IpAddr,
    /// Whose request it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub tenant_id: Option<TenantId>,
    /// The API key that proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub key_id: Option<KeyId>,
    /// Whether a token proved it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_token: bool,
    /// Whether it was refused for what is looked at after its credentials: these are taken for good and sufficient,
    /// whatever they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
    /// Whether a client certificate was verified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_certificate: bool,
    /// How long its body was.
    #[serde(default)]
    pub request_bytes: u64,
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.host, self.path)
    }
}

/// What would become of the requests, in their order.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayResponse {
    /// The revision that the documents are proposed for.
    pub revision: u64,
    /// How many resources they would change.
    pub changes: u64,
    /// What would become of each request.
    pub requests: Vec<ReplayedRequest>,
}

/// What would become of one request.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayedRequest {
    /// As things are.
    pub before: ReplayOutcome,
    /// As the documents would have them.
    pub after: ReplayOutcome,
}

/// What becomes of a request.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ReplayOutcome {
    /// `forward`, `redirect`, or the reason for which it is refused.
    pub outcome: String,
    /// The status of the redirect or refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The slug of the tenant whose request it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The route it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Where it is redirected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl ReplayOutcome {
    /// Whether the client is answered alike: by whom and how, whatever the route is called.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        let answered = |outcome: &Self| {
            let Self { outcome, status, tenant, route: _, upstream, location } = outcome.clone();
            (outcome, status, tenant, upstream, location)
        };
        answered(self) == answered(other)
    }
}
