//! Plans, groups and what a tenant has of its own, compiled to what is enforced.
//!
//! What holds is put together by [`tenantry_model::effective`]. Most tenants have no limits of their own, so
//! there is one policy for each plan, and one for each group on it; both are made when they are first
//! needed, because of all pairs only some have tenants. A tenant with limits of its own keeps its policy
//! beside them. What was kept is good only for the very plan and group it was made of.

use std::{
    collections::{BTreeMap, HashMap},
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use foldhash::fast::FixedState;
use tenantry_model::{EffectiveLimits, FeatureId, FeatureRules, Group, GroupId, Limits, Plan};

use crate::{limiter::CompiledRateLimit, tenant::CompiledTenant};

/// Limits with their arithmetic done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CompiledLimits {
    pub(crate) requests: Vec<CompiledRateLimit>,
    pub(crate) concurrent_requests: Option<NonZeroU32>,
    pub(crate) request_body_bytes: Option<NonZeroU64>,
    pub(crate) connections: Option<NonZeroU32>,
    pub(crate) request_bytes_per_second: Option<NonZeroU64>,
    pub(crate) response_bytes_per_second: Option<NonZeroU64>,
}

impl CompiledLimits {
    pub(crate) fn new(limits: &EffectiveLimits) -> Self {
        // Taken apart, so that no limit is forgotten.
        let EffectiveLimits {
            requests,
            concurrent_requests,
            request_body_bytes,
            connections,
            request_bytes_per_second,
            response_bytes_per_second,
            // Room is given by the control plane: proxies do not count what there is.
            quotas: _,
        } = limits;
        let compiled = |limit: &tenantry_model::Sourced<_>| CompiledRateLimit::new(&limit.value);
        Self {
            requests: requests.iter().filter_map(compiled).collect(),
            concurrent_requests: concurrent_requests.value,
            request_body_bytes: request_body_bytes.value,
            connections: connections.value,
            request_bytes_per_second: request_bytes_per_second.value,
            response_bytes_per_second: response_bytes_per_second.value,
        }
    }
}

/// What is enforced for a tenant.
#[derive(Debug)]
pub struct Policy {
    plan: Arc<Plan>,
    group: Option<Arc<Group>>,
    pub(crate) limits: CompiledLimits,
}

impl Policy {
    fn new(plan: &Arc<Plan>, group: Option<&Arc<Group>>, own: &Limits) -> Self {
        let ceilings = group.map(|group| &group.limits);
        let limits = EffectiveLimits::new(&plan.limits, ceilings, own);
        let limits = CompiledLimits::new(&limits);
        Self { plan: Arc::clone(plan), group: group.cloned(), limits }
    }

    /// What speaks of a tenant's features.
    pub(crate) fn features<'a>(&'a self, tenant: &'a CompiledTenant) -> FeatureRules<'a> {
        FeatureRules {
            tenant: tenant.id,
            plan: &self.plan.features,
            group: self.group.as_ref().map(|group| &group.features_off),
            own: tenant.overrides.as_ref().map(|overrides| &overrides.features),
        }
    }

    fn is_of(&self, group: &Arc<Group>) -> bool {
        self.group.as_ref().is_some_and(|known| Arc::ptr_eq(known, group))
    }
}

/// A plan in a table.
#[derive(Debug)]
pub(crate) struct CompiledPlan {
    spec: Arc<Plan>,
    alone: Arc<Policy>,
    in_groups: ArcSwap<HashMap<GroupId, Arc<Policy>, FixedState>>,
}

impl CompiledPlan {
    pub(crate) fn new(plan: Plan) -> Self {
        let spec = Arc::new(plan);
        let alone = Arc::new(Policy::new(&spec, None, &Limits::default()));
        Self { spec, alone, in_groups: ArcSwap::default() }
    }

    /// The policy of tenants without limits of their own.
    pub(crate) fn policy(&self, group: Option<&Arc<Group>>) -> Arc<Policy> {
        let Some(group) = group else { return Arc::clone(&self.alone) };
        let known = self.in_groups.load().get(&group.id).cloned();
        if let Some(known) = known.filter(|known| known.is_of(group)) {
            return known;
        }
        let policy = Arc::new(Policy::new(&self.spec, Some(group), &Limits::default()));
        self.in_groups.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(group.id.clone(), Arc::clone(&policy));
            known
        });
        policy
    }
}

/// What a tenant has in place of its plan's.
#[derive(Debug)]
pub(crate) struct Overrides {
    pub(crate) features: BTreeMap<FeatureId, bool>,
    limits: Option<Box<OwnLimits>>,
}

#[derive(Debug)]
struct OwnLimits {
    spec: Limits,
    /// The policy without them, and with them.
    kept: ArcSwapOption<(Arc<Policy>, Arc<Policy>)>,
}

impl Overrides {
    pub(crate) fn new(features: BTreeMap<FeatureId, bool>, limits: Limits) -> Option<Self> {
        if features.is_empty() && limits.is_empty() {
            return None;
        }
        let own = |spec| Box::new(OwnLimits { spec, kept: ArcSwapOption::empty() });
        let limits = (!limits.is_empty()).then_some(limits).map(own);
        Some(Self { features, limits })
    }

    /// The policy of the tenant, from the one that it would have without its own limits.
    pub(crate) fn policy(&self, without: Arc<Policy>) -> Arc<Policy> {
        let Some(own) = &self.limits else { return without };
        if let Some(kept) = own.kept.load().as_deref()
            && Arc::ptr_eq(&kept.0, &without)
        {
            return Arc::clone(&kept.1);
        }
        let with = Policy::new(&without.plan, without.group.as_ref(), &own.spec);
        let with = Arc::new(with);
        own.kept.store(Some(Arc::new((without, Arc::clone(&with)))));
        with
    }
}
