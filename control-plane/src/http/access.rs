//! Which permission each operation needs, on one page.
//!
//! An operation that is not named here cannot be reached: the guard answers as if there were no such
//! method. Paths under a tenant are also for those who belong to that tenant, if they have the
//! permission there; all others are for operators only, except where it says own.

use axum::http::Method;
use tenantry_model::Permission as P;

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: whoever asks proves something in the body.
    Nothing,
    /// Any valid credential.
    Anybody,
    /// This permission.
    This(P),
    /// This permission; whoever belongs to a tenant sees only that one.
    Own(P),
}

use Need::{Anybody, Nothing, Own, This};

/// Every operation under `/api/v1`.
pub const OPERATIONS: &[(&str, &[(&str, Need)])] = &[
    ("/plans", &[("GET", This(P::PlansRead)), ("POST", This(P::PlansWrite))]),
    ("/plans/{id}", &PLANS),
    ("/features", &[("GET", This(P::PlansRead)), ("POST", This(P::PlansWrite))]),
    ("/features/{id}", &PLANS),
    ("/upstreams", &[("GET", This(P::GatewayRead)), ("POST", This(P::GatewayWrite))]),
    ("/upstreams/{id}", &GATEWAY),
    ("/routes", &[("GET", This(P::GatewayRead)), ("POST", This(P::GatewayWrite))]),
    ("/routes/{id}", &GATEWAY),
    ("/certificates", &[("GET", This(P::GatewayRead)), ("POST", This(P::GatewayWrite))]),
    (
        "/certificates/{id}",
        &[
            ("GET", This(P::GatewayRead)),
            ("PUT", This(P::GatewayWrite)),
            ("DELETE", This(P::GatewayWrite)),
        ],
    ),
    ("/proxies", &[("GET", This(P::GatewayRead))]),
    ("/issuers", &[("GET", This(P::TenantsRead)), ("POST", This(P::IssuersWrite))]),
    ("/issuers/{id}", &[("GET", This(P::TenantsRead)), ("DELETE", This(P::IssuersWrite))]),
    ("/tenants", &[("GET", Own(P::TenantsRead)), ("POST", This(P::TenantsWrite))]),
    (
        "/tenants/{tenant}",
        &[
            ("GET", This(P::TenantsRead)),
            ("PUT", This(P::TenantsWrite)),
            ("PATCH", This(P::TenantsWrite)),
            ("DELETE", This(P::TenantsWrite)),
        ],
    ),
    ("/tenants/{tenant}/suspend", &[("POST", This(P::TenantsWrite))]),
    ("/tenants/{tenant}/activate", &[("POST", This(P::TenantsWrite))]),
    ("/tenants/{tenant}/purge", &[("POST", This(P::TenantsPurge))]),
    ("/purged-tenants", &[("GET", This(P::TenantsRead))]),
    ("/purged-tenants/{id}", &[("GET", This(P::TenantsRead))]),
    ("/tenants/{tenant}/resume", &[("POST", This(P::TenantsWrite))]),
    ("/tenants/{tenant}/undelete", &[("POST", This(P::TenantsWrite))]),
    (
        "/tenants/{tenant}/domains",
        &[("GET", This(P::TenantsRead)), ("POST", This(P::DomainsWrite))],
    ),
    (
        "/tenants/{tenant}/domains/{host}",
        &[("GET", This(P::TenantsRead)), ("DELETE", This(P::DomainsWrite))],
    ),
    ("/tenants/{tenant}/keys", &[("GET", This(P::TenantsRead)), ("POST", This(P::KeysWrite))]),
    (
        "/tenants/{tenant}/keys/{id}",
        &[("GET", This(P::TenantsRead)), ("DELETE", This(P::KeysWrite))],
    ),
    (
        "/tenants/{tenant}/issuers",
        &[("GET", This(P::TenantsRead)), ("POST", This(P::IssuersWrite))],
    ),
    (
        "/tenants/{tenant}/issuers/{id}",
        &[("GET", This(P::TenantsRead)), ("DELETE", This(P::IssuersWrite))],
    ),
    ("/tenants/{tenant}/tokens", &[("GET", This(P::MembersRead)), ("POST", This(P::MembersWrite))]),
    (
        "/tenants/{tenant}/tokens/{id}",
        &[("GET", This(P::MembersRead)), ("DELETE", This(P::MembersWrite))],
    ),
    // Tenants invite: who is added without being asked is for operators to say.
    ("/tenants/{tenant}/members", &[("GET", This(P::MembersRead)), ("POST", This(P::UsersWrite))]),
    (
        "/tenants/{tenant}/members/{user}",
        &[
            ("GET", This(P::MembersRead)),
            ("PATCH", This(P::MembersWrite)),
            ("DELETE", This(P::MembersWrite)),
        ],
    ),
    ("/tenants/{tenant}/roles", &[("GET", This(P::MembersRead)), ("POST", This(P::MembersWrite))]),
    (
        "/tenants/{tenant}/roles/{role}",
        &[
            ("GET", This(P::MembersRead)),
            ("PUT", This(P::MembersWrite)),
            ("DELETE", This(P::MembersWrite)),
        ],
    ),
    ("/users", &[("GET", This(P::UsersRead)), ("POST", This(P::UsersWrite))]),
    (
        "/users/{user}",
        &[
            ("GET", This(P::UsersRead)),
            ("PATCH", This(P::UsersWrite)),
            ("DELETE", This(P::UsersWrite)),
        ],
    ),
    ("/users/{user}/memberships", &[("GET", This(P::UsersRead))]),
    ("/operators", &[("GET", This(P::OperatorsRead)), ("POST", This(P::OperatorsWrite))]),
    (
        "/operators/{operator}",
        &[
            ("GET", This(P::OperatorsRead)),
            ("PATCH", This(P::OperatorsWrite)),
            ("DELETE", This(P::OperatorsWrite)),
        ],
    ),
    ("/operators/{operator}/password", &[("PUT", This(P::OperatorsWrite))]),
    (
        "/operators/{operator}/tokens",
        &[("GET", This(P::OperatorsRead)), ("POST", This(P::OperatorsWrite))],
    ),
    (
        "/operators/{operator}/tokens/{id}",
        &[("GET", This(P::OperatorsRead)), ("DELETE", This(P::OperatorsWrite))],
    ),
    ("/sessions", &[("POST", Nothing)]),
    ("/sessions/current", &[("DELETE", Anybody)]),
    ("/me", &[("GET", Anybody)]),
    ("/audit", &[("GET", This(P::AuditRead))]),
    ("/audit/export", &[("GET", This(P::AuditRead))]),
    ("/audit/verify", &[("GET", This(P::AuditRead))]),
];

