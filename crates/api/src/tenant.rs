//! Tenants.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_model::{
    Access, AccessLogging, AuthRequirement, Branding, CertificatePem, DomainPattern, FeatureId,
    Limits, PlanId, RegionId, Slug, TenantId, TenantState, Timestamp,
};

/// `POST /api/v1/tenants`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Its readable name in URLs; unique.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// The plan it is put on; must exist.
    pub plan: PlanId,
    /// The host names it owns from the start.
    #[serde(default)]
    pub domains: Vec<DomainPattern>,
    /// What its requests must prove.
    #[serde(default)]
    pub auth: AuthRequirement,
    /// From where it may be reached.
    #[serde(default)]
    pub access: Access,
    /// Features that are on or off for it, whatever its plan says.
    #[serde(default)]
    pub features: BTreeMap<FeatureId, bool>,
    /// Limits in place of the plan's.
    #[serde(default)]
    pub limits: Limits,
    /// The authorities that its clients' certificates must come from, as PEM; a client certificate is
    /// required if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_pem: Option<CertificatePem>,
    /// Short texts to find and group tenants by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whatever the operator wants to keep with it; an object of at most 16 KiB.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The only region, beside upstreams of none, that may serve it; any may, if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// How its error pages look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branding: Option<Branding>,
    /// How much of it is in the access log: `"off"`, or `{"one_in": 100}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLogging>,
}

impl CreateTenant {
    /// A tenant with defaults for all that has one.
    #[must_use]
    pub fn new(slug: Slug, name: impl Into<String>, plan: PlanId) -> Self {
        Self {
            slug,
            name: name.into(),
            plan,
            domains: Vec::new(),
            auth: AuthRequirement::default(),
            access: Access::default(),
            features: BTreeMap::new(),
            limits: Limits::default(),
            client_ca_pem: None,
            labels: BTreeMap::new(),
            metadata: Map::new(),
            region: None,
            branding: None,
            access_log: None,
        }
    }
}

/// `PUT /api/v1/tenants/{tenant}`: what is not given falls back to its default. `PATCH` takes a merge
/// patch (RFC 7396) of the same object.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceTenant {
    /// Its readable name in URLs; unique, and may change.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// The plan it is on; must exist.
    pub plan: PlanId,
    /// What its requests must prove.
    #[serde(default)]
    pub auth: AuthRequirement,
    /// From where it may be reached.
    #[serde(default)]
    pub access: Access,
    /// Features that are on or off for it, whatever its plan says.
    #[serde(default)]
    pub features: BTreeMap<FeatureId, bool>,
    /// Limits in place of the plan's.
    #[serde(default)]
    pub limits: Limits,
    /// The authorities that its clients' certificates must come from, as PEM; a client certificate is
    /// required if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_pem: Option<CertificatePem>,
    /// Short texts to find and group tenants by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whatever the operator wants to keep with it; an object of at most 16 KiB.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The only region, beside upstreams of none, that may serve it; any may, if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// How its error pages look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branding: Option<Branding>,
    /// How much of it is in the access log: `"off"`, or `{"one_in": 100}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLogging>,
}

/// `POST /api/v1/tenants/{tenant}/suspend`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspendTenant {
    /// Why, for people.
    pub reason: String,
}

/// A tenant as it is returned. Its domains, keys and issuers are collections of their own.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantBody {
    /// Never changes.
    pub id: TenantId,
    /// Its readable name in URLs.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// Whether it is served.
    pub state: TenantState,
    /// The plan it is on.
    pub plan: PlanId,
    /// What its requests must prove.
    pub auth: AuthRequirement,
    /// From where it may be reached.
    pub access: Access,
    /// Features that are on or off for it, whatever its plan says.
    pub features: BTreeMap<FeatureId, bool>,
    /// Limits in place of the plan's.
    pub limits: Limits,
    /// The authorities that its clients' certificates must come from, as PEM; a client certificate is
    /// required if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_pem: Option<CertificatePem>,
    /// Short texts to find and group tenants by.
    pub labels: BTreeMap<String, String>,
    /// Whatever the operator keeps with it.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Map<String, Value>,
    /// The only region, beside upstreams of none, that may serve it.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// How its error pages look.
    #[serde(default)]
    pub branding: Option<Branding>,
    /// How much of it is in the access log.
    #[serde(default)]
    pub access_log: Option<AccessLogging>,
    /// Why it is suspended, or was when it was deleted.
    pub suspended_reason: Option<String>,
    /// When it was deleted; set only in the state `deleting`.
    pub deleted_at: Option<Timestamp>,
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
    /// Only tenants whose slug starts with this, or whose name contains it, whatever the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
}
