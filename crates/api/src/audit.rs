//! The audit log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{TenantId, Timestamp};

/// `GET /api/v1/audit`: newest first.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// How many items a page has at most: 1 to 1000; 100, if not given.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u64>, minimum = 1, maximum = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before, with the same filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only what was done to this, written `kind/id`, such as `plan/pro`. For a tenant
    /// (`tenant/ten_...`) this includes what was done to its domains, keys, issuers and routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only what this actor did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only this, such as `tenant.suspend`; with a final `*`, everything that begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only what this request did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Only what was done at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only what was done before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// `GET /api/v1/audit/verify`.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyAuditQuery {
    /// The place of a link that was noted before; comes with `hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The digest of that link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Whether the audit log is what it was.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerification {
    /// Whether nothing is wrong.
    pub intact: bool,
    /// What is wrong, if anything is.
    pub fault: Option<String>,
    /// How many entries are linked, as far as the chain is whole.
    pub sealed: u64,
    /// How many entries are too new to be linked yet.
    pub unsealed: u64,
    /// The place of the last good link. Noted elsewhere, it shows later that no whole new chain was made.
    pub sequence: u64,
    /// The digest of that link.
    pub hash: String,
}

/// One thing that was done.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntryBody {
    /// A ULID.
    pub id: String,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What was done, such as `tenant.suspend`.
    pub action: String,
    /// To what it was done, written `kind/id`.
    pub target: String,
    /// The tenant it concerns, if any.
    pub tenant: Option<TenantId>,
    /// The record before, with secrets masked; null if it was made.
    pub before: Value,
    /// The record after, with secrets masked; null if it was removed.
    pub after: Value,
    /// The request that asked for it.
    pub request_id: String,
    /// The address the request came from.
    pub source_address: Option<String>,
    /// The revision that was gone back to, if this is a part of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<u64>,
    /// The revision that holds it.
    pub revision: u64,
}
