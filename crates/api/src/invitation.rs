//! Invitations to a tenant.

use std::fmt;

use serde::{Deserialize, Serialize};
use tenantry_model::{Email, InvitationId, RoleId, TenantId, Timestamp, UserId};

/// `POST /api/v1/tenants/{tenant}/invitations`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    /// Who is invited.
    pub email: Email,
    /// To be what in the tenant.
    pub role: RoleId,
}

/// An invitation as it is returned. Its token is only in the letter.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationBody {
    /// Never changes, and is not the token.
    pub id: InvitationId,
    /// To which tenant.
    pub tenant: TenantId,
    /// Who is invited.
    pub email: Email,
    /// To be what.
    pub role: RoleId,
    /// `pending`, `accepted`, `revoked` or `expired`.
    pub state: String,
    /// Who has invited, as the audit log names it.
    pub invited_by: String,
    /// From this instant on it is refused.
    pub expires_at: Timestamp,
    /// Who has become a member by it.
    pub accepted_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}

/// `POST /api/v1/invitations/accept`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// The token from the letter.
    pub token: String,
}

impl fmt::Debug for AcceptInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptInvitation([hidden])")
    }
}
