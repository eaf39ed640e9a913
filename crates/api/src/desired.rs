//! The platform as documents: export, differences, and making things as they are meant to be.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Documents of a desired state, as `GET /api/v1/export` answers and `POST /api/v1/diff` and
/// `POST /api/v1/apply` take them, in JSON or YAML.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredState {
    /// What there is, each with its `kind`: `feature`, `plan`, `group`, `upstream`, `tenant`, `route` or
    /// `issuer`, and otherwise as it is written to create one. The tenant of a route or an issuer is named by its slug. A tenant
    /// has all its `domains` here, and `subscription` for the terms of one; what is not given is left as
    /// it is.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub documents: Vec<Value>,
    /// What no document says. It is not looked at when documents are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// In which form an export comes.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// What is exported, and how.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// `json` or `yaml`; what `Accept` asks for, if not given.
    #[cfg_attr(feature = "openapi", param(inline))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ExportFormat>,
    /// Only tenants with this label, written `name=value`, and their routes; and whatever belongs to no
    /// tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// How documents are compared with what is there.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// Tenants with this label, written `name=value`, that no document is of are to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<String>,
}

/// How documents are applied.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyQuery {
    /// Tenants with this label, written `name=value`, that no document is of are deleted, in the way that
    /// can be taken back for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<String>,
    /// Whether it is meant if all tenants would be deleted, or more than half of a hundred or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_mass_removal: Option<bool>,
}

/// What happens to one thing.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
}

impl ChangeAction {
    /// The action as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Something that is not as the documents say.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeBody {
    /// What happens to it.
    pub action: ChangeAction,
    /// What it is.
    pub kind: String,
    /// Its identifier; of a tenant, its slug.
    pub name: String,
    /// The document of what is there, if it is there.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub before: Option<Value>,
    /// The document of what is meant to be there, if it is.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub after: Option<Value>,
}

/// What is not as the documents say; nothing, if all is.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffBody {
    /// In the order in which it would be changed.
    pub changes: Vec<ChangeBody>,
}

/// What was done, or would be done, for everything to be as the documents say.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedBody {
    /// Whether nothing was changed, because that was asked for.
    pub dry_run: bool,
    /// Whether all of it was one commit, so that it was done whole or not at all.
    pub atomic: bool,
    /// How many commits it was; none, if there was nothing to do.
    pub chunks: usize,
    /// In the order in which it was changed.
    pub changes: Vec<ChangeBody>,
}
