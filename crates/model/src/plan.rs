//! Plans.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{FeatureId, Limits, PlanId};

/// A named bundle of limits and features that tenants are put on.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Chosen by the operator.
    pub id: PlanId,
    /// For people.
    pub name: String,
    /// What its tenants may use.
    #[serde(default)]
    pub limits: Limits,
    /// The features that are on.
    #[serde(default)]
    pub features: BTreeSet<FeatureId>,
}
