//! What holds for a tenant once default, plan, group and its own overrides are put together, and which of
//! them said so.
//!
//! This is the only place that knows how. Proxies compile their limits from it, and the control plane
//! answers from it what is in force and why.
//!
//! A value is the tenant's own if it has one, else its plan's. A group's value is a ceiling over either: the
//! smaller one holds, and where there is no other the ceiling itself. Of rate limits with one name that
//! count the same requests for the same callers, rate and burst are each the smaller one; ceilings that
//! count something else hold beside. A ceiling so never makes room.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU32, NonZeroU64},
};

use serde::{Deserialize, Serialize};

use crate::{
    Feature, FeatureDefault, FeatureId, Group, LimitName, Limits, MeterName, Plan, QuotaMax,
    RateLimit, Tenant, TenantId, group::LIMIT_PREFIX,
};

/// Who said so.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nobody: there is no limit, or the feature's own default holds.
    Default,
    /// The feature's percentage.
    Percentage,
    /// The tenant's plan.
    Plan,
    /// The tenant's group.
    Group,
    /// The tenant itself.
    Tenant,
    /// The feature's kill switch.
    KillSwitch,
}

/// A value, and who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Who said so.
    pub source: Source,
}

/// A limit of which there is one, or none.
pub type SourcedLimit<T> = Sourced<Option<T>>;

/// The limits of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Limits`")]
pub struct EffectiveLimits {
    pub requests: Vec<Sourced<RateLimit>>,
    pub concurrent_requests: SourcedLimit<NonZeroU32>,
    pub request_body_bytes: SourcedLimit<NonZeroU64>,
    pub connections: SourcedLimit<NonZeroU32>,
    pub request_bytes_per_second: SourcedLimit<NonZeroU64>,
    pub response_bytes_per_second: SourcedLimit<NonZeroU64>,
    pub quotas: BTreeMap<MeterName, Sourced<QuotaMax>>,
}

impl EffectiveLimits {
    /// Puts them together.
    #[must_use]
    pub fn new(plan: &Limits, group: Option<&Limits>, tenant: &Limits) -> Self {
        let nothing = Limits::default();
        let group = group.unwrap_or(&nothing);
        // Taken apart, so that no limit is forgotten.
        let Limits {
            requests: _,
            concurrent_requests,
            request_body_bytes,
            connections,
            request_bytes_per_second,
            response_bytes_per_second,
            quotas: _,
        } = plan;
        Self {
            requests: requests(plan, group, tenant),
            concurrent_requests: least(
                *concurrent_requests,
                group.concurrent_requests,
                tenant.concurrent_requests,
            ),
            request_body_bytes: least(
                *request_body_bytes,
                group.request_body_bytes,
                tenant.request_body_bytes,
            ),
            connections: least(*connections, group.connections, tenant.connections),
            request_bytes_per_second: least(
                *request_bytes_per_second,
                group.request_bytes_per_second,
                tenant.request_bytes_per_second,
            ),
            response_bytes_per_second: least(
                *response_bytes_per_second,
                group.response_bytes_per_second,
                tenant.response_bytes_per_second,
            ),
            quotas: quotas(plan, group, tenant),
        }
    }
}

fn quotas(
    plan: &Limits,
    group: &Limits,
    tenant: &Limits,
) -> BTreeMap<MeterName, Sourced<QuotaMax>> {
    let all = [plan, group, tenant].into_iter().flat_map(|limits| limits.quotas.iter());
    let meters: BTreeSet<&MeterName> = all.map(|(meter, _)| meter).collect();
    let held = meters.into_iter().filter_map(|meter| {
        let of = |limits: &Limits| limits.quotas.get(meter);
        let Sourced { value, source } = least(of(plan), of(group), of(tenant));
        Some((meter.clone(), Sourced { value: value?, source }))
    });
    held.collect()
}

