//! Domains: the host names by which a request names its tenant.

use serde::{Deserialize, Serialize};

use crate::{DomainPattern, TenantId};

/// A host name, or a wildcard over one label, that one tenant owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// The name; unique on the platform.
    pub host: DomainPattern,
    /// Its owner.
    pub tenant: TenantId,
}
