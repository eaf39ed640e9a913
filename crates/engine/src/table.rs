//! The compiled table: every resource, indexed for deciding.
//!
//! A table is immutable. A change makes a new one that shares with the old one all it does not touch,
//! so the cost of a change does not follow the number of tenants. State that must outlive a table
//! (limiters, counters, rotation, fetched keys) is behind `Arc`s that the new table takes over.
//!
//! Domains are found by a 128-bit SipHash of their text under a secret seed instead of by the text:
//! it saves a cache miss and an allocation per domain, and whoever does not know the seed cannot make
//! two names meet. Tenants are found from domains and keys by their id in a second step, so that a
//! change of a tenant touches one entry, however many domains and keys it has.

mod apply;

use std::{borrow::Cow, collections::HashMap, hash::Hasher as _, sync::Arc};

use foldhash::fast::FixedState;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use tenantry_model::{
    Group, GroupId, IssuerId, KeyDigest, KeyId, KeySource, PlanId, RouteId, Slug, TenantId,
    UpstreamId,
};
use tenantry_sharded_map::ShardedMap;

pub use apply::{Applied, Change, Refused, check};

use crate::{
    feature::Features,
    issuer::CompiledIssuer,
    policy::{CompiledPlan, Policy},
    route::Routes,
    runtime::Runtime,
    tenant::{CompiledKey, CompiledTenant},
    upstream::CompiledUpstream,
};

type SmallMap<K, V> = Arc<HashMap<K, V, FixedState>>;

/// Every resource, indexed; see the module's page. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Table {
    runtime: Arc<Runtime>,
    seed: u64,
    host_hasher: SipHasher13,
    features: Arc<Features>,
    plans: SmallMap<PlanId, Arc<CompiledPlan>>,
    groups: SmallMap<GroupId, Arc<Group>>,
    upstreams: SmallMap<UpstreamId, Arc<CompiledUpstream>>,
    shared_routes: Arc<Routes>,
    tenants: ShardedMap<TenantId, Arc<CompiledTenant>>,
    slugs: ShardedMap<Slug, TenantId>,
    domains: ShardedMap<u128, TenantId>,
    keys: ShardedMap<KeyDigest, CompiledKey>,
    key_digests: ShardedMap<KeyId, KeyDigest>,
    tenant_routes: ShardedMap<TenantId, Arc<Routes>>,
    route_owners: ShardedMap<RouteId, Option<TenantId>>,
    issuers: ShardedMap<IssuerId, Arc<CompiledIssuer>>,
    issuers_by_name: ShardedMap<Arc<str>, Arc<[Arc<CompiledIssuer>]>>,
}

impl Table {
    /// A table without resources. `seed` is random and secret: hash functions whose keys come from
    /// clients are seeded with it.
    #[must_use]
    pub fn new(runtime: Arc<Runtime>, seed: u64) -> Self {
        Self {
            runtime,
            seed,
            host_hasher: SipHasher13::new_with_keys(
                seed,
                seed.rotate_left(32) ^ 0x5448_4f53_5453_0a01,
            ),
            features: Arc::default(),
            plans: Arc::default(),
            groups: Arc::default(),
            upstreams: Arc::default(),
            shared_routes: Arc::default(),
            tenants: ShardedMap::new(seed),
            slugs: ShardedMap::new(seed),
            domains: ShardedMap::new(seed),
            keys: ShardedMap::new(seed),
            key_digests: ShardedMap::new(seed),
            tenant_routes: ShardedMap::new(seed),
            route_owners: ShardedMap::new(seed),
            issuers: ShardedMap::new(seed),
            issuers_by_name: ShardedMap::new(seed),
        }
    }

    /// What outlives the table.
    #[must_use]
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// The number of tenants, whatever their state.
    #[must_use]
    pub fn tenant_count(&self) -> usize {
        self.tenants.len()
    }

