//! Access tokens, of operators and of tenants.

use std::fmt;

use serde::{Deserialize, Serialize};
use tenantry_model::{OperatorId, Permissions, RoleId, TenantId, Timestamp, TokenId, UserId};

/// `POST /api/v1/operators/{operator}/tokens`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it is for.
    pub name: String,
    /// Only these of the operator's permissions; all that it has at the time, if not given.
    #[serde(default)]
    pub scopes: Option<Permissions>,
    /// From this instant on it is refused; never, if not given.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// `POST /api/v1/tenants/{tenant}/tokens`: with a role, a member or scopes.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTenantToken {
    /// What it is for.
    pub name: String,
    /// What the role allows, as it is when the token is used.
    #[serde(default)]
    pub role: Option<RoleId>,
    /// What this member may do, as long as it is one.
    #[serde(default)]
    pub member: Option<UserId>,
    /// These permissions.
    #[serde(default)]
    pub scopes: Option<Permissions>,
    /// From this instant on it is refused; never, if not given.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A token as it is returned: everything but the secret.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenBody {
    /// Never changes, and is not the secret.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// The operator that holds it, if one does.
    #[serde(default)]
    pub operator: Option<OperatorId>,
    /// The tenant that holds it, and beyond which it reaches nothing, if one does.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The role that says what it may do in the tenant, if one does.
    #[serde(default)]
    pub role: Option<RoleId>,
    /// The member in whose name it acts, if it does.
    #[serde(default)]
    pub member: Option<UserId>,
    /// What it may do, if a role or the operator does not say.
    #[serde(default)]
    pub scopes: Option<Permissions>,
    /// The first characters of the secret, so that its owner can tell tokens apart.
    pub hint: String,
    /// From this instant on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to some minutes.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}

/// The only answer that ever holds the secret of a token.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedToken {
    /// The token.
    #[serde(flatten)]
    pub token: TokenBody,
    /// The secret. It is kept nowhere and cannot be shown again: it is `null` where the request had been
    /// sent before under the same `Idempotency-Key`.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub secret: Option<String>,
}

impl fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedToken").field("token", &self.token).finish_non_exhaustive()
    }
}
