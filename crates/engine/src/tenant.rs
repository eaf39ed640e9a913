//! Tenants, API keys and access lists as the table keeps them.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use tenantry_model::{
    Access, AccessLogging, AccessMode, ApiKey, AuthRequirement, Branding, CertificatePem, GroupId,
    KeyId, PlanId, RegionId, Scope, Slug, Tenant, TenantId, TenantState, Timestamp,
};

use crate::{
    limiter::CompiledRateLimit, network_set::NetworkSet, policy::Overrides, route::Routes,
    runtime::TenantRuntime,
};

/// A tenant in a table. Small: a million of them are kept, and most have no overrides, no access
/// lists and no routes of their own.
#[derive(Debug, Clone)]
pub struct CompiledTenant {
    pub(crate) id: TenantId,
    pub(crate) slug: Slug,
    pub(crate) plan: PlanId,
    pub(crate) group: Option<GroupId>,
    pub(crate) state: TenantState,
    pub(crate) auth: AuthRequirement,
    pub(crate) region: Option<RegionId>,
    pub(crate) access_log: Option<AccessLogging>,
    pub(crate) branding: Option<Arc<Branding>>,
    pub(crate) access: Option<Arc<CompiledAccess>>,
    pub(crate) overrides: Option<Arc<Overrides>>,
    pub(crate) routes: Option<Arc<Routes>>,
    pub(crate) client_ca: Option<CertificatePem>,
    pub(crate) runtime: Arc<TenantRuntime>,
}

impl CompiledTenant {
    pub(crate) fn new(
        tenant: Tenant,
        runtime: Arc<TenantRuntime>,
        routes: Option<Arc<Routes>>,
    ) -> Self {
        Self {
            id: tenant.id,
            slug: tenant.slug,
            plan: tenant.plan,
            state: tenant.state,
            auth: tenant.auth,
            region: tenant.region,
            access_log: tenant.access_log,
            branding: tenant.branding.map(Arc::new),
            access: CompiledAccess::new(&tenant.access).map(Arc::new),
            group: tenant.group,
            overrides: Overrides::new(tenant.features, tenant.limits).map(Arc::new),
            routes,
            client_ca: tenant.client_ca_pem,
            runtime,
        }
    }

    /// Never changes.
    #[must_use]
    pub fn id(&self) -> TenantId {
        self.id
    }

    /// The readable name.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.slug
    }

    /// The plan it is on.
    #[must_use]
    pub fn plan(&self) -> &PlanId {
        &self.plan
    }

    /// The authorities its clients' certificates must come from, if it asks for certificates.
    #[must_use]
    pub fn client_ca(&self) -> Option<&CertificatePem> {
        self.client_ca.as_ref()
    }

    /// How much of it is in the access log, if it is said.
    #[must_use]
    pub fn access_log(&self) -> Option<AccessLogging> {
        self.access_log
    }

    /// How its error pages look, if it is said.
    #[must_use]
    pub fn branding(&self) -> Option<&Arc<Branding>> {
        self.branding.as_ref()
    }

    /// What outlives this table.
    #[must_use]
    pub fn runtime(&self) -> &Arc<TenantRuntime> {
        &self.runtime
    }
}

/// What the access lists say of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessVerdict {
    /// It may come in; the tenant's requirement decides about a credential.
    Open,
    /// It is in the allow list of a hybrid tenant and needs no credential.
    Trusted,
    /// It is not in the allow list of a hybrid tenant and needs a credential, whatever the tenant's
    /// own requirement is.
    Untrusted,
    /// It is in the deny list.
    Denied,
    /// It is not in the allow list.
    NotAllowed,
}

/// Access lists in searchable form.
#[derive(Debug)]
pub(crate) struct CompiledAccess {
    mode: AccessMode,
    allow: NetworkSet,
    deny: NetworkSet,
}

impl CompiledAccess {
    /// `None` for a tenant that is open to all.
    fn new(access: &Access) -> Option<Self> {
        let is_open = access.mode == AccessMode::Public && access.deny.is_empty();
        (!is_open).then(|| Self {
            mode: access.mode,
            allow: NetworkSet::new(access.allow.as_slice()),
            deny: NetworkSet::new(access.deny.as_slice()),
        })
    }

    pub(crate) fn verdict(&self, address: IpAddr) -> AccessVerdict {
        if self.deny.contains(address) {
            return AccessVerdict::Denied;
        }
        match (self.mode, self.mode != AccessMode::Public && self.allow.contains(address)) {
            (AccessMode::Public, _) | (AccessMode::Allowlist, true) => AccessVerdict::Open,
            (AccessMode::Allowlist, false) => AccessVerdict::NotAllowed,
            (AccessMode::Hybrid, true) => AccessVerdict::Trusted,
            (AccessMode::Hybrid, false) => AccessVerdict::Untrusted,
        }
    }
}

/// An API key in a table, found by its digest.
#[derive(Debug, Clone)]
pub(crate) struct CompiledKey {
    pub(crate) id: KeyId,
    pub(crate) tenant: TenantId,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) enabled: bool,
    pub(crate) rules: Option<Arc<KeyRules>>,
}

impl CompiledKey {
    pub(crate) fn new(key: ApiKey) -> Self {
        let ApiKey { id, tenant, expires_at, enabled, .. } = key;
        Self { id, tenant, expires_at, enabled, rules: KeyRules::new(key).map(Arc::new) }
    }
}

/// What a key may and may not do. Most keys have no such rules.
#[derive(Debug)]
pub(crate) struct KeyRules {
    pub(crate) scopes: BTreeSet<Scope>,
    /// From anywhere, if there are none.
    pub(crate) networks: Option<NetworkSet>,
    pub(crate) limits: Vec<CompiledRateLimit>,
}

impl KeyRules {
    fn new(key: ApiKey) -> Option<Self> {
        let ApiKey { scopes, allowed_networks, rate_limits, .. } = key;
        let is_plain = scopes.is_empty() && allowed_networks.is_none() && rate_limits.is_empty();
        (!is_plain).then(|| Self {
            scopes,
            networks: allowed_networks.map(|networks| NetworkSet::new(networks.as_slice())),
            limits: rate_limits.as_slice().iter().filter_map(CompiledRateLimit::new).collect(),
        })
    }

    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.networks.as_ref().is_none_or(|networks| networks.contains(address))
    }
}
