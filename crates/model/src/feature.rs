//! Features: named gates that are on or off for a tenant.

use serde::{Deserialize, Serialize};

use crate::FeatureId;

/// A declared feature.
///
/// Plans, tenants and routes may name a feature that was never declared; it is then off unless the
/// tenant's plan or the tenant itself turns it on. Declaring it adds a default and a kill switch.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The name.
    pub id: FeatureId,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whether it is on for a tenant that neither its plan nor an override speaks of.
    #[serde(default)]
    pub default: bool,
    /// The kill switch: off for everybody, whatever plans and tenants say.
    #[serde(default)]
    pub killed: bool,
}