fn least<T: Ord>(plan: Option<T>, group: Option<T>, tenant: Option<T>) -> SourcedLimit<T> {
    let own = tenant.map(|value| (value, Source::Tenant));
    let wanted = own.or_else(|| plan.map(|value| (value, Source::Plan)));
    let ceiling = group.map(|value| (value, Source::Group));
    let (value, source) = match (wanted, ceiling) {
        (None, None) => return Sourced { value: None, source: Source::Default },
        (Some(wanted), Some(ceiling)) if ceiling.0 < wanted.0 => ceiling,
        (Some(wanted), _) => wanted,
        (None, Some(ceiling)) => ceiling,
    };
    Sourced { value: Some(value), source }
}

/// The plan's, each replaced by the tenant's of its name, then the tenant's others, then ceilings that
/// bound none of them.
fn requests(plan: &Limits, group: &Limits, tenant: &Limits) -> Vec<Sourced<RateLimit>> {
    let sourced = |limit: &RateLimit, source| Sourced { value: limit.clone(), source };
    let of_plan =
        plan.requests.as_slice().iter().map(|limit| match tenant.requests.find(limit.name()) {
            Some(own) => sourced(own, Source::Tenant),
            None => sourced(limit, Source::Plan),
        });
    let own = tenant.requests.as_slice().iter();
    let added = own.filter(|limit| plan.requests.find(limit.name()).is_none());
    let mut limits: Vec<_> =
        of_plan.chain(added.map(|limit| sourced(limit, Source::Tenant))).collect();
    for ceiling in group.requests.as_slice() {
        bound(&mut limits, ceiling);
    }
    limits
}

fn bound(limits: &mut Vec<Sourced<RateLimit>>, ceiling: &RateLimit) {
    let (value, source) = (ceiling.clone(), Source::Group);
    match limits.iter_mut().find(|limit| limit.value.name() == ceiling.name()) {
        None => limits.push(Sourced { value, source }),
        Some(limit) if limit.value.counts_as(ceiling) => {
            if let Some(value) = limit.value.bounded_by(ceiling) {
                *limit = Sourced { value, source };
            }
        }
        Some(_) => {
            // The name fits: groups are held to that.
            let name = format!("{LIMIT_PREFIX}{}", ceiling.name()).parse::<LimitName>();
            let name = name.unwrap_or_else(|_| value.name().clone());
            let value = value.named(name);
            limits.push(Sourced { value, source });
        }
    }
}

/// What speaks of a tenant's features, beside what is declared of each.
#[derive(Debug, Clone, Copy)]
pub struct FeatureRules<'a> {
    /// Which tenant.
    pub tenant: TenantId,
    /// What its plan turns on.
    pub plan: &'a BTreeSet<FeatureId>,
    /// What its group turns off.
    pub group: Option<&'a BTreeSet<FeatureId>>,
    /// What it turns on or off itself.
    pub own: Option<&'a BTreeMap<FeatureId, bool>>,
}

impl<'a> FeatureRules<'a> {
    /// Of a tenant, its plan and its group.
    #[must_use]
    pub fn new(plan: &'a Plan, group: Option<&'a Group>, tenant: &'a Tenant) -> Self {
        Self {
            tenant: tenant.id,
            plan: &plan.features,
            group: group.map(|group| &group.features_off),
            own: Some(&tenant.features),
        }
    }

    /// Whether a feature is on: the kill switch first, then the group, the tenant, its plan, and the
    /// feature's default.
    #[must_use]
    pub fn decide(&self, id: &FeatureId, declared: Option<&Feature>) -> Sourced<bool> {
        let is = |value, source| Sourced { value, source };
        if declared.is_some_and(|feature| feature.killed) {
            return is(false, Source::KillSwitch);
        }
        if self.group.is_some_and(|off| off.contains(id)) {
            return is(false, Source::Group);
        }
        if let Some(own) = self.own.and_then(|own| own.get(id)) {
            return is(*own, Source::Tenant);
        }
        if self.plan.contains(id) {
            return is(true, Source::Plan);
        }
        let default = declared.map_or(FeatureDefault::Off, |feature| feature.default);
        let source = match default {
            FeatureDefault::Percentage(_) => Source::Percentage,
            FeatureDefault::Off | FeatureDefault::On => Source::Default,
        };
        is(default.is_on(id, self.tenant), source)
    }

