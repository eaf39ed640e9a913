//! A table that was changed step by step decides as one that was compiled at once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use tenantry_model::{IssuerId, KeyId, Resource, ResourceKind};

use super::platform::*;
use crate::{Change, Table};

const SLUGS: [&str; 4] = ["acme", "beta", "coda", "dune"];
const NAMES: [&str; 3] = ["one", "two", "three"];

/// A resource of a small world, in which identities, owners and names often meet.
fn any_resource() -> impl Strategy<Value = Resource> {
    let slug = || prop::sample::select(SLUGS.to_vec());
    let name = || prop::sample::select(NAMES.to_vec());
    let region = || prop::sample::select(vec!["eu", "us"]);
    let flag = any::<bool>;
    prop_oneof![
        (name(), 0..4_u8, flag()).prop_map(|(id, default, killed)| {
            let default = match default {
                0 => json!(false),
                1 => json!(true),
                third => json!({"percentage": third * 25}),
            };
            resource(ResourceKind::Feature, &json!({"id": id, "default": default, "killed": killed}))
        }),
        (name(), prop::collection::btree_set(name(), 0..3)).prop_map(|(id, features)| {
            resource(ResourceKind::Plan, &json!({"id": id, "name": id, "features": features}))
        }),
        (name(), prop::collection::btree_set(name(), 0..2), 1_u32..9).prop_map(|(id, off, quota)| {
            let limits = json!({"requests": [{"name": "a", "quota": quota, "window_seconds": 60}]});
            resource(ResourceKind::Group, &json!({"id": id, "name": id, "features_off": off, "limits": limits}))
        }),
        (name(), prop::option::of(region())).prop_map(|(id, region)| {
            resource(ResourceKind::Upstream, &json!({"id": id, "endpoints": [{"address": "127.0.0.1:1"}], "region": region}))
        }),
        (slug(), slug(), name(), flag(), prop::option::of((name(), flag())), prop::option::of(region()), prop::option::of(name()), flag()).prop_map(|(owner, slug, plan, active, feature, region, group, limited)| {
            let limits = if limited { json!({"requests": [{"name": "a", "quota": 5, "window_seconds": 60}]}) } else { json!({}) };
            let features: BTreeMap<_, _> = feature.into_iter().collect();
            let state = if active { "active" } else { "suspended" };
            resource(ResourceKind::Tenant, &json!({
                "id": tenant_id(owner), "slug": slug, "state": state, "plan": plan, "auth": "none", "features": features, "region": region,
                "group": group, "limits": limits,
            }))
        }),
        (name(), prop::option::of(slug()), name(), prop::option::of(name())).prop_map(|(id, owner, upstream, feature)| {
            let features: Vec<_> = feature.into_iter().collect();
            resource(ResourceKind::Route, &json!({
                "id": id, "tenant": owner.map(tenant_id), "match": {"path_prefix": format!("/{id}")},
                "upstream": upstream, "require_features": features,
            }))
        }),
        (name(), name(), name(), flag(), flag()).prop_map(|(id, upstream, other, exempt, exact)| {
            let path = if exact { "path" } else { "path_prefix" };
            let split: Vec<_> = [&upstream, &other].into_iter().collect::<std::collections::BTreeSet<_>>().into_iter()
                .map(|upstream| json!({"upstream": upstream, "weight": 1})).collect();
            resource(ResourceKind::Route, &json!({
                "id": id, "match": {path: format!("/{upstream}")}, "upstreams": split,
                "tenancy": if exempt { "exempt" } else { "required" },
            }))
        }),
        (name(), slug(), flag()).prop_map(|(name, owner, wildcard)| {
            let host = if wildcard { format!("*.{name}.example") } else { format!("{name}.example") };
            resource(ResourceKind::Domain, &json!({"host": host, "tenant": tenant_id(owner)}))
        }),
        (name(), slug(), name(), flag(), flag(), flag()).prop_map(|(id, owner, secret, enabled, far, limited)| {
            let networks = if far { "198.51.100.0/24" } else { "192.0.2.0/24" };
            let limit = limited.then(|| json!({"name": "a", "quota": 5, "window_seconds": 60}));
            let limits: Vec<_> = limit.into_iter().collect();
            let mut json = key(secret, owner, &json!({
                "enabled": enabled, "allowed_networks": [networks], "rate_limits": limits,
            }));
            json["id"] = json!(KeyId::from_parts(1, u128::from(id.as_bytes()[1])));
            resource(ResourceKind::ApiKey, &json)
        }),
        (1_u128..4, prop::option::of(slug()), 1_u8..3).prop_map(|(id, owner, seed)| {
            let mut json = shared_issuer();
            json["id"] = json!(IssuerId::from_parts(1, id));
            json["tenant"] = json!(owner.map(tenant_id));
            json["jwks"] = json!({"keys": [signing_key(seed).jwk("k1")]});
            resource(ResourceKind::Issuer, &json)
        }),
    ]
}

