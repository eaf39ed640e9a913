//! Groups: what several tenants have in common, whatever their plans.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{FeatureId, GroupId, Invalid, Limits};

/// What stands before the name of a group's rate limit where it stands beside a tenant's of that name.
pub const LIMIT_PREFIX: &str = "group.";

/// Bounds for all tenants of a group. They hold for each tenant by itself, over its plan and over its own
/// overrides: what a group does not allow, nobody below it can.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawGroup")]
pub struct Group {
    /// Chosen by the operator.
    pub id: GroupId,
    /// For people.
    pub name: String,
    /// Ceilings: no tenant of the group gets more.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub limits: Limits,
    /// Features that are off for its tenants, whatever their plans and they themselves say.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub features_off: BTreeSet<FeatureId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    id: GroupId,
    name: String,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    features_off: BTreeSet<FeatureId>,
}

impl TryFrom<RawGroup> for Group {
    type Error = Invalid;

    fn try_from(raw: RawGroup) -> Result<Self, Invalid> {
        let RawGroup { id, name, limits, features_off } = raw;
        let room = crate::name::MAX_NAME_BYTES - LIMIT_PREFIX.len();
        for limit in limits.requests.as_slice() {
            let name = limit.name().as_str();
            if name.len() > room {
                let rule = format!("the name of a group's rate limit is at most {room} bytes");
                return Err(Invalid::new("rate limit", name, rule));
            }
        }
        Ok(Self { id, name, limits, features_off })
    }
}
