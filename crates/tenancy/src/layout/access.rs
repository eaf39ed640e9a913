//! The rows of those who may act: operators, tokens, sessions, users, members, roles,
//! invitations and their letters.

use std::fmt::Display;

use tenantry_model::{
    Email, InvitationId, KeyDigest, NodeId, OperatorId, RoleId, RolloutId, TenantId, Timestamp,
    TokenId, UserId,
};
use ulid::Ulid;

/// All operators.
pub(crate) const OPERATORS: &str = "operator/";
/// All access tokens.
pub(crate) const TOKENS: &str = "token/";

pub(crate) fn operator(id: OperatorId) -> String {
    format!("{OPERATORS}{id}")
}

pub(crate) fn operator_email(email: &Email) -> String {
    format!("operatoremail/{email}")
}

pub(crate) fn token(id: TokenId) -> String {
    format!("{TOKENS}{id}")
}

pub(crate) fn token_digest(digest: &KeyDigest) -> String {
    format!("tokendigest/{digest}")
}

/// All tokens of an operator or a tenant.
pub(crate) fn tokens_of(holder: impl Display) -> String {
    format!("of/{holder}/token/")
}

/// All nodes that are enrolled.
pub(crate) const NODES: &str = "node/";

pub(crate) fn node(id: NodeId) -> String {
    format!("{NODES}{id}")
}

pub(crate) fn node_digest(digest: &KeyDigest) -> String {
    format!("nodedigest/{digest}")
}

/// Which roll-out is under way: written when one begins, and removed when it ends.
pub const ROLLOUT_ACTIVE: &str = "rolloutactive";

/// All roll-outs.
pub(crate) const ROLLOUTS: &str = "rollout/";

pub(crate) fn rollout(id: RolloutId) -> String {
    format!("{ROLLOUTS}{id}")
}

/// What a roll-out that is under way would change.
pub(crate) fn rollout_body(id: RolloutId) -> String {
    format!("rolloutbody/{id}")
}

pub(crate) fn token_used(id: TokenId) -> String {
    format!("tokenused/{id}")
}

pub(crate) fn session(digest: &KeyDigest) -> String {
    format!("session/{digest}")
}

/// All users.
pub(crate) const USERS: &str = "user/";

pub(crate) fn user(id: UserId) -> String {
    format!("{USERS}{id}")
}

pub(crate) fn user_email(email: &Email) -> String {
    format!("useremail/{email}")
}

pub(crate) fn user_subject(digest: &str) -> String {
    format!("usersubject/{digest}")
}

/// All members of a tenant.
pub(crate) fn members(tenant: TenantId) -> String {
    format!("member/{tenant}/")
}

pub(crate) fn member(tenant: TenantId, user: UserId) -> String {
    format!("member/{tenant}/{user}")
}

pub(crate) fn owned_member(tenant: TenantId, user: UserId) -> String {
    format!("of/{tenant}/{}", member(tenant, user))
}

/// All tenants that a user belongs to.
pub(crate) fn members_of(user: UserId) -> String {
    format!("memberof/{user}/")
}

pub(crate) fn member_of(user: UserId, tenant: TenantId) -> String {
    format!("{}{tenant}", members_of(user))
}

/// All owners of a tenant.
pub(crate) fn owners(tenant: TenantId) -> String {
    format!("owner/{tenant}/")
}

pub(crate) fn owner(tenant: TenantId, user: UserId) -> String {
    format!("owner/{tenant}/{user}")
}

/// All roles that a tenant has defined.
pub(crate) fn roles(tenant: TenantId) -> String {
    format!("role/{tenant}/")
}

pub(crate) fn role(tenant: TenantId, role: &RoleId) -> String {
    format!("role/{tenant}/{role}")
}

pub(crate) fn owned_role(tenant: TenantId, id: &RoleId) -> String {
    format!("of/{tenant}/{}", role(tenant, id))
}

/// Everybody and everything that has a role.
pub(crate) fn role_uses(tenant: TenantId, role: &RoleId) -> String {
    format!("roleuse/{tenant}/{role}/")
}

pub(crate) fn role_use(
    tenant: TenantId,
    role: &RoleId,
    kind: &'static str,
    user: impl Display,
) -> String {
    format!("{}{kind}/{user}", role_uses(tenant, role))
}

/// All invitations.
pub(crate) const INVITATIONS: &str = "invitation/";

pub(crate) fn invitation(id: InvitationId) -> String {
    format!("{INVITATIONS}{id}")
}

pub(crate) fn invitation_digest(digest: &KeyDigest) -> String {
    format!("invitationdigest/{digest}")
}

/// All invitations of a tenant that are pending.
pub(crate) fn invitations_pending(tenant: TenantId) -> String {
    format!("invitationpending/{tenant}/")
}

pub(crate) fn invitation_pending(tenant: TenantId, email: &Email) -> String {
    format!("{}{email}", invitations_pending(tenant))
}

/// All invitations of a tenant.
pub(crate) fn owned_invitations(tenant: TenantId) -> String {
    format!("of/{tenant}/invitation/")
}

/// All letters that are to be sent, the longest due first.
pub(crate) const MAIL: &str = "mail/";

pub(crate) fn mail(due_at: Timestamp, id: Ulid) -> String {
    format!("{MAIL}{:013}/{id}", due_at.unix_ms())
}
