//! Domains of a tenant.

use serde::{Deserialize, Serialize};
use tenantry_model::{DomainPattern, TenantId, Timestamp};

/// `POST /api/v1/tenants/{tenant}/domains`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddDomain {
    /// A host name, or `*.` and a host name.
    pub host: DomainPattern,
}

/// A domain as it is returned.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainBody {
    /// The host name.
    pub host: DomainPattern,
    /// Its owner.
    pub tenant: TenantId,
    /// When it was added.
    pub created_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}
