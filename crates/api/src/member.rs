//! Users, and who belongs to a tenant as what.

use serde::{Deserialize, Serialize};
use tenantry_model::{Email, Permissions, RoleId, TenantId, Timestamp, UserId};

/// `POST /api/v1/users`; `PATCH` takes a merge patch of the same.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where mail reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// The issuer whose tokens name it, together with `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What that issuer calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The tenant that it means when it does not say which; one that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_tenant: Option<TenantId>,
}

/// The parameters of `GET /api/v1/users`.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserQuery {
    /// 1 to 1000; 100 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only whoever has this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

/// A user as it is returned.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserBody {
    /// Never changes.
    pub id: UserId,
    /// What people call it.
    pub name: Option<String>,
    /// Where mail reaches it.
    pub email: Option<Email>,
    /// The issuer whose tokens name it.
    pub issuer: Option<String>,
    /// What that issuer calls it.
    pub subject: Option<String>,
    /// The tenant that it means when it does not say which.
    pub preferred_tenant: Option<TenantId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}

/// `POST /api/v1/tenants/{tenant}/members`: a user, or an address.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    /// A user that there is.
    #[serde(default)]
    pub user: Option<UserId>,
    /// Whoever has this address; a user is made if nobody has.
    #[serde(default)]
    pub email: Option<Email>,
    /// What the user is to be in the tenant.
    pub role: RoleId,
}

/// `PATCH /api/v1/tenants/{tenant}/members/{user}`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeMember {
    /// What the user is to be in the tenant.
    pub role: RoleId,
}

/// A member as it is returned.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberBody {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which user.
    pub user: UserId,
    /// What people call the user.
    pub name: Option<String>,
    /// Where mail reaches the user.
    pub email: Option<Email>,
    /// What the user is in the tenant.
    pub role: RoleId,
    /// Whether the user means this tenant when it does not say which.
    pub preferred: bool,
    /// When the user became a member.
    pub created_at: Timestamp,
    /// When this was last written.
    pub updated_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}

/// `POST /api/v1/tenants/{tenant}/roles`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRole {
    /// Its name in the tenant.
    pub id: RoleId,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What it may do.
    pub permissions: Permissions,
}

/// `PUT /api/v1/tenants/{tenant}/roles/{role}`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRole {
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What it may do.
    pub permissions: Permissions,
}

/// A role as it is returned.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleBody {
    /// Its name in the tenant.
    pub id: RoleId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is for.
    pub description: String,
    /// What it may do.
    pub permissions: Permissions,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}
