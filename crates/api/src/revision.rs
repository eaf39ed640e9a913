//! History: what was changed, revision by revision, and the way back.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{TenantId, Timestamp};

use crate::ChangeBody;

/// `GET /api/v1/revisions`: newest first.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionQuery {
    /// How many items a page has at most: 1 to 1000; 100, if not given.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u64>, minimum = 1, maximum = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before, with the same filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only what this actor did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only with this among what was done, such as `tenant.suspend`; with a final `*`, with anything that
    /// begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only with this among what it was done to, written `kind/id`, such as `plan/pro`. For a tenant
    /// (`tenant/ten_...`) this includes its domains, keys, issuers and routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only what concerns this tenant, by id or slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
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

/// One of the things that were done in a revision.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionEntryBody {
    /// What was done, such as `tenant.suspend`.
    pub action: String,
    /// To what it was done, written `kind/id`.
    pub target: String,
    /// The tenant it concerns, if any.
    pub tenant: Option<TenantId>,
}

/// A revision: who made it, and what was done.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionBody {
    /// Its number.
    pub revision: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub actor: String,
    /// The request that asked for it.
    pub request_id: String,
    /// The address the request came from.
    pub source_address: Option<String>,
    /// The revision that was gone back to, if that is what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<u64>,
    /// What was done.
    pub entries: Vec<RevisionEntryBody>,
}

/// A revision with all that it changed.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevisionDetailBody {
    /// The revision.
    #[serde(flatten)]
    pub revision: RevisionBody,
    /// Each record that it made, changed or removed, with secrets masked.
    pub changes: Vec<RecordChangeBody>,
}

/// A record that was made, changed or removed.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordChangeBody {
    /// What it is.
    pub kind: String,
    /// Its identifier.
    pub id: String,
    /// The record as it was, if it was removed.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The record as it is, if it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// What is different of it, if it was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChangeBody>,
}

/// A part of a record that was changed. One that is a secret is `[hidden]` on both sides.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChangeBody {
    /// Where in the record it is (RFC 6901).
    pub pointer: String,
    /// What it was; null, if it was not there.
    pub before: Value,
    /// What it is; null, if it is not there.
    pub after: Value,
}

/// `GET /api/v1/revisions/{revision}/diff`.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionDiffQuery {
    /// The revision to compare with; the newest, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// `POST /api/v1/revisions/{revision}/rollback`.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackQuery {
    /// Whether to go back as far as that can be done if something cannot come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<bool>,
    /// Whether it is meant if all tenants would be deleted, or more than half of a hundred or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_mass_removal: Option<bool>,
}

/// Something that is not as it was.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftBody {
    /// What it is.
    pub kind: String,
    /// Its identifier; of a tenant, its slug.
    pub name: String,
    /// Why it is not.
    pub reason: String,
}

/// What was done, or would be done, to go back to a revision.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolledBackBody {
    /// The revision that was gone back to.
    pub to: u64,
    /// Whether nothing was changed, because that was asked for.
    pub dry_run: bool,
    /// Whether all of it was one commit, so that it was done whole or not at all.
    pub atomic: bool,
    /// How many commits it was; none, if there was nothing to do.
    pub chunks: usize,
    /// What was changed.
    pub changes: Vec<ChangeBody>,
    /// What came since and is still there, because something needs it that stays.
    pub kept: Vec<LeftBody>,
    /// What was there then and could not come back. There is none unless `partial` was asked for.
    pub lost: Vec<LeftBody>,
}
