//! What somebody may do on the platform, and in which roles that comes.
//!
//! The set is closed: a permission that the code does not know cannot be granted, and an operation
//! that needs none is not reachable. One half can be held in a tenant, by its own people and tokens;
//! the other only by operators, because it decides what tenants get.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Permissions together.
pub type Permissions = BTreeSet<Permission>;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident, $text:literal, $level:ident;)*) => {
        /// One thing that may be done.
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Permission {
            $(
                $(#[$doc])*
                #[serde(rename = $text)]
                // The derived schema does not see a name that a macro hands on to serde.
                #[cfg_attr(feature = "openapi", schema(rename = $text))]
                $name,
            )*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Who can hold it.
            #[must_use]
            pub fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)* }
            }
        }
    };
}

/// Who can hold a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Operators, for all tenants; and whoever belongs to a tenant, for that one.
    Tenant,
    /// Operators only.
    Platform,
}

permissions! {
    /// See tenants and what belongs to them.
    TenantsRead, "tenants:read", Tenant;
    /// Change a tenant's settings and branding.
    SettingsWrite, "settings:write", Tenant;
    /// Add and remove domains of a tenant.
    DomainsWrite, "domains:write", Tenant;
    /// Make, change and revoke API keys of a tenant.
    KeysWrite, "keys:write", Tenant;
    /// Trust issuers of tokens, and trust them no longer.
    IssuersWrite, "issuers:write", Tenant;
    /// Reserve and release what a quota counts.
    QuotasWrite, "quotas:write", Tenant;
    /// See who belongs to a tenant.
    MembersRead, "members:read", Tenant;
    /// Decide who may act for a tenant: members, roles, invitations, access tokens.
    MembersWrite, "members:write", Tenant;
    /// See what was done.
    AuditRead, "audit:read", Tenant;
    /// Make, change, suspend and delete tenants.
    TenantsWrite, "tenants:write", Platform;
    /// Remove a deleted tenant for good.
    TenantsPurge, "tenants:purge", Platform;
    /// Change what a tenant pays for.
    SubscriptionsWrite, "subscriptions:write", Platform;
    /// See plans, groups and features.
    PlansRead, "plans:read", Platform;
    /// Change plans, groups and features.
    PlansWrite, "plans:write", Platform;
    /// See routes, upstreams, certificates and proxies.
    GatewayRead, "gateway:read", Platform;
    /// Change routes, upstreams and certificates.
    GatewayWrite, "gateway:write", Platform;
    /// Let proxies in, which are sent all that is enforced.
    NodesWrite, "nodes:write", Platform;
    /// See users and the tenants they belong to.
    UsersRead, "users:read", Platform;
    /// Change and remove users.
    UsersWrite, "users:write", Platform;
    /// See operators and their tokens.
    OperatorsRead, "operators:read", Platform;
    /// Decide who operates the platform.
    OperatorsWrite, "operators:write", Platform;
}

impl Permission {
    /// Whether it only shows something.
    #[must_use]
    pub fn is_read(self) -> bool {
        self.as_str().ends_with(":read")
    }

    /// Every permission there is.
    #[must_use]
    pub fn everything() -> Permissions {
        Self::ALL.iter().copied().collect()
    }

    /// Every permission that can be held in a tenant.
    pub fn of_tenants() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|permission| permission.level() == Level::Tenant)
    }
}

impl FromStr for Permission {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.iter().copied().find(|permission| permission.as_str() == text);
        known.ok_or_else(|| {
            Invalid::new("permission", text, "it is one such as tenants:read or keys:write")
        })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operator is on the platform.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorRole {
    /// Everything.
    Owner,
    /// Everything except deciding who operates the platform, and purging.
    Admin,
    /// Sees everything about tenants, and helps with settings and domains.
    Support,
    /// Sees tenants, and changes plans and subscriptions.
    Billing,
    /// Sees everything, and changes nothing.
    Auditor,
}

impl OperatorRole {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Owner, Self::Admin, Self::Support, Self::Billing, Self::Auditor];

    /// What the role may do.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        use Permission as P;
        let all = Permission::ALL.iter().copied();
        match self {
            Self::Owner => all.collect(),
            Self::Admin => {
                all.filter(|p| !matches!(p, P::OperatorsWrite | P::TenantsPurge)).collect()
            }
            Self::Support => [
                P::TenantsRead,
                P::MembersRead,
                P::PlansRead,
                P::GatewayRead,
                P::UsersRead,
                P::AuditRead,
                P::SettingsWrite,
                P::DomainsWrite,
            ]
            .into(),
            Self::Billing => {
                [P::TenantsRead, P::PlansRead, P::PlansWrite, P::SubscriptionsWrite].into()
            }
            Self::Auditor => all.filter(|p| p.is_read()).collect(),
        }
    }
}

/// What every tenant's people can be without anybody having defined it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TenantRole {
    /// Everything in the tenant. The last owner stays.
    Owner,
    /// Everything in the tenant.
    Admin,
    /// Sees everything, and changes keys, domains, issuers and quotas.
    Developer,
    /// Sees the tenant.
    Viewer,
}

impl TenantRole {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Developer, Self::Viewer];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// What the role may do.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        use Permission as P;
        match self {
            Self::Owner | Self::Admin => Permission::of_tenants().collect(),
            Self::Developer => [
                P::TenantsRead,
                P::MembersRead,
                P::DomainsWrite,
                P::KeysWrite,
                P::IssuersWrite,
                P::QuotasWrite,
            ]
            .into(),
            Self::Viewer => [P::TenantsRead, P::MembersRead].into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_has_one_spelling() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(*permission));
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.as_str());
        }
        assert!("tenants:everything".parse::<Permission>().is_err());
    }

    #[test]
    fn no_role_of_a_tenant_reaches_the_platform() {
        for role in TenantRole::ALL {
            let permissions = role.permissions();
            assert!(permissions.iter().all(|p| p.level() == Level::Tenant), "{role:?}");
        }
    }

    #[test]
    fn auditors_change_nothing_and_only_owners_choose_operators() {
        assert!(OperatorRole::Auditor.permissions().iter().all(|p| p.is_read()));
        for role in OperatorRole::ALL {
            let chooses = role.permissions().contains(&Permission::OperatorsWrite);
            assert_eq!(chooses, role == OperatorRole::Owner);
        }
    }
}
