//! What may be written of a tenant, listed once: the API takes and returns it, the command line fills
//! it, and the control plane splits it into what proxies enforce and what only people need.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AccessLogging, Tenant, TenantState};
use crate::{
    Access, AuthRequirement, Branding, CertificatePem, FeatureId, GroupId, Limits, PlanId,
    RegionId, Slug, TenantId,
};

/// What may be written of a tenant. What is not given has its default.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// Its readable name in URLs; unique, and may change.
    pub slug: Slug,
    /// Its name for people.
    pub name: String,
    /// The plan it is on; must exist.
    pub plan: PlanId,
    /// The group it is in, which bounds what plan and overrides give; must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
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
    #[serde(default)]
    pub region: Option<RegionId>,
    /// How its error pages look.
    #[serde(default)]
    pub branding: Option<Branding>,
    /// How much of it is in the access log: `"off"`, or `{"one_in": 100}`.
    #[serde(default)]
    pub access_log: Option<AccessLogging>,
    /// Preferences of the tenant, each under a key that is known and held to that key's schema.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    #[serde(default)]
    pub settings: Map<String, Value>,
}

/// The part of a tenant that no proxy needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `TenantSpec`")]
pub struct TenantProfile {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
}

impl TenantSpec {
    /// A tenant with defaults for all that has one.
    #[must_use]
    pub fn new(slug: Slug, name: impl Into<String>, plan: PlanId) -> Self {
        Self {
            slug,
            name: name.into(),
            plan,
            group: None,
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
            settings: Map::new(),
        }
    }

    /// What was written of a tenant, from what became of it.
    #[must_use]
    pub fn of(tenant: &Tenant, profile: &TenantProfile) -> Self {
        let Tenant {
            id: _,
            state: _,
            slug,
            plan,
            group,
            auth,
            access,
            features,
            limits,
            client_ca_pem,
            region,
            branding,
            access_log,
        } = tenant.clone();
        let TenantProfile { name, labels, metadata, settings } = profile.clone();
        Self {
            slug,
            name,
            plan,
            group,
            auth,
            access,
            features,
            limits,
            client_ca_pem,
            labels,
            metadata,
            region,
            branding,
            access_log,
            settings,
        }
    }

    /// What a proxy enforces of it, and the rest.
    #[must_use]
    pub fn split(self, id: TenantId, state: TenantState) -> (Tenant, TenantProfile) {
        let Self {
            slug,
            name,
            plan,
            group,
            auth,
            access,
            features,
            limits,
            client_ca_pem,
            labels,
            metadata,
            region,
            branding,
            access_log,
            settings,
        } = self;
        let tenant = Tenant {
            id,
            slug,
            state,
            plan,
            group,
            auth,
            access,
            features,
            limits,
            client_ca_pem,
            region,
            branding,
            access_log,
        };
        (tenant, TenantProfile { name, labels, metadata, settings })
    }
}
