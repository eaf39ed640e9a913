//! A change of a tenant is enforced, and disturbs nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tenantry_api::{AddDomain, CreateApiKey, CreateTenant, DeleteTenantQuery};
use tenantry_model::{Feature, Plan, Route, Timestamp};
use tenantry_test_support::{Platform, eventually, json as body, unix_ms};

#[tokio::test]
async fn suspend_and_resume() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    let other = platform.tenant("beta", json!({})).await;
    let status = async || platform.get("acme.example", "/").key(&secret).status().await;
    assert_eq!(status().await, 200);
    let suspended = platform.api().tenants().suspend("acme", "invoice 7 is unpaid").await.unwrap();
    platform.enforced(suspended.revision).await;
    let refused = platform.get("acme.example", "/").key(&secret).send().await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "tenant-suspended"));
    assert!(!refused.body.contains("invoice"), "the reason is the operator's: {}", refused.body);
    // State is told only to who has proven to be the tenant.
    assert_eq!(platform.get("acme.example", "/").status().await, 401);
    assert_eq!(platform.get("beta.example", "/").key(&other).status().await, 200);
    let resumed = platform.api().tenants().resume("acme").await.unwrap();
    platform.enforced(resumed.revision).await;
    assert_eq!(status().await, 200);
}

#[tokio::test]
async fn delete_and_undelete() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    platform.api().tenants().delete("acme", &DeleteTenantQuery::default(), None).await.unwrap();
    let deleted = platform.api().tenants().get("acme").await.unwrap();
    platform.enforced(deleted.revision).await;
    let refused = platform.get("acme.example", "/").key(&secret).send().await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "tenant-inactive"));
    let restored = platform.api().tenants().undelete("acme").await.unwrap();
    platform.enforced(restored.revision).await;
    assert_eq!(platform.get("acme.example", "/").key(&secret).status().await, 200);
}

#[tokio::test]
async fn keys_and_domains_come_and_go() {
    let platform = Platform::start().await;
    let first = platform.tenant("acme", json!({})).await;
    let api = platform.api();
    // Created good for two seconds; it is refused from then on.
    let expires_at = Timestamp::from_unix_ms(unix_ms() + 2_000);
    let key: CreateApiKey = body(json!({"name": "short", "expires_at": expires_at}));
    let short = api.keys("acme").create(&key).await.unwrap();
    platform.enforced(short.key.revision).await;
    eventually("the key expires", async || {
        let answer =
            platform.get("acme.example", "/").key(short.secret.as_deref().unwrap()).send().await;
        (answer.problem() == "credential-expired").then_some(())
    })
    .await;
    assert!(unix_ms() >= expires_at.unix_ms(), "and not before its time");
    let second =
        api.keys("acme").create(&body::<CreateApiKey>(json!({"name": "third"}))).await.unwrap();
    platform.enforced(second.key.revision).await;
    assert_eq!(
        platform.get("acme.example", "/").key(second.secret.as_deref().unwrap()).status().await,
        200
    );
    api.keys("acme").delete(&second.key.id.to_string()).await.unwrap();
    let added = api
        .domains("acme")
        .create(&body::<AddDomain>(json!({"host": "*.shop.example"})))
        .await
        .unwrap();
    platform.enforced(added.revision).await;
    assert_eq!(
        platform
            .get("acme.example", "/")
            .key(second.secret.as_deref().unwrap())
            .send()
            .await
            .problem(),
        "credential-invalid"
    );
    assert_eq!(platform.get("eu.shop.example", "/").key(&first).status().await, 200);
    assert_eq!(platform.get("eu.shop.example", "/").send().await.problem(), "credential-missing");
    api.domains("acme").delete("*.shop.example").await.unwrap();
    let plan: Plan = body(json!({"id": "later", "name": "Later"}));
    platform.enforced(api.plans().create(&plan).await.unwrap().revision).await;
    assert_eq!(platform.get("eu.shop.example", "/").send().await.problem(), "unknown-host");
}

