//! Tenants.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use tenantry_model::{
    DomainPattern, Email, GroupId, KeySpec, PlanId, RegionId, RoleId, TenantId, TenantSpec,
    TenantState, Timestamp,
};

use crate::{CreatedApiKey, InvitationBody};

/// What a document was not, and where in it.
pub type PlacedError = serde_path_to_error::Error<serde_json::Error>;

/// `POST /api/v1/tenants`: what a tenant is, and in the same commit what it starts with.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateTenant {
    /// What it is.
    #[serde(flatten)]
    pub spec: TenantSpec,
    /// What it starts with.
    #[serde(flatten)]
    pub start: TenantStart,
}

/// What a tenant is made with.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantStart {
    /// The host names it owns from the start; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainPattern>,
    /// Whether it is served at once, or is still to be set up and then activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<InitialState>,
    /// A first API key; its secret is in the answer, and nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeySpec>,
    /// Who is invited first, to run the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<FirstAdmin>,
}

/// Who is invited first.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstAdmin {
    /// Who.
    pub email: Email,
    /// To be what; `owner`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleId>,
}

/// A tenant that was just made, and what it was made with.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedTenant {
    /// The tenant.
    #[serde(flatten)]
    pub tenant: TenantBody,
    /// Its first key, if one was asked for. This answer is the only one that holds its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<CreatedApiKey>,
    /// Its first invitation, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<InvitationBody>,
}

/// A state that a tenant can be made in.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialState {
    /// Served at once.
    #[default]
    Active,
    /// Not served before `POST /api/v1/tenants/{tenant}/activate`.
    Provisioning,
}

impl From<InitialState> for TenantState {
    fn from(state: InitialState) -> Self {
        match state {
            InitialState::Active => Self::Active,
            InitialState::Provisioning => Self::Provisioning,
        }
    }
}

impl TenantStart {
    const MEMBERS: [&str; 4] = ["domains", "state", "key", "admin"];
}

impl CreateTenant {
    /// A tenant with defaults for all that has one.
    #[must_use]
    pub fn new(spec: TenantSpec) -> Self {
        Self { spec, start: TenantStart::default() }
    }

    /// Takes a document apart.
    ///
    /// # Errors
    /// The first rule that is broken, with its place: serde's own way of taking such a document apart
    /// would neither know the place nor see a misspelled member.
    pub fn parse(mut document: Map<String, Value>) -> Result<Self, PlacedError> {
        let mut start = Map::new();
        for member in TenantStart::MEMBERS {
            if let Some(value) = document.remove(member) {
                start.insert(member.to_owned(), value);
            }
        }
        Ok(Self {
            start: serde_path_to_error::deserialize(Value::Object(start))?,
            spec: serde_path_to_error::deserialize(Value::Object(document))?,
        })
    }
}

impl<'de> Deserialize<'de> for CreateTenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// `POST /api/v1/tenants/{tenant}/suspend`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspendTenant {
    /// Why, for people.
    pub reason: String,
}

/// `DELETE /api/v1/tenants/{tenant}`.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteTenantQuery {
    /// For how many days it can be brought back, 1 to 3650; as many as the control plane is set to, if
    /// not given.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u64>, minimum = 1, maximum = 3650))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
}

/// `POST /api/v1/tenants/{tenant}/purge`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeTenant {
    /// The tenant's slug, to show that it is meant.
    pub confirm: String,
}

/// What is left of a purged tenant.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionCertificateBody {
    /// The tenant.
    pub tenant: TenantId,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Who asked for its purge; `retention`, if its time had come.
    pub requested_by: String,
    /// When its purge began.
    pub requested_at: Timestamp,
    /// When the last of it was removed.
    pub purged_at: Timestamp,
    /// How many things of each kind were removed with it.
    pub removed: BTreeMap<String, u64>,
    /// A SHA-256 digest over all removed records, in hexadecimal.
    pub digest: String,
    /// The revision that removed the last of it.
    pub revision: u64,
}

/// A tenant as it is returned. Its domains, keys and issuers are collections of their own.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantBody {
    /// Never changes.
    pub id: TenantId,
    /// What was written of it.
    #[serde(flatten)]
    pub spec: TenantSpec,
    /// Whether it is served.
    pub state: TenantState,
    /// Why it is suspended, or was when it was deleted.
    pub suspended_reason: Option<String>,
    /// When it was deleted; set only in the state `deleting`.
    pub deleted_at: Option<Timestamp>,
    /// Until when it can be brought back; set only in the state `deleting`.
    #[serde(default)]
    pub purge_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that last wrote it; also its `ETag`.
    pub revision: u64,
}

/// Which tenants are listed.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantQuery {
    /// How many items a page has at most: 1 to 1000; 100, if not given.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u64>, minimum = 1, maximum = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before, with the same filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only tenants in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TenantState>,
    /// Only tenants on this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// Only tenants in this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Only tenants in this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// Only tenants with this label: `tier=gold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only tenants with this in their slug or their name, whatever the case, or with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Only tenants for which this holds: `state = active AND (plan = pro OR labels.tier = gold)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// By `created_at` (as if it were not given), `updated_at`, `slug` or `name`; with ` desc` behind it, the
    /// other way round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
}
