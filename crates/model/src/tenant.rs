//! The tenant as a proxy enforces it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Access, AuthRequirement, FeatureId, Limits, PlanId, RegionId, Slug, TenantId};

/// Whether a tenant's requests are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Served.
    #[default]
    Active,
    /// Refused until resumed; nothing of the tenant is lost.
    Suspended,
    /// Removed, and kept for a while so that it can be brought back.
    Deleting,
}

impl TenantState {
    /// The state as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }
}

/// A customer organisation of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Never changes.
    pub id: TenantId,
    /// The readable name; unique.
    pub slug: Slug,
    /// Whether it is served.
    pub state: TenantState,
    /// Where limits and features come from.
    pub plan: PlanId,
    /// What its requests must prove.
    #[serde(default)]
    pub auth: AuthRequirement,
    /// From where it may be reached.
    #[serde(default)]
    pub access: Access,
    /// Features that are on or off for this tenant, whatever its plan says.
    #[serde(default)]
    pub features: BTreeMap<FeatureId, bool>,
    /// Limits in place of the plan's.
    #[serde(default)]
    pub limits: Limits,
    /// Where its requests may be served: by upstreams of this region and those of none. Anywhere, if
    /// it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
}
