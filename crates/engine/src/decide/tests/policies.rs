//! What is enforced is what the model says holds, whatever came first and whatever was kept.

use proptest::prelude::*;
use serde_json::{Value, json};
use tenantry_model::{
    EffectiveLimits, Feature, FeatureRules, Group, Plan, Resource, ResourceKind, Source, Tenant,
};

use super::{super::*, platform::*};
use crate::{Change, policy::CompiledLimits};

fn number() -> impl Strategy<Value = Option<u32>> {
    prop::option::of(1..20_u32)
}

fn limit() -> impl Strategy<Value = Value> {
    let scopes = prop::sample::select(vec!["tenant", "client", "key"]);
    (prop::sample::select(vec!["a", "b", "c"]), 1..20_u32, 1..5_u32, number(), scopes).prop_map(
        |(name, quota, window, burst, per)| {
            json!({"name": name, "quota": quota, "window_seconds": window, "burst": burst, "per": per})
        },
    )
}

fn limits() -> impl Strategy<Value = Value> {
    let rates = prop::collection::vec(limit(), 0..4).prop_map(|mut limits| {
        limits.sort_by_key(|limit| limit["name"].to_string());
        limits.dedup_by_key(|limit| limit["name"].to_string());
        limits
    });
    (rates, number(), number(), number(), number(), number()).prop_map(
        |(requests, a, b, c, d, e)| {
            json!({
                "requests": requests, "concurrent_requests": a, "request_body_bytes": b,
                "connections": c, "request_bytes_per_second": d, "response_bytes_per_second": e,
            })
        },
    )
}

const FEATURES: [&str; 4] = ["f1", "f2", "f3", "f4"];

fn some_features() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(FEATURES.to_vec(), 0..=4)
}

