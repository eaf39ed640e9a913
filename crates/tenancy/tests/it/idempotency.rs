//! Named changes: made once, whoever asks how often.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use serde_json::json;
use tenantry_model::KeySpec;
use tenantry_tenancy::{
    Caller, Error, Idempotency, NewIssuer, Precondition, Transition, Versioned, idempotency::KEPT,
};

use crate::platform::{Platform, caller, named, new_tenant, parsed};

fn keyed(key: &str, request: &str) -> Caller {
    let idempotency = Idempotency::new("root", key, &[request.as_bytes()]);
    Caller { idempotency: Some(idempotency), ..caller() }
}

fn is_replayed(caller: &Caller) -> bool {
    caller.idempotency.as_ref().unwrap().is_replayed()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_at_once_one_has_an_effect() {
    let platform = Platform::new().await;
    let before = platform.audit().await.len();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let tenancy = Arc::clone(&platform.tenancy);
            tokio::spawn(async move {
                let caller = keyed("one", "create acme");
                let made = tenancy.create_tenant(&caller, new_tenant("acme", &["a.b"])).await;
                let Versioned { value, revision } = made.unwrap();
                (Versioned { value: value.record, revision }, is_replayed(&caller))
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    let first = answers.first().unwrap().0.clone();
    assert!(answers.iter().all(|(made, _)| *made == first), "all are the same answer");
    assert_eq!(answers.iter().filter(|(_, is_replayed)| !is_replayed).count(), 1);
    assert_eq!(platform.audit().await.len(), before + 1);
}

#[tokio::test]
async fn a_name_is_that_of_one_request_of_one_principal() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    let first = keyed("one", "create acme");
    tenancy.create_tenant(&first, new_tenant("acme", &[])).await.unwrap();
    let other = keyed("one", "create globex");
    let refused = tenancy.create_tenant(&other, new_tenant("globex", &[])).await.unwrap_err();
    assert_eq!(refused, Error::IdempotencyKeyReused);
    let somebody = Idempotency::new("somebody", "one", &[b"create globex"]);
    let somebody = Caller { idempotency: Some(somebody), ..caller() };
    tenancy.create_tenant(&somebody, new_tenant("globex", &[])).await.unwrap();
    // Parts do not run into each other.
    let names = [("a", "bc"), ("ab", "c")].map(|(who, key)| Idempotency::new(who, key, &[]));
    assert_ne!(names[0].name(), names[1].name());
}

#[tokio::test]
async fn what_failed_has_left_nothing() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    platform.create_tenant("acme").await;
    let rows = platform.rows().await;
    for _ in 0..2 {
        let again = tenancy.create_tenant(&keyed("one", "x"), new_tenant("acme", &[])).await;
        assert!(matches!(again, Err(Error::SlugTaken(_))));
    }
    assert_eq!(platform.rows().await, rows);
    // So the name is free.
    tenancy.create_tenant(&keyed("one", "y"), new_tenant("globex", &[])).await.unwrap();
}

#[tokio::test]
async fn a_name_is_forgotten_after_a_day() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    let transition = Transition::Suspend { reason: "unpaid".to_owned() };
    platform.create_tenant("acme").await;
    let suspend = async |caller: &Caller| {
        tenancy.move_tenant(caller, &named("acme"), &transition, &Precondition::None).await
    };
    suspend(&keyed("one", "suspend")).await.unwrap();
    let again = keyed("one", "suspend");
    suspend(&again).await.unwrap();
    assert!(is_replayed(&again));
    platform.clock.pass(KEPT - Duration::from_secs(1));
    assert_eq!(tenancy.reconcile().await.unwrap().done, 0);
    let again = keyed("one", "suspend");
    suspend(&again).await.unwrap();
    assert!(is_replayed(&again), "a second before its time");
    platform.clock.pass(Duration::from_secs(1));
    // It stands for nothing now, before anybody has cleared it away and afterwards.
    assert!(matches!(suspend(&keyed("one", "suspend")).await, Err(Error::InvalidState { .. })));
    tenancy.create_tenant(&keyed("one", "create"), new_tenant("globex", &[])).await.unwrap();
    assert_eq!(tenancy.reconcile().await.unwrap().done, 1);
    let again = keyed("one", "create");
    tenancy.create_tenant(&again, new_tenant("globex", &[])).await.unwrap();
    assert!(is_replayed(&again), "the newer use of the name is still known");
    platform.clock.pass(KEPT);
    assert_eq!(tenancy.reconcile().await.unwrap().done, 1);
    let left: Vec<_> = platform.rows().await.into_iter().map(|(key, _)| key).collect();
    let left: Vec<_> = left
        .iter()
        .filter(|key| key.contains("idempotency/") && !key.starts_with("history/"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[tokio::test]
async fn rows_hold_no_secrets_and_answer_without_them() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    platform.create_tenant("acme").await;
    let tenant = named("acme");
    let new_key = || parsed::<KeySpec>(json!({"name": "ci"}));
    let key = tenancy.create_key(&keyed("key", ""), &tenant, new_key()).await.unwrap();
    let again = tenancy.create_key(&keyed("key", ""), &tenant, new_key()).await.unwrap();
    assert_eq!(
        (again.value.record.resource.id, again.revision),
        (key.value.record.resource.id, key.revision)
    );
    assert!(again.value.secret.is_none());
    let shared = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA";
    let new_issuer = || NewIssuer {
        issuer: "https://id.acme.com/".to_owned(),
        audiences: ["api".to_owned()].into(),
        algorithms: [serde_json::from_value(json!("HS256")).unwrap()].into(),
        tenant_claim: None,
        jwks: Some(json!({"keys": [{"kty": "oct", "alg": "HS256", "k": shared}]})),
        jwks_url: None,
        scope_claim: None,
        roles_claim: None,
    };
    let issuer =
        tenancy.create_issuer(&keyed("issuer", ""), Some(&tenant), new_issuer()).await.unwrap();
    let again =
        tenancy.create_issuer(&keyed("issuer", ""), Some(&tenant), new_issuer()).await.unwrap();
    assert_eq!(again.value.shown_keys(), issuer.value.shown_keys());
    let digest = key.value.record.resource.digest.to_string();
    let secret = key.value.secret.unwrap();
    let kept: Vec<_> = platform.rows().await;
    let kept: Vec<_> = kept.iter().filter(|(key, _)| key.starts_with("idempotency/")).collect();
    assert_eq!(kept.len(), 2);
    for (_, row) in kept {
        let text = String::from_utf8_lossy(row);
        for hidden in [secret.expose(), &digest, shared] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}

#[tokio::test]
async fn a_purge_is_answered_again_and_takes_the_tenants_rows_with_it() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    let any = Precondition::None;
    tenancy.create_tenant(&keyed("create", ""), new_tenant("acme", &["a.b"])).await.unwrap();
    let delete = Transition::Delete { retention_days: None };
    tenancy.move_tenant(&keyed("delete", ""), &named("acme"), &delete, &any).await.unwrap();
    let purge = async |caller: &Caller| {
        tenancy.purge_tenant(caller, &named("acme"), "acme", &any).await.unwrap()
    };
    let purged = purge(&keyed("purge", "")).await;
    let again = keyed("purge", "");
    assert_eq!(purge(&again).await, purged);
    assert!(is_replayed(&again));
    let rows = platform.rows().await;
    let kept = rows.iter().filter(|(key, _)| key.starts_with("idempotency/")).count();
    assert_eq!(kept, 1, "only the purge itself is still known");
    let of = format!("of/{}/", purged.value.tenant);
    assert!(!rows.iter().any(|(key, _)| key.starts_with(&of)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_at_once_that_nothing_else_keeps_apart_are_one_change() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let made = (0..20).map(|seed| {
        let tenancy = platform.beside(seed);
        tokio::spawn(async move {
            let key = KeySpec::named("ci");
            let made = tenancy.create_key(&keyed("one", "key"), &named("acme"), key).await;
            made.unwrap().value.record.resource.id
        })
    });
    let made: BTreeSet<_> = join_all(made).await.into_iter().map(|made| made.unwrap()).collect();
    assert_eq!(made.len(), 1);
}