    /// A tenant by its id.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<&Arc<CompiledTenant>> {
        self.tenants.get(&id)
    }

    /// The issuers whose keys are behind a URL, for whoever fetches them.
    pub fn issuers_to_fetch(&self) -> impl Iterator<Item = (&str, &Arc<CompiledIssuer>)> {
        self.issuers.iter().filter_map(|(_, issuer)| match issuer.spec().keys() {
            KeySource::Url(url) => Some((url.as_str(), issuer)),
            KeySource::Inline(_) => None,
        })
    }

    /// Every upstream.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<CompiledUpstream>> {
        self.upstreams.values()
    }

    /// Whether both tables have the same upstreams, because neither was made by changing one.
    #[must_use]
    pub fn has_upstreams_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.upstreams, &other.upstreams)
    }

    /// The names of the features that are on for a tenant, separated by commas.
    #[must_use]
    pub fn features_of(&self, tenant: &CompiledTenant, policy: &Policy) -> String {
        self.features.list(tenant, policy)
    }

    /// The tenant that owns a host: by its exact name, else by a wildcard over its first label.
    #[must_use]
    pub fn tenant_of_host(&self, host: &str) -> Option<&Arc<CompiledTenant>> {
        let owner = self.domains.get(&self.host_hash(host)).or_else(|| {
            let (_, parent) = host.split_once('.')?;
            self.domains.get(&self.wildcard_hash(parent))
        });
        self.tenants.get(owner?)
    }

    /// The domain by which a host is found, as its owner has it.
    pub(crate) fn domain_of_host<'h>(&self, host: &'h str) -> Option<Cow<'h, str>> {
        if self.domains.get(&self.host_hash(host)).is_some() {
            return Some(Cow::Borrowed(host));
        }
        let (_, parent) = host.split_once('.')?;
        self.domains.get(&self.wildcard_hash(parent))?;
        Some(Cow::Owned(format!("*.{parent}")))
    }

    pub(crate) fn tenant_of_slug(&self, slug: &Slug) -> Option<&Arc<CompiledTenant>> {
        self.tenants.get(self.slugs.get(slug)?)
    }

    pub(crate) fn key(&self, digest: &KeyDigest) -> Option<&CompiledKey> {
        self.keys.get(digest)
    }

    /// A key by its id.
    pub(crate) fn key_by_id(&self, id: KeyId) -> Option<&CompiledKey> {
        self.keys.get(self.key_digests.get(&id)?)
    }

    /// All issuers that sign as `name`.
    pub(crate) fn issuers_named(&self, name: &str) -> &[Arc<CompiledIssuer>] {
        self.issuers_by_name.get(name).map_or(&[], |issuers| issuers)
    }

    /// What is enforced for a tenant; none if its plan or its group is not known.
    #[must_use]
    pub fn policy_of(&self, tenant: &CompiledTenant) -> Option<Arc<Policy>> {
        let plan = self.plans.get(&tenant.plan)?;
        let group = match &tenant.group {
            Some(group) => Some(self.groups.get(group)?),
            None => None,
        };
        let policy = plan.policy(group);
        Some(match &tenant.overrides {
            Some(overrides) => overrides.policy(policy),
            None => policy,
        })
    }

    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    pub(crate) fn shared_routes(&self) -> &Routes {
        &self.shared_routes
    }

    pub(crate) fn upstream(&self, id: &UpstreamId) -> Option<&Arc<CompiledUpstream>> {
        self.upstreams.get(id)
    }

    fn host_hash(&self, host: &str) -> u128 {
        self.host_hasher.hash(host.as_bytes()).as_u128()
    }

    /// The hash of whom a rate limit is kept for. Each part is told apart from the next by its length.
    pub(crate) fn subject_hash(&self, parts: &[&[u8]]) -> u128 {
        let mut hasher = self.host_hasher;
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish128().as_u128()
    }

    /// The hash of `*.` and the parent. The star cannot be in a host, so it meets no exact name.
    fn wildcard_hash(&self, parent: &str) -> u128 {
        let mut pattern = [0_u8; tenantry_model::host::MAX_HOST_BYTES + 2];
        let text: Cow<'_, [u8]> = match pattern.get_mut(..parent.len() + 2) {
            Some(room) => {
                room.iter_mut()
                    .zip(b"*.".iter().chain(parent.as_bytes()))
                    .for_each(|(to, from)| *to = *from);
                Cow::Borrowed(room)
            }
            None => Cow::Owned([b"*.", parent.as_bytes()].concat()),
        };
        self.host_hasher.hash(&text).as_u128()
    }
}