fn features() -> impl Strategy<Value = Vec<Feature>> {
    let default = prop_oneof![
        any::<bool>().prop_map(|on| json!(on)),
        (0..=100_u32).prop_map(|percentage| json!({ "percentage": percentage })),
    ];
    prop::collection::vec((default, any::<bool>()), 4).prop_map(|features| {
        let declared = FEATURES.iter().zip(features);
        let feature =
            |(id, (default, killed))| json!({"id": id, "default": default, "killed": killed});
        declared.map(|declared| serde_json::from_value(feature(declared)).unwrap()).collect()
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    (limits(), some_features()).prop_map(|(limits, features)| {
        let plan = json!({"id": "pro", "name": "Pro", "limits": limits, "features": features});
        serde_json::from_value(plan).unwrap()
    })
}

fn group() -> impl Strategy<Value = Group> {
    (limits(), some_features()).prop_map(|(limits, off)| {
        let group = json!({"id": "eu", "name": "EU", "limits": limits, "features_off": off});
        serde_json::from_value(group).unwrap()
    })
}

fn one_tenant() -> impl Strategy<Value = Tenant> {
    let own =
        prop::collection::btree_map(prop::sample::select(FEATURES.to_vec()), any::<bool>(), 0..3);
    let limits = prop_oneof![Just(json!({})), limits()];
    (limits, own, any::<bool>()).prop_map(|(limits, features, grouped)| {
        let group = grouped.then_some("eu");
        let changes = json!({"limits": limits, "features": features, "group": group});
        serde_json::from_value(tenant("acme", &changes)).unwrap()
    })
}

/// Compares what a table enforces for the tenant with what the model says.
fn agree(
    table: &Table,
    plan: &Plan,
    group: &Group,
    tenant: &Tenant,
    declared: &[Feature],
) -> Result<(), TestCaseError> {
    let compiled = table.tenant(tenant.id).unwrap();
    let policy = table.policy_of(compiled).unwrap();
    let group = tenant.group.as_ref().map(|_| group);
    let ceilings = group.map(|group| &group.limits);
    let effective = EffectiveLimits::new(&plan.limits, ceilings, &tenant.limits);
    prop_assert_eq!(&policy.limits, &CompiledLimits::new(&effective));
    let features = FeatureRules::new(plan, group, tenant).all(declared);
    let on = features.iter().filter(|(_, decided)| decided.value).map(|(id, _)| id.as_str());
    prop_assert_eq!(table.features_of(compiled, &policy), on.collect::<Vec<_>>().join(","));
    for (id, decided) in &features {
        prop_assert_eq!(table.features().is_on(compiled, &policy, id), *decided);
    }
    // No ceiling is passed, by whatever road.
    if let Some(group) = group {
        for ceiling in group.limits.requests.as_slice() {
            let bounded = policy.limits.requests.iter().any(|limit| {
                limit.spec().counts_as(ceiling) && limit.spec().bounded_by(ceiling).is_none()
            });
            prop_assert!(bounded, "{ceiling:?} is not kept to");
        }
        let within = |own: Option<NonZeroU64>, ceiling: Option<NonZeroU64>| {
            ceiling.is_none_or(|ceiling| own.is_some_and(|own| own <= ceiling))
        };
        prop_assert!(within(policy.limits.request_body_bytes, group.limits.request_body_bytes));
        for id in &group.features_off {
            prop_assert!(features.get(id).is_none_or(|decided| !decided.value));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_enforced_is_what_holds(
        plans in (plan(), plan()), groups in (group(), group()), tenants in (one_tenant(), one_tenant()),
        declared in (features(), features()),
    ) {
        let put = |table: &Table, resource: Resource| table.apply([Change::Put(resource)]).table;
        let mut table = empty();
        for feature in &declared.0 {
            table = put(&table, Resource::Feature(feature.clone()));
        }
        // A tenant may come before what it refers to.
        table = put(&table, Resource::Tenant(tenants.0.clone()));
        table = put(&table, Resource::Group(groups.0.clone()));
        table = put(&table, Resource::Plan(plans.0.clone()));
        agree(&table, &plans.0, &groups.0, &tenants.0, &declared.0)?;
        // Everything was kept by now; each change must be seen all the same.
        table = put(&table, Resource::Group(groups.1.clone()));
        agree(&table, &plans.0, &groups.1, &tenants.0, &declared.0)?;
        table = put(&table, Resource::Plan(plans.1.clone()));
        agree(&table, &plans.1, &groups.1, &tenants.0, &declared.0)?;
        table = put(&table, Resource::Tenant(tenants.1.clone()));
        agree(&table, &plans.1, &groups.1, &tenants.1, &declared.0)?;
        for feature in &declared.1 {
            table = put(&table, Resource::Feature(feature.clone()));
        }
        agree(&table, &plans.1, &groups.1, &tenants.1, &declared.1)?;
        table = put(&table, Resource::Tenant(tenants.0.clone()));
        agree(&table, &plans.1, &groups.1, &tenants.0, &declared.1)?;
    }
}

#[test]
fn ten_thousand_features_of_tenants_agree_with_what_is_decided() {
    let mut table = platform();
    let plan: Plan = serde_json::from_value(
        json!({"id": "pro", "name": "Pro", "features": ["reports", "f7", "f8"]}),
    )
    .unwrap();
    table = put(&table, ResourceKind::Plan, &serde_json::to_value(&plan).unwrap());
    let declared: Vec<Feature> = (0..100_u32)
        .map(|number| {
            let default = json!({"percentage": number});
            let feature =
                json!({"id": format!("f{number}"), "default": default, "killed": number % 10 == 9});
            serde_json::from_value(feature).unwrap()
        })
        .collect();
    for feature in &declared {
        table = put(&table, ResourceKind::Feature, &serde_json::to_value(feature).unwrap());
        let (id, path) = (&feature.id, format!("/{}", feature.id));
        let route = json!({"id": id, "match": {"path": path}, "require_features": [id], "upstream": "main"});
        table = put(&table, ResourceKind::Route, &route);
    }
    let (mut on, mut by_percentage) = (0, 0);
    for number in 0..100_u128 {
        let slug = format!("t{number}");
        let changes = json!({
            "id": tenantry_model::TenantId::from_parts(5, number * 0x9e37_79b9), "auth": "none",
            "features": {"f3": number % 2 == 0},
        });
        let json = tenant(&slug, &changes);
        let spec: Tenant = serde_json::from_value(json.clone()).unwrap();
        table = put(&table, ResourceKind::Tenant, &json);
        let domain = json!({"host": format!("{slug}.test"), "tenant": spec.id});
        table = put(&table, ResourceKind::Domain, &domain);
        let rules = FeatureRules::new(&plan, None, &spec);
        for feature in &declared {
            let decided = rules.decide(&feature.id, Some(feature));
            let expected = if decided.value {
                format!("{slug} {}", feature.id)
            } else {
                "feature-disabled".into()
            };
            get(&format!("{slug}.test"), &format!("/{}", feature.id)).check(&table, &expected);
            on += u32::from(decided.value);
            by_percentage += u32::from(decided.source == Source::Percentage);
        }
    }
    assert!(on > 3_000 && by_percentage > 8_000, "{on} {by_percentage}");
}

#[test]
fn a_group_that_is_not_known_serves_nobody() {
    let table = put(&platform(), ResourceKind::Tenant, &tenant("acme", &json!({"group": "eu"})));
    get("acme.example", "/").key("acme-1").check(&table, "tenant-inactive");
    let group = json!({"id": "eu", "name": "EU", "features_off": ["reports"], "limits": {"request_body_bytes": 5}});
    let table = put(&table, ResourceKind::Group, &group);
    let request = get("acme.example", "/").key("acme-1");
    request.check(&table, "acme all");
    get("acme.example", "/reports").key("acme-1").check(&table, "feature-disabled");
    get("beta.example", "/reports").key("beta-1").check(&table, "beta reports");
    request.header("content-length", "6").check(&table, "body-too-large");
}

#[test]
fn a_ceiling_keeps_what_was_spent() {
    let limit =
        |quota: u32| json!({"requests": [{"name": "a", "quota": quota, "window_seconds": 60}]});
    let plan = json!({"id": "pro", "name": "Pro", "limits": limit(10)});
    let table = put(&platform(), ResourceKind::Plan, &plan);
    let request = get("acme.example", "/").key("acme-1");
    (0..4).for_each(|_| request.check(&table, "acme all"));
    let group = json!({"id": "eu", "name": "EU", "limits": limit(5)});
    let table = put(&table, ResourceKind::Group, &group);
    let table = put(
        &table,
        ResourceKind::Tenant,
        &tenant("acme", &json!({"group": "eu", "limits": limit(50)})),
    );
    request.check(&table, "acme all");
    request.check(&table, "rate-limited");
}
