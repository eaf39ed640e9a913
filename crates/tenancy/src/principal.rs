//! Who acts, and what that one may do.

use std::fmt;

use tenantry_model::{
    InvitationId, OperatorId, Permission, Permissions, SessionId, TenantId, TokenId,
};

use crate::Error;

/// Who acts. What it may do was looked up when the request came, so a change of role holds on the
/// next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The holder of the root token: everything.
    Root,
    /// The control plane itself, for what is due.
    System,
    /// An operator.
    Operator {
        /// Which.
        operator: OperatorId,
        /// How it has proven to be that one.
        credential: Credential,
        /// What its roles, and the scopes of its token, leave it to do.
        permissions: Permissions,
    },
    /// An access token of one tenant.
    Tenant {
        /// Which token.
        token: TokenId,
        /// Its tenant, beyond which it reaches nothing.
        tenant: TenantId,
        /// What it may do there.
        permissions: Permissions,
    },
    /// Whoever presents an invitation.
    Invited(InvitationId),
    /// Nobody that is known.
    Anonymous,
}

/// How an operator has proven to be that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// By an access token.
    Token(TokenId),
    /// By a session.
    Session(SessionId),
}

impl Principal {
    /// Whether it may do something, as far as it reaches.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match self {
            Self::Root | Self::System => true,
            Self::Operator { permissions, .. } | Self::Tenant { permissions, .. } => {
                permissions.contains(&permission)
            }
            Self::Invited(_) | Self::Anonymous => false,
        }
    }

    /// Everything that it may do.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        Permission::ALL.iter().copied().filter(|permission| self.may(*permission)).collect()
    }

    /// The tenant that it is confined to.
    #[must_use]
    pub fn confinement(&self) -> Option<TenantId> {
        match self {
            Self::Tenant { tenant, .. } => Some(*tenant),
            _ => None,
        }
    }

    /// Nobody gives what they do not have: that would be a way to have it.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) fn can_grant(&self, permissions: &Permissions) -> Result<(), Error> {
        match permissions.iter().find(|permission| !self.may(**permission)) {
            None => Ok(()),
            Some(permission) => Err(Error::Forbidden(format!(
                "this concerns the permission {permission}, which you do not have yourself"
            ))),
        }
    }

    /// Whatever a caller of one tenant commits concerns that tenant. The API has looked before, by a
    /// name that may have changed hands since.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn reaches(&self, tenant: Option<TenantId>) -> Result<(), Error> {
        match self.confinement() {
            Some(own) if tenant != Some(own) => {
                Err(Error::not_found("tenant", tenant.map_or_else(String::new, |t| t.to_string())))
            }
            _ => Ok(()),
        }
    }
}

/// As the audit log names it.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::System => f.write_str("system"),
            Self::Operator { operator, credential: Credential::Token(token), .. } => {
                write!(f, "operator/{operator}/{token}")
            }
            Self::Operator { operator, credential: Credential::Session(session), .. } => {
                write!(f, "operator/{operator}/{session}")
            }
            Self::Tenant { token, .. } => write!(f, "token/{token}"),
            Self::Invited(invitation) => write!(f, "invitation/{invitation}"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}
