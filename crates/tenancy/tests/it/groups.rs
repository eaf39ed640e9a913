//! Groups: there while a tenant is in them; and what holds for a tenant, with who said so.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use tenantry_model::{Feature, Group, GroupId, Plan, Source};
use tenantry_tenancy::{Error, Precondition, Transition};

use crate::platform::{Platform, caller, named, new_tenant, parsed};

async fn create_group(platform: &Platform, id: &str) {
    let group = json!({
        "id": id, "name": "A group", "features_off": ["exports"],
        "limits": {"concurrent_requests": 5, "requests": [{"name": "a", "quota": 10, "window_seconds": 1}]},
    });
    platform.tenancy.create::<Group>(&caller(), parsed(group)).await.unwrap();
}

async fn put_in(platform: &Platform, group: Option<&str>) -> Result<(), Error> {
    let patch = json!({ "group": group });
    let none = Precondition::None;
    platform.tenancy.patch_tenant(&caller(), &named("acme"), &patch, &none).await.map(drop)
}

#[tokio::test]
async fn a_group_in_use_stays() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let id: GroupId = "eu".parse().unwrap();
    let missing = put_in(&platform, Some("eu")).await.unwrap_err();
    assert!(matches!(missing, Error::Invalid { ref pointer, .. } if pointer == "/group"));
    create_group(&platform, "eu").await;
    create_group(&platform, "us").await;
    put_in(&platform, Some("eu")).await.unwrap();
    let delete = async |id: &GroupId| {
        platform.tenancy.delete::<Group>(&caller(), id, &Precondition::None).await
    };
    assert!(matches!(delete(&id).await, Err(Error::InUse { user: "tenant", .. })));
    // From one group to another, and out of it.
    put_in(&platform, Some("us")).await.unwrap();
    delete(&id).await.unwrap();
    let other = "us".parse().unwrap();
    assert!(matches!(delete(&other).await, Err(Error::InUse { .. })));
    put_in(&platform, None).await.unwrap();
    delete(&other).await.unwrap();
    let rows = platform.rows().await;
    assert!(!rows.iter().any(|(key, _)| key.starts_with("ref/group/")), "{rows:?}");
    // A tenant made in a group, and a plan that stays counted while the group changes.
    create_group(&platform, "eu").await;
    let mut tenant = new_tenant("globex", &[]);
    tenant.spec.group = Some(id.clone());
    platform.tenancy.create_tenant(&caller(), tenant).await.unwrap();
    assert!(delete(&id).await.is_err());
    let plan = "pro".parse().unwrap();
    let refused = platform.tenancy.delete::<Plan>(&caller(), &plan, &Precondition::None).await;
    assert!(matches!(refused, Err(Error::InUse { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_group_is_deleted_or_used_and_never_both() {
    let platform = Platform::new().await;
    for round in 0..20 {
        let id = format!("group-{round}");
        create_group(&platform, &id).await;
        let mut tenant = new_tenant(&format!("tenant-{round}"), &[]);
        tenant.spec.group = Some(id.parse().unwrap());
        let group: GroupId = id.parse().unwrap();
        let (creating, deleting) = (Arc::clone(&platform.tenancy), Arc::clone(&platform.tenancy));
        let outcomes = join_all([
            tokio::spawn(async move { creating.create_tenant(&caller(), tenant).await.map(drop) }),
            tokio::spawn(async move {
                deleting.delete::<Group>(&caller(), &group, &Precondition::None).await
            }),
        ])
        .await;
        let [created, deleted] =
            [0, 1].map(|index: usize| outcomes[index].as_ref().unwrap().is_ok());
        assert!(created != deleted, "{outcomes:?}");
    }
}

#[tokio::test]
async fn every_value_has_a_source() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    let plan = json!({
        "id": "big", "name": "Big", "features": ["reports", "exports"],
        "limits": {
            "concurrent_requests": 50, "connections": 7,
            "requests": [{"name": "a", "quota": 100, "window_seconds": 1}, {"name": "b", "quota": 3, "window_seconds": 1}],
        },
    });
    tenancy.create::<Plan>(&caller(), parsed(plan)).await.unwrap();
    create_group(&platform, "eu").await;
    for (id, default, killed) in [
        ("killed", json!(true), true),
        ("on", json!(true), false),
        ("some", json!({"percentage": 100}), false),
    ] {
        let feature = json!({"id": id, "default": default, "killed": killed});
        tenancy.create::<Feature>(&caller(), parsed(feature)).await.unwrap();
    }
    let mut tenant = new_tenant("acme", &[]);
    tenant.spec = parsed(json!({
        "slug": "acme", "name": "Acme", "plan": "big", "group": "eu",
        "features": {"reports": false, "exports": true, "killed": true, "own": true},
        "limits": {"request_body_bytes": 9, "requests": [{"name": "b", "quota": 4, "window_seconds": 1}]},
    }));
    let created = tenancy.create_tenant(&caller(), tenant).await.unwrap();
    let effective = tenancy.effective(&named("acme")).await.unwrap();
    assert_eq!(effective.revision, created.revision);
    let limits = &effective.value.limits;
    let rates: Vec<_> = limits
        .requests
        .iter()
        .map(|limit| (limit.value.name().as_str(), limit.value.quota().get(), limit.source))
        .collect();
    assert_eq!(rates, [("a", 10, Source::Group), ("b", 4, Source::Tenant)]);
    let concurrent = limits.concurrent_requests;
    assert_eq!((concurrent.value.unwrap().get(), concurrent.source), (5, Source::Group));
    assert_eq!(limits.connections.source, Source::Plan);
    assert_eq!(limits.request_body_bytes.source, Source::Tenant);
    assert_eq!(limits.request_bytes_per_second.source, Source::Default);
    let features: Vec<_> = effective
        .value
        .features
        .iter()
        .map(|(id, on)| (id.as_str(), on.value, on.source))
        .collect();
    assert_eq!(
        features,
        [
            ("exports", false, Source::Group),
            ("killed", false, Source::KillSwitch),
            ("on", true, Source::Default),
            ("own", true, Source::Tenant),
            ("reports", false, Source::Tenant),
            ("some", true, Source::Percentage),
        ]
    );
    assert!(matches!(tenancy.effective(&named("nobody")).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_group_is_in_use_until_its_tenant_is_purged() {
    let platform = Platform::new().await;
    create_group(&platform, "eu").await;
    platform.create_tenant("acme").await;
    put_in(&platform, Some("eu")).await.unwrap();
    let (tenancy, caller, acme) = (&platform.tenancy, &caller(), &named("acme"));
    let (none, id) = (&Precondition::None, "eu".parse::<GroupId>().unwrap());
    let suspend = Transition::Suspend { reason: "unpaid".to_owned() };
    for transition in [suspend, Transition::Delete { retention_days: None }] {
        tenancy.move_tenant(caller, acme, &transition, none).await.unwrap();
        let refused = tenancy.delete::<Group>(caller, &id, none).await;
        assert!(matches!(refused, Err(Error::InUse { .. })), "{transition:?}: {refused:?}");
    }
    tenancy.purge_tenant(caller, acme, "acme", none).await.unwrap();
    tenancy.delete::<Group>(caller, &id, none).await.unwrap();
}

#[tokio::test]
async fn a_kill_switch_does_not_go_with_its_feature() {
    let platform = Platform::new().await;
    let (tenancy, caller) = (&platform.tenancy, &caller());
    let feature =
        |killed: bool| -> Feature { parsed(serde_json::json!({"id": "beta", "killed": killed})) };
    let id = "beta".parse().unwrap();
    tenancy.create(caller, feature(true)).await.unwrap();
    let refused = tenancy.delete::<Feature>(caller, &id, &Precondition::None).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    tenancy.replace(caller, feature(false), &Precondition::None).await.unwrap();
    tenancy.delete::<Feature>(caller, &id, &Precondition::None).await.unwrap();
}
