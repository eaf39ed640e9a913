//! The declared features, and which are on for a tenant.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_model::{Feature, FeatureDefault, FeatureId, Source, Sourced};

use crate::{policy::Policy, tenant::CompiledTenant};

/// Who decided about a feature, in words.
pub(crate) fn decided_by(source: Source) -> &'static str {
    match source {
        Source::KillSwitch => "the kill switch",
        Source::Group => "the group",
        Source::Tenant => "the tenant",
        Source::Plan => "the plan",
        Source::Percentage => "its percentage",
        Source::Default => "the default",
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

    /// Whether a feature is on for a tenant, and who said so.
    pub(crate) fn is_on(
        &self,
        tenant: &CompiledTenant,
        policy: &Policy,
        id: &FeatureId,
    ) -> Sourced<bool> {
        policy.features(tenant).decide(id, self.0.get(id))
    }

    /// The features that are on for a tenant, separated by commas, in order.
    pub(crate) fn list(&self, tenant: &CompiledTenant, policy: &Policy) -> String {
        let rules = policy.features(tenant);
        let may_be_on = |feature: &&Feature| feature.default != FeatureDefault::Off;
        let by_default = self.0.values().filter(may_be_on).map(|feature| &feature.id);
        let own = rules.own.into_iter().flat_map(BTreeMap::keys);
        let candidates: BTreeSet<&FeatureId> =
            rules.plan.iter().chain(own).chain(by_default).collect();
        let on: Vec<&str> = candidates
            .into_iter()
            .filter(|id| rules.decide(id, self.0.get(*id)).value)
            .map(FeatureId::as_str)
            .collect();
        on.join(",")
    }
}