/// Every request of the small world, with its whole explanation.
fn decisions(table: &Table) -> Vec<(String, String)> {
    let token = token(&claims("acme", &json!({})));
    let mut decisions = Vec::new();
    for host in NAMES
        .iter()
        .flat_map(|name| [format!("{name}.example"), format!("www.{name}.example")])
        .chain(["x.y".into()])
    {
        for path in NAMES {
            let plain = || get(&host, &format!("/{path}"));
            let with_keys = NAMES.iter().map(|name| plain().key(name));
            for request in [plain(), plain().bearer(&token)].into_iter().chain(with_keys) {
                let (decision, explanation) = request.explain(table);
                decisions.push((outcome(&decision), format!("{explanation:?}")));
            }
        }
    }
    decisions
}

/// The outcomes alone: a token that was verified before is not tried with other issuers again, and the
/// explanation says so.
fn outcomes(table: &Table) -> Vec<String> {
    decisions(table).into_iter().map(|(outcome, _)| outcome).collect()
}

/// The control plane keeps slugs and digests unique; what breaks that is left out here too.
fn keeps_names_unique<'a>(state: impl IntoIterator<Item = &'a Resource>, new: &Resource) -> bool {
    state.into_iter().filter(|other| other.reference() != new.reference()).all(|other| {
        match (other, new) {
            (Resource::Tenant(a), Resource::Tenant(b)) => a.slug != b.slug,
            (Resource::ApiKey(a), Resource::ApiKey(b)) => a.digest != b.digest,
            _ => true,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn step_by_step_equals_at_once(
        operations in prop::collection::vec((any_resource(), 0_u8..4), 1..80),
        delta_size in 1_usize..6,
    ) {
        let mut state = BTreeMap::new();
        let mut changes = Vec::new();
        for (resource, dice) in operations {
            if dice == 0 {
                state.remove(&resource.reference());
                changes.push(Change::Delete(resource.reference()));
            } else if keeps_names_unique(state.values(), &resource) {
                state.insert(resource.reference(), resource.clone());
                changes.push(Change::Put(resource));
            }
        }
        let stepwise = changes.chunks(delta_size).fold(empty(), |table, delta| table.apply(delta.iter().cloned()).table);
        let at_once = empty().replace(state.values().cloned()).table;
        prop_assert_eq!(decisions(&stepwise), decisions(&at_once));
        prop_assert_eq!(stepwise.tenant_count(), at_once.tenant_count());
        let resynced = stepwise.replace(state.into_values().rev()).table;
        prop_assert_eq!(decisions(&resynced), decisions(&at_once));
    }

    #[test]
    fn what_is_refused_of_a_full_state_stays_as_it_was(
        resources in prop::collection::vec((any_resource(), any::<bool>()), 1..40),
    ) {
        let mut state = BTreeMap::new();
        for (resource, is_kept) in resources {
            if keeps_names_unique(state.values().map(|(resource, _)| resource), &resource) {
                state.insert(resource.reference(), (resource, is_kept));
            }
        }
        let all = || state.values().map(|(resource, _)| resource.clone());
        let before = empty().replace(all()).table;
        let kept: Vec<_> = state.iter().filter(|(_, (_, kept))| *kept).map(|(key, _)| key.clone()).collect();
        let sent = state.values().filter(|(_, kept)| !kept).map(|(resource, _)| resource.clone());
        let applied = before.replace_keeping(sent, &kept);
        prop_assert!(applied.refused.is_empty());
        prop_assert_eq!(outcomes(&applied.table), outcomes(&before));
        // What was never there cannot be kept.
        let none = empty().replace_keeping([], &kept).table;
        prop_assert_eq!(outcomes(&none), outcomes(&empty()));
    }
}
