//! API keys of a tenant.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use tenantry_model::{KeyId, Scope, TenantId, Timestamp};

/// `POST /api/v1/tenants/{tenant}/keys`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    #[serde(default)]
    pub scopes: BTreeSet<Scope>,
    /// From this instant on it is refused; never, if not given.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A key as it is returned: everything but the secret.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyBody {
    /// Never changes, and is not the secret.
    pub id: KeyId,
    /// Its owner.
    pub tenant: TenantId,
    /// What it is for.
    pub name: String,
    /// The first characters of the secret, so that its owner can tell keys apart.
    pub hint: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// From this instant on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}

/// The answer to [`CreateApiKey`], the only one that ever holds the secret.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedApiKey {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKeyBody,
    /// The secret. It is kept nowhere and cannot be shown again: it is `null` where the request had been
    /// sent before under the same `Idempotency-Key`.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub secret: Option<String>,
}

impl fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedApiKey").field("key", &self.key).finish_non_exhaustive()
    }
}