    /// Every feature that is declared or that anything here speaks of.
    #[must_use]
    pub fn all<'f>(
        &self,
        declared: impl IntoIterator<Item = &'f Feature>,
    ) -> BTreeMap<FeatureId, Sourced<bool>> {
        let declared: BTreeMap<&FeatureId, &Feature> =
            declared.into_iter().map(|feature| (&feature.id, feature)).collect();
        let own = self.own.into_iter().flat_map(BTreeMap::keys);
        let spoken_of = self.plan.iter().chain(self.group.into_iter().flatten()).chain(own);
        let ids: BTreeSet<&FeatureId> = declared.keys().copied().chain(spoken_of).collect();
        ids.into_iter().map(|id| (id.clone(), self.decide(id, declared.get(id).copied()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn limits(json: &Value) -> Limits {
        serde_json::from_value(json.clone()).unwrap()
    }

    fn limit(name: &str, quota: u32, window: u32, burst: u32) -> Value {
        json!({"name": name, "quota": quota, "window_seconds": window, "burst": burst})
    }

    /// Quota, window, burst and who said so, by name.
    type Shown = Vec<(String, u32, u32, u32, Source)>;

    fn rates(plan: &Value, group: &Value, tenant: &Value) -> Shown {
        let of = |requests: &Value| limits(&json!({ "requests": requests }));
        let effective = EffectiveLimits::new(&of(plan), Some(&of(group)), &of(tenant));
        let shown = |limit: Sourced<RateLimit>| {
            let Sourced { value, source } = limit;
            let name = value.name().to_string();
            (name, value.quota().get(), value.window_seconds().get(), value.burst().get(), source)
        };
        effective.requests.into_iter().map(shown).collect()
    }

    #[test]
    fn single_values() {
        let one = |number: Option<u32>| limits(&json!({ "concurrent_requests": number }));
        for (plan, group, tenant, expected, source) in [
            (None, None, None, None, Source::Default),
            (Some(5), None, None, Some(5), Source::Plan),
            (Some(5), None, Some(9), Some(9), Source::Tenant),
            (Some(5), None, Some(2), Some(2), Source::Tenant),
            (None, Some(7), None, Some(7), Source::Group),
            (Some(5), Some(7), None, Some(5), Source::Plan),
            (Some(9), Some(7), None, Some(7), Source::Group),
            (Some(5), Some(7), Some(9), Some(7), Source::Group),
            (Some(9), Some(7), Some(5), Some(5), Source::Tenant),
            (Some(7), Some(7), None, Some(7), Source::Plan),
        ] {
            let group = group.map(|group| one(Some(group)));
            let effective = EffectiveLimits::new(&one(plan), group.as_ref(), &one(tenant));
            let got = effective.concurrent_requests;
            assert_eq!((got.value.map(NonZeroU32::get), got.source), (expected, source));
            assert_eq!(effective.connections.source, Source::Default);
        }
    }

    #[test]
    fn one_override_leaves_the_others() {
        let plan = json!([limit("a", 1, 1, 1), limit("b", 2, 1, 2)]);
        let tenant = json!([limit("c", 4, 1, 4), limit("b", 3, 1, 3)]);
        let expected = [
            ("a".to_owned(), 1, 1, 1, Source::Plan),
            ("b".to_owned(), 3, 1, 3, Source::Tenant),
            ("c".to_owned(), 4, 1, 4, Source::Tenant),
        ];
        assert_eq!(rates(&plan, &json!([]), &tenant), expected);
    }

    #[test]
    fn ceilings_of_rates() {
        let check = |own: Value, ceiling: Value, expected: (u32, u32, u32, Source)| {
            let got = rates(&json!([]), &json!([ceiling]), &json!([own]));
            let (quota, window, burst, source) = expected;
            assert_eq!(got, [("a".to_owned(), quota, window, burst, source)]);
        };
        let ceiling = || limit("a", 100, 10, 50);
        check(limit("a", 9, 1, 40), ceiling(), (9, 1, 40, Source::Tenant));
        check(limit("a", 10, 1, 50), ceiling(), (10, 1, 50, Source::Tenant));
        check(limit("a", 11, 1, 40), ceiling(), (100, 10, 40, Source::Group));
        check(limit("a", 9, 1, 60), ceiling(), (9, 1, 50, Source::Group));
        check(limit("a", 11, 1, 60), ceiling(), (100, 10, 50, Source::Group));
        check(limit("a", 600, 60, 1), ceiling(), (600, 60, 1, Source::Tenant));
        // None of the tenant's: the ceiling itself.
        let alone = rates(&json!([]), &json!([ceiling()]), &json!([]));
        assert_eq!(alone, [("a".to_owned(), 100, 10, 50, Source::Group)]);
    }

    #[test]
    fn a_ceiling_that_counts_something_else_holds_beside() {
        let mut per_client = limit("a", 1, 1, 1);
        per_client["per"] = json!("client");
        let got = rates(&json!([limit("a", 5, 1, 5)]), &json!([per_client]), &json!([]));
        let expected = [
            ("a".to_owned(), 5, 1, 5, Source::Plan),
            ("group.a".to_owned(), 1, 1, 1, Source::Group),
        ];
        assert_eq!(got, expected);
        let long = json!({"id": "g", "name": "G", "limits": {"requests": [limit(&"x".repeat(58), 1, 1, 1)]}});
        let error = serde_json::from_value::<Group>(long).unwrap_err().to_string();
        assert!(error.contains("57 bytes"), "{error}");
    }

    #[test]
    fn features_by_kill_switch_group_tenant_plan_and_default() {
        let feature = |default: Value, killed: bool| -> Feature {
            serde_json::from_value(json!({"id": "x", "default": default, "killed": killed}))
                .unwrap()
        };
        let id: FeatureId = "x".parse().unwrap();
        let (none, set) = (BTreeSet::new(), BTreeSet::from([id.clone()]));
        let overrides = |on: bool| BTreeMap::from([(id.clone(), on)]);
        let (on, off) = (overrides(true), overrides(false));
        let rules = FeatureRules {
            tenant: TenantId::from_parts(1, 1),
            plan: &none,
            group: None,
            own: None,
        };
        let check = |rules: FeatureRules<'_>, declared: Option<Feature>, value, source| {
            assert_eq!(rules.decide(&id, declared.as_ref()), Sourced { value, source });
        };
        check(rules, None, false, Source::Default);
        check(rules, Some(feature(json!(true), false)), true, Source::Default);
        check(rules, Some(feature(json!({"percentage": 100}), false)), true, Source::Percentage);
        check(rules, Some(feature(json!({"percentage": 0}), false)), false, Source::Percentage);
        let planned = FeatureRules { plan: &set, ..rules };
        check(planned, Some(feature(json!({"percentage": 0}), false)), true, Source::Plan);
        check(FeatureRules { own: Some(&off), ..planned }, None, false, Source::Tenant);
        let own = FeatureRules { own: Some(&on), ..planned };
        check(own, None, true, Source::Tenant);
        check(FeatureRules { group: Some(&none), ..own }, None, true, Source::Tenant);
        let grouped = FeatureRules { group: Some(&set), ..own };
        check(grouped, Some(feature(json!(true), false)), false, Source::Group);
        check(grouped, Some(feature(json!(true), true)), false, Source::KillSwitch);
        assert_eq!(grouped.all([]).len(), 1);
    }
}
