//! Tenants, plans, API keys and access lists as the table keeps them.

use std::{
    collections::BTreeMap,
    collections::BTreeSet,
    net::IpAddr,
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
};

use tenantry_model::{
    Access, AccessLogging, AccessMode, ApiKey, AuthRequirement, Branding, CertificatePem,
    FeatureId, KeyId, Limits, Plan, PlanId, RegionId, Scope, Slug, Tenant, TenantId, TenantState,
    Timestamp,
};

use crate::{
    limiter::CompiledRateLimit, network_set::NetworkSet, route::Routes, runtime::TenantRuntime,
};

/// A tenant in a table. Small: a million of them are kept, and most have no overrides, no access
/// lists and no routes of their own.
#[derive(Debug, Clone)]
pub struct CompiledTenant {
    pub(crate) id: TenantId,
    pub(crate) slug: Slug,
    pub(crate) plan: PlanId,
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
            overrides: Overrides::new(tenant.features, &tenant.limits).map(Arc::new),
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

/// What a tenant has in place of its plan's.
#[derive(Debug)]
pub(crate) struct Overrides {
    pub(crate) features: BTreeMap<FeatureId, bool>,
    pub(crate) limits: CompiledLimits,
}

impl Overrides {
    fn new(features: BTreeMap<FeatureId, bool>, limits: &Limits) -> Option<Self> {
        let is_needed = !features.is_empty() || !limits.is_empty();
        is_needed.then(|| Self { features, limits: CompiledLimits::new(limits) })
    }
}

/// Limits with their arithmetic done.
#[derive(Debug, Default)]
pub(crate) struct CompiledLimits {
    pub(crate) requests: Vec<CompiledRateLimit>,
    pub(crate) concurrent_requests: Option<NonZeroU32>,
    pub(crate) request_body_bytes: Option<NonZeroU64>,
    pub(crate) connections: Option<NonZeroU32>,
    pub(crate) request_bytes_per_second: Option<NonZeroU64>,
    pub(crate) response_bytes_per_second: Option<NonZeroU64>,
}

impl CompiledLimits {
    fn new(limits: &Limits) -> Self {
        Self {
            requests: limits
                .requests
                .as_slice()
                .iter()
                .filter_map(CompiledRateLimit::new)
                .collect(),
            concurrent_requests: limits.concurrent_requests,
            request_body_bytes: limits.request_body_bytes,
            connections: limits.connections,
            request_bytes_per_second: limits.request_bytes_per_second,
            response_bytes_per_second: limits.response_bytes_per_second,
        }
    }
}

/// A plan in a table.
#[derive(Debug)]
pub struct CompiledPlan {
    pub(crate) limits: CompiledLimits,
    pub(crate) features: BTreeSet<FeatureId>,
}

impl CompiledPlan {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { limits: CompiledLimits::new(&plan.limits), features: plan.features }
    }
}

/// The limits of a tenant: its overrides field by field, else its plan's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EffectiveLimits<'a> {
    plan: &'a CompiledLimits,
    overrides: Option<&'a CompiledLimits>,
}

impl<'a> EffectiveLimits<'a> {
    pub(crate) fn new(tenant: &'a CompiledTenant, plan: &'a CompiledPlan) -> Self {
        Self {
            plan: &plan.limits,
            overrides: tenant.overrides.as_ref().map(|overrides| &overrides.limits),
        }
    }

    /// The plan's rate limits, each replaced by the override of its name, and then the overrides that
    /// replace none.
    pub(crate) fn requests(self) -> impl Iterator<Item = &'a CompiledRateLimit> {
        let overrides = self.overrides.map_or(&[][..], |overrides| &overrides.requests);
        let named = |limits: &'a [CompiledRateLimit], limit: &CompiledRateLimit| {
            limits.iter().find(|other| other.spec().name() == limit.spec().name())
        };
        let replaced =
            self.plan.requests.iter().map(move |limit| named(overrides, limit).unwrap_or(limit));
        let added =
            overrides.iter().filter(move |limit| named(&self.plan.requests, limit).is_none());
        replaced.chain(added)
    }

    pub(crate) fn concurrent_requests(self) -> Option<NonZeroU32> {
        self.field(|limits| limits.concurrent_requests)
    }

    pub(crate) fn request_body_bytes(self) -> Option<NonZeroU64> {
        self.field(|limits| limits.request_body_bytes)
    }

    pub(crate) fn connections(self) -> Option<NonZeroU32> {
        self.field(|limits| limits.connections)
    }

    pub(crate) fn request_bytes_per_second(self) -> Option<NonZeroU64> {
        self.field(|limits| limits.request_bytes_per_second)
    }

    pub(crate) fn response_bytes_per_second(self) -> Option<NonZeroU64> {
        self.field(|limits| limits.response_bytes_per_second)
    }

    fn field<T>(self, of: impl Fn(&CompiledLimits) -> Option<T>) -> Option<T> {
        self.overrides.and_then(&of).or_else(|| of(self.plan))
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