#[tokio::test]
async fn a_feature_is_a_gate() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    let api = platform.api();
    let route: Route = body(json!({
        "id": "reports", "match": {"path_prefix": "/reports"}, "require_features": ["reports"], "upstream": "main",
    }));
    platform.enforced(api.routes().create(&route).await.unwrap().revision).await;
    let reports = async || platform.get("acme.example", "/reports/2026").key(&secret).send().await;
    assert_eq!(reports().await.status, 200);
    let off =
        api.tenants().patch("acme", &json!({"features": {"reports": false}}), None).await.unwrap();
    platform.enforced(off.revision).await;
    assert_eq!(reports().await.problem(), "feature-disabled");
    // However the path is written.
    assert_eq!(platform.get("acme.example", "/%72eports/2026").key(&secret).status().await, 403);
    let on =
        api.tenants().patch("acme", &json!({"features": {"reports": null}}), None).await.unwrap();
    platform.enforced(on.revision).await;
    assert_eq!(reports().await.status, 200);
    let killed: Feature = body(json!({"id": "reports", "killed": true}));
    platform.enforced(api.features().create(&killed).await.unwrap().revision).await;
    assert_eq!(reports().await.problem(), "feature-disabled");
}

#[tokio::test]
async fn a_limit_tells_its_state_and_a_raised_one_remembers() {
    let platform = Platform::start().await;
    let limits = |quota: u32| json!({"requests": [{"name": "hourly", "quota": quota, "window_seconds": 3600}]});
    let secret = platform.tenant("acme", json!({"limits": limits(3)})).await;
    let request = async || platform.get("acme.example", "/").key(&secret).send().await;
    for remaining in [2, 1, 0] {
        let answer = request().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"hourly\";q=3;w=3600");
        assert!(
            answer.header("ratelimit").starts_with(&format!("\"hourly\";r={remaining};t=")),
            "{answer:?}"
        );
    }
    let limited = request().await;
    assert_eq!((limited.status, limited.problem().as_str()), (429, "rate-limited"));
    let retry_after: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1100..=1200).contains(&retry_after), "{retry_after}");
    assert!(limited.header("ratelimit").starts_with("\"hourly\";r=0;t="), "{limited:?}");
    let raised =
        platform.api().tenants().patch("acme", &json!({"limits": limits(10)}), None).await.unwrap();
    platform.enforced(raised.revision).await;
    // Three were spent, this is the fourth of ten.
    assert!(request().await.header("ratelimit").starts_with("\"hourly\";r=6;t="));
}

/// Admitted is exactly what the limit allows, whoever asks and however many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_exact_under_concurrency() {
    let platform = Platform::start().await;
    let limits = json!({"requests": [{"name": "daily", "quota": 50, "window_seconds": 86400}]});
    let secret = platform.tenant("acme", json!({"limits": limits})).await;
    let requests = (0..200).map(|_| platform.get("acme.example", "/").key(&secret).status());
    let statuses = futures::future::join_all(requests).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 50);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 150);
    assert_eq!(platform.origin.served(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_changes_under_load_fail_no_request() {
    let platform = Arc::new(Platform::start().await);
    let secret = platform.tenant("acme", json!({})).await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (platform, secret, stop) =
                (Arc::clone(&platform), secret.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut served = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let answer = platform.get("acme.example", "/").key(&secret).send().await;
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    served += 1;
                }
                served
            })
        })
        .collect();
    let api = platform.api();
    let mut revision = 0;
    for number in 0..100_u32 {
        revision = match number % 4 {
            0 => {
                let tenant: CreateTenant = body(json!({
                    "slug": format!("t{number}"), "name": "T", "plan": "pro", "domains": [format!("t{number}.example")],
                }));
                api.tenants().create(&tenant).await.unwrap().tenant.revision
            }
            1 => {
                api.tenants()
                    .patch("acme", &json!({"features": {"beta": number % 8 == 1}}), None)
                    .await
                    .unwrap()
                    .revision
            }
            2 => {
                let limits = json!({"limits": {"requests": [{"name": "wide", "quota": 1_000_000 + number, "window_seconds": 1}]}});
                api.plans().patch("pro", &limits, None).await.unwrap().revision
            }
            _ => {
                let prefix = format!("/area-{number}");
                let route: Route = body(
                    json!({"id": format!("r{number}"), "match": {"path_prefix": prefix}, "upstream": "main"}),
                );
                api.routes().create(&route).await.unwrap().revision
            }
        };
    }
    platform.enforced(revision).await;
    stop.store(true, Ordering::Relaxed);
    let mut served = 0;
    for worker in workers {
        served += tokio::time::timeout(Duration::from_secs(30), worker).await.unwrap().unwrap();
    }
    assert!(served > 100, "the load was real: {served}");
    assert_eq!(
        platform.metric("tenantry_requests_total{tenant=\"acme\",status_class=\"5xx\"}").await,
        Some(0)
    );
}
