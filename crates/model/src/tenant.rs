//! The tenant as a proxy enforces it.

pub mod spec;

use std::{collections::BTreeMap, num::NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::{
    Access, AuthRequirement, Branding, CertificatePem, FeatureId, GroupId, Limits, PlanId,
    RegionId, Slug, TenantId,
};

/// Whether a tenant's requests are served.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Being set up, and not served yet.
    Provisioning,
    /// Served.
    #[default]
    Active,
    /// Refused until resumed; nothing of the tenant is lost.
    Suspended,
    /// Removed, and kept for a while so that it can be brought back.
    Deleting,
}

impl TenantState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Provisioning, Self::Active, Self::Suspended, Self::Deleting];

    /// The state as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }
}

/// How much of what a tenant's requests come to is written into the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogging {
    /// Nothing.
    Off,
    /// One line in so many; every one, if it is 1.
    OneIn(NonZeroU32),
}

#[cfg(feature = "openapi")]
crate::openapi::text_schema!(AccessLogging, crate::openapi::access_logging());

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
    /// What bounds its limits and features, whatever its plan and itself say; nothing, if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
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
    /// The authorities that its clients' certificates must come from. If there are any, every request
    /// must come over a connection on which such a certificate was verified for this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_pem: Option<CertificatePem>,
    /// Where its requests may be served: by upstreams of this region and those of none. Anywhere, if
    /// it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// How its error pages look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branding: Option<Branding>,
    /// How much of it is in the access log; what the proxy's own setting says, if it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLogging>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_logging_is_off_or_one_in_some() {
        let read = serde_json::from_str::<AccessLogging>;
        assert_eq!(read(r#""off""#).unwrap(), AccessLogging::Off);
        let one_in = AccessLogging::OneIn(NonZeroU32::new(100).unwrap());
        assert_eq!(read(r#"{"one_in":100}"#).unwrap(), one_in);
        assert_eq!(serde_json::to_string(&one_in).unwrap(), r#"{"one_in":100}"#);
        for bad in [r#"{"one_in":0}"#, r#""on""#, "null", r#"{"one_in":1,"off":null}"#, "{}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