const PLANS: [(&str, Need); 4] = [
    ("GET", This(P::PlansRead)),
    ("PUT", This(P::PlansWrite)),
    ("PATCH", This(P::PlansWrite)),
    ("DELETE", This(P::PlansWrite)),
];
const GATEWAY: [(&str, Need); 4] = [
    ("GET", This(P::GatewayRead)),
    ("PUT", This(P::GatewayWrite)),
    ("PATCH", This(P::GatewayWrite)),
    ("DELETE", This(P::GatewayWrite)),
];

/// What is under one tenant.
const OF_TENANTS: &str = "/tenants/{tenant}";

/// What stands in front of every path above.
const BASE: &str = "/api/v1";

/// One path of the API, and what its methods need.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    path: &'static str,
    methods: &'static [(&'static str, Need)],
}

/// What is declared for a path, as the router matched it.
#[must_use]
pub fn declared(matched: &str) -> Option<Declared> {
    let path = matched.strip_prefix(BASE)?;
    let (path, methods) = OPERATIONS.iter().find(|(declared, _)| *declared == path)?;
    Some(Declared { path, methods })
}

impl Declared {
    /// What a method needs; none if there is no such operation.
    #[must_use]
    pub fn need(&self, method: &Method) -> Option<Need> {
        // Whoever may read may ask how long the answer would be.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.methods.iter().find(|(name, _)| *name == method).map(|(_, need)| *need)
    }

    /// Whether it is under one tenant.
    #[must_use]
    pub fn is_of_a_tenant(&self) -> bool {
        self.path.starts_with(OF_TENANTS)
    }

    /// The methods, as the header `Allow` lists them.
    #[must_use]
    pub fn allowed(&self) -> String {
        let names = self.methods.iter().flat_map(|(name, _)| match *name {
            "GET" => vec!["GET", "HEAD"],
            name => vec![name],
        });
        names.collect::<Vec<_>>().join(",")
    }
}
