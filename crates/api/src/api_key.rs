//! API keys of a tenant.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use tenantry_model::{
    Bounded, KeyId, KeyNetworks, KeySpec, RateLimits, Scope, TenantId, Timestamp,
};

/// `POST /api/v1/tenants/{tenant}/keys`, and `PUT` on one of them.
pub type CreateApiKey = KeySpec;

/// `POST /api/v1/tenants/{tenant}/keys/{id}/roll`; answered with [`CreatedApiKey`].
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollApiKey {
    /// For so many seconds the old key is good beside the new one, at most a year; with 0 it is refused
    /// at once.
    pub overlap_seconds: Bounded<0, 31_536_000>,
    /// When the new key expires; as the old one would have, if not given.
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
    /// Whether it is accepted at all.
    pub enabled: bool,
    /// From where it may be used; from anywhere, if it does not say.
    pub allowed_networks: Option<KeyNetworks>,
    /// Limits of its own, beside its tenant's.
    pub rate_limits: RateLimits,
    /// The key that it was made to take the place of.
    pub replaces: Option<KeyId>,
    /// The key that took its place, if it was rolled.
    #[serde(default)]
    pub replaced_by: Option<KeyId>,
    /// When it was last used, to the hour; the revision does not change with it.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if it ever was.
    pub updated_at: Option<Timestamp>,
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
