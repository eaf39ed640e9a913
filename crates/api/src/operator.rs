//! Operators, their sessions, and who is asking.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use tenantry_model::{
    Email, OperatorId, OperatorRole, Permissions, SessionId, TenantId, Timestamp, TokenId,
};

/// `POST /api/v1/operators`; `PATCH` takes a merge patch of the same.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateOperator {
    /// What people call it.
    pub name: String,
    /// Where mail reaches it; what it logs in with.
    pub email: Email,
    /// What it is.
    #[serde(default)]
    pub roles: BTreeSet<OperatorRole>,
    /// Whether it may do nothing for now.
    #[serde(default)]
    pub disabled: bool,
}

/// An operator as it is returned.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorBody {
    /// Never changes.
    pub id: OperatorId,
    /// What people call it.
    pub name: String,
    /// What it logs in with.
    pub email: Email,
    /// What it is.
    pub roles: BTreeSet<OperatorRole>,
    /// Whether it may do nothing for now.
    pub disabled: bool,
    /// Whether it can log in with a password.
    pub has_password: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}

/// `PUT /api/v1/operators/{operator}/password`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// 12 characters or more, up to 256 bytes.
    pub password: String,
}

impl fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetPassword([hidden])")
    }
}

/// `POST /api/v1/sessions`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// The operator's address.
    pub email: Email,
    /// The operator's password.
    pub password: String,
}

impl fmt::Debug for LogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogIn").field("email", &self.email).finish_non_exhaustive()
    }
}

/// The answer to [`LogIn`], the only one that ever holds the secret.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBody {
    /// Never changes, and is not the secret.
    pub id: SessionId,
    /// Whose it is.
    pub operator: OperatorId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends at the latest; without being used it ends before.
    pub expires_at: Timestamp,
    /// What to send as the bearer token. It is kept nowhere and cannot be shown again.
    pub secret: String,
}

impl fmt::Debug for SessionBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBody").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `GET /api/v1/me`: who asks, and what that one may do.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalBody {
    /// How the audit log names it.
    pub actor: String,
    /// The operator, if it is one.
    #[serde(default)]
    pub operator: Option<OperatorId>,
    /// The access token, if it came with one.
    #[serde(default)]
    pub token: Option<TokenId>,
    /// The session, if it came with one.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// The only tenant that it reaches, if there is only one.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub permissions: Permissions,
}
