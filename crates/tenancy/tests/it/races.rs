//! What is unique stays unique and what is used stays there, whoever asks at the same time.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use serde_json::json;
use tenantry_model::{Bounded, Plan, PlanId};
use tenantry_tenancy::{Error, KeyRoll, NewTenant, Precondition, Transition};

use crate::{
    desired::apply,
    platform::{Platform, caller, named, new_tenant, parsed},
    rollouts::start,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_creations_of_one_slug_one_wins() {
    let platform = Platform::new().await;
    let creations = (0..50).map(|number| {
        let tenancy = Arc::clone(&platform.tenancy);
        tokio::spawn(async move {
            let host = format!("h{number}.example.com");
            tenancy.create_tenant(&caller(), new_tenant("acme", &[&host])).await
        })
    });
    let outcomes: Vec<_> =
        join_all(creations).await.into_iter().map(|outcome| outcome.unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(*error, Error::SlugTaken("acme".to_owned()));
    }
    // The losers have left nothing: one tenant with one domain, and one audit entry beside the plan's.
    let rows = platform.rows().await;
    let count = |prefix: &str| rows.iter().filter(|(key, _)| key.starts_with(prefix)).count();
    assert_eq!((count("tenant/"), count("domain/"), count("of/"), count("audit/")), (1, 1, 1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_who_change_one_tenant_nobody_is_turned_away() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let changes = (0..100).map(|number| {
        let tenancy = Arc::clone(&platform.tenancy);
        let patch = json!({ "labels": { format!("l{number}"): "x" } });
        tokio::spawn(async move {
            let (acme, none) = (named("acme"), Precondition::None);
            // No more labels fit, but as many changes as one likes.
            let patch = if number < 50 { patch } else { json!({ "name": format!("{number}") }) };
            tenancy.patch_tenant(&caller(), &acme, &patch, &none).await.map(drop)
        })
    });
    for outcome in join_all(changes).await {
        assert_eq!(outcome.unwrap(), Ok(()));
    }
    let labels = platform.tenancy.tenant(&named("acme")).await.unwrap().value.profile.labels;
    assert_eq!(labels.len(), 50, "no change has undone another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_who_roll_one_key_one_does() {
    let platform = Platform::new().await;
    let spec = parsed(json!({"name": "ci"}));
    let tenant = NewTenant { key: Some(spec), ..new_tenant("acme", &[]) };
    let made = platform.tenancy.create_tenant(&caller(), tenant).await.unwrap().value;
    let id = made.key.unwrap().record.resource.id;
    let rolls = (0..10).map(|_| {
        let tenancy = Arc::clone(&platform.tenancy);
        let roll = KeyRoll { overlap_seconds: Bounded::try_from(60).unwrap(), expires_at: None };
        tokio::spawn(async move {
            let (acme, none) = (named("acme"), Precondition::None);
            tenancy.roll_key(&caller(), &acme, id, roll, &none).await.map(drop)
        })
    });
    let outcomes: Vec<_> =
        join_all(rolls).await.into_iter().map(|outcome| outcome.unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(refused.into_iter().all(|error| matches!(error, Error::KeyReplaced { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plan_is_deleted_or_used_and_never_both() {
    let platform = Platform::new().await;
    let mut both = [0, 0];
    for round in 0..40 {
        let id = format!("plan-{round}");
        platform.create_plan(&id).await;
        let mut tenant = new_tenant(&format!("tenant-{round}"), &[]);
        tenant.spec.plan = id.parse().unwrap();
        let plan: PlanId = id.parse().unwrap();
        let (creating, deleting) = (Arc::clone(&platform.tenancy), Arc::clone(&platform.tenancy));
        let created = tokio::spawn(async move { creating.create_tenant(&caller(), tenant).await });
        let deleted = tokio::spawn(async move {
            deleting.delete::<Plan>(&caller(), &plan, &Precondition::None).await
        });
        let outcomes = (created.await.unwrap(), deleted.await.unwrap());
        let exists = platform.tenancy.get::<Plan>(&id.parse().unwrap()).await;
        match outcomes {
            (Ok(_), Err(Error::InUse { user: "tenant", .. })) => {
                exists.unwrap();
                both[0] += 1;
            }
            (Err(Error::Invalid { pointer, .. }), Ok(())) => {
                assert_eq!(pointer, "/plan");
                exists.unwrap_err();
                both[1] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(both.iter().sum::<i32>(), 40);
}

#[tokio::test]
async fn an_upstream_in_use_stays() {
    let platform = Platform::new().await;
    platform.create_route().await.unwrap();
    let (caller, any) = (caller(), Precondition::None);
    let id = "main".parse().unwrap();
    let upstream = platform.tenancy.delete::<tenantry_model::Upstream>(&caller, &id, &any).await;
    assert!(matches!(upstream, Err(Error::InUse { user: "route", .. })), "{upstream:?}");
    let route = "all".parse().unwrap();
    platform.tenancy.delete::<tenantry_model::Route>(&caller, &route, &any).await.unwrap();
    platform.tenancy.delete::<tenantry_model::Upstream>(&caller, &id, &any).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_changes_of_one_revision_one_wins() {
    let platform = Platform::new().await;
    let revision = platform.create_tenant("acme").await.revision.as_u64();
    let changes = (0..8).map(|number| {
        let tenancy = Arc::clone(&platform.tenancy);
        tokio::spawn(async move {
            let patch = serde_json::json!({"name": format!("Acme {number}")});
            let precondition = Precondition::AnyOf(vec![revision]);
            tenancy.patch_tenant(&caller(), &named("acme"), &patch, &precondition).await
        })
    });
    let outcomes = join_all(changes).await.into_iter().map(|outcome| outcome.unwrap());
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    assert!(lost.iter().all(|lost| matches!(lost, Err(Error::PreconditionFailed { .. }))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_asks_for_a_purge_is_answered_whoever_finishes_it() {
    let platform = Arc::new(Platform::new().await);
    for round in 0..30 {
        let slug = format!("acme-{round}");
        let hosts: Vec<_> = (0..20).map(|host| format!("h{host}.{slug}.example")).collect();
        let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
        platform.tenancy.create_tenant(&caller(), new_tenant(&slug, &hosts)).await.unwrap();
        let delete = Transition::Delete { retention_days: None };
        let any = Precondition::None;
        platform.tenancy.move_tenant(&caller(), &named(&slug), &delete, &any).await.unwrap();
        let others: Vec<_> = (0..3)
            .map(|_| {
                let platform = Arc::clone(&platform);
                tokio::spawn(async move {
                    for _ in 0..20 {
                        // Whoever began it is taken for cut off.
                        platform.clock.pass(Duration::from_secs(10));
                        let reconciled = platform.tenancy.reconcile().await.unwrap();
                        assert!(reconciled.failed.is_empty(), "{:?}", reconciled.failed);
                    }
                })
            })
            .collect();
        let any = Precondition::None;
        let purged = platform.tenancy.purge_tenant(&caller(), &named(&slug), &slug, &any).await;
        assert!(purged.is_ok(), "{purged:?}");
        join_all(others).await.into_iter().for_each(Result::unwrap);
    }
}

/// The documents write the record of the tenant and not its state, so what becomes of that is no business of theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rollout_stays_fit_while_its_tenant_is_suspended_and_resumed() {
    let platform = Platform::new().await;
    let tenant = |name: &str, domains: &[&str]| {
        json!({
            "kind": "tenant", "slug": "acme", "name": name, "plan": "pro", "auth": "none", "domains": domains,
        })
    };
    apply(&platform, &[tenant("Acme", &["acme.example", "old.example"])]).await.unwrap();
    let documents = [tenant("Acme Inc.", &["acme.example"])];
    let rollout = start(&platform, &documents).await.unwrap().value;
    let moving = tokio::spawn({
        let tenancy = Arc::clone(&platform.tenancy);
        async move {
            for _ in 0..200 {
                for transition in
                    [Transition::Suspend { reason: "test".to_owned() }, Transition::Resume]
                {
                    let none = Precondition::None;
                    tenancy
                        .move_tenant(&caller(), &named("acme"), &transition, &none)
                        .await
                        .unwrap();
                }
            }
        }
    });
    let mut looks = 0;
    while !moving.is_finished() {
        match platform.tenancy.rollout_unfit(&rollout).await {
            // Somebody was quicker every time.
            Err(Error::ConcurrentChange) => {}
            unfit => {
                assert_eq!(unfit, Ok(None));
                looks += 1;
            }
        }
    }
    moving.await.unwrap();
    assert!(looks > 0);
}
