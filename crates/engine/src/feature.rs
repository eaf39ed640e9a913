//! Whether a feature is on for a tenant, and who said so.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use tenantry_model::{Feature, FeatureId};

use crate::tenant::{CompiledPlan, CompiledTenant};

/// Who decided about a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecidedBy {
    KillSwitch,
    Tenant,
    Plan,
    Default,
}

impl DecidedBy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitch => "the kill switch",
            Self::Tenant => "the tenant",
            Self::Plan => "the plan",
            Self::Default => "the default",
        }
    }
}

/// The declared features.
#[derive(Debug, Clone, Default)]
pub(crate) struct Features(BTreeMap<FeatureId, Feature>);

impl Features {
    pub(crate) fn get(&self, id: &FeatureId) -> Option<&Feature> {
        self.0.get(id)
    }

    pub(crate) fn insert(&mut self, feature: Feature) {
        self.0.insert(feature.id.clone(), feature);
    }

    pub(crate) fn remove(&mut self, id: &FeatureId) {
        self.0.remove(id);
    }

    /// The kill switch first, then the tenant, then its plan, then the feature's default.
    pub(crate) fn is_on(
        &self,
        tenant: &CompiledTenant,
        plan: &CompiledPlan,
        id: &FeatureId,
    ) -> (bool, DecidedBy) {
        let declared = self.0.get(id);
        if declared.is_some_and(|feature| feature.killed) {
            return (false, DecidedBy::KillSwitch);
        }
        if let Some(on) = tenant.overrides.as_ref().and_then(|overrides| overrides.features.get(id))
        {
            return (*on, DecidedBy::Tenant);
        }
        if plan.features.contains(id) {
            return (true, DecidedBy::Plan);
        }
        (declared.is_some_and(|feature| feature.default), DecidedBy::Default)
    }

    /// The features that are on for a tenant, separated by commas, in order.
    pub(crate) fn list(&self, tenant: &CompiledTenant, plan: &CompiledPlan) -> String {
        let overridden = tenant.overrides.iter().flat_map(|overrides| overrides.features.keys());
        let on_by_default =
            self.0.values().filter(|feature| feature.default).map(|feature| &feature.id);
        let candidates: BTreeSet<&FeatureId> =
            plan.features.iter().chain(overridden).chain(on_by_default).collect();
        let on: Vec<Cow<'_, str>> = candidates
            .into_iter()
            .filter(|id| self.is_on(tenant, plan, id).0)
            .map(|id| id.as_str().into())
            .collect();
        on.join(",")
    }
}
