//! What a key says of itself, enforced; a key rolled; and when it was last used.

use serde_json::json;
use tenantry_api::{CreateApiKey, CreatedApiKey, RollApiKey};
use tenantry_test_support::{Platform, eventually, json as body};

async fn key(platform: &Platform, fields: serde_json::Value) -> CreatedApiKey {
    let mut key = json!({"name": "test"});
    key.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let keys = platform.api();
    let created = keys.keys("acme").create(&body::<CreateApiKey>(key)).await.unwrap();
    platform.enforced(created.key.revision).await;
    created
}

#[tokio::test]
async fn networks_switch_and_limits_of_a_key() {
    let trust = [("CONNECTIONS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")];
    let platform = Platform::start_with(&trust).await;
    let plain = platform.tenant("acme", json!({})).await;
    let (api, from) = (platform.api(), "x-forwarded-for");
    let near = key(&platform, json!({"allowed_networks": ["192.0.2.0/24"]})).await;
    let ask = async |secret: &str, client: &str| {
        platform.get("acme.example", "/").key(secret).header(from, client).send().await
    };
    assert_eq!(ask(near.secret.as_deref().unwrap(), "192.0.2.7").await.status, 200);
    let refused = ask(near.secret.as_deref().unwrap(), "192.0.3.7").await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "ip-denied"));
    assert_eq!(ask(&plain, "192.0.3.7").await.status, 200);

    let change = async |patch: serde_json::Value| {
        let id = near.key.id.to_string();
        let changed = api.keys("acme").patch(&id, &patch, None).await.unwrap();
        platform.enforced(changed.revision).await;
    };
    change(json!({"allowed_networks": null, "enabled": false})).await;
    assert_eq!(
        ask(near.secret.as_deref().unwrap(), "192.0.3.7").await.problem(),
        "credential-invalid"
    );
    let limit = json!({"name": "own", "quota": 2, "window_seconds": 3600});
    change(json!({"enabled": true, "rate_limits": [limit]})).await;
    let first = ask(near.secret.as_deref().unwrap(), "192.0.3.7").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.headers["ratelimit-policy"], "\"key.own\";q=2;w=3600");
    assert!(first.headers["ratelimit"].to_str().unwrap().starts_with("\"key.own\";r=1;"));
    // Another snapshot gives nothing back.
    change(json!({"name": "renamed"})).await;
    assert_eq!(ask(near.secret.as_deref().unwrap(), "192.0.3.7").await.status, 200);
    let limited = ask(near.secret.as_deref().unwrap(), "192.0.3.7").await;
    assert_eq!((limited.status, limited.problem().as_str()), (429, "rate-limited"));
    assert!(limited.headers.contains_key("retry-after"));
    assert_eq!(ask(&plain, "192.0.3.7").await.status, 200, "the limit is the key's alone");
}

#[tokio::test]
async fn a_rolled_key_ends_when_it_was_said() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({})).await;
    let api = platform.api();
    let roll = async |key: &CreatedApiKey, seconds: u64| {
        let roll: RollApiKey = body(json!({"overlap_seconds": seconds}));
        let rolled = api.keys("acme").roll(&key.key.id.to_string(), &roll).await.unwrap();
        platform.enforced(rolled.key.revision).await;
        assert_eq!(rolled.key.replaces, Some(key.key.id));
        rolled
    };
    let ask = async |key: &CreatedApiKey| {
        platform.get("acme.example", "/").key(key.secret.as_deref().unwrap()).send().await
    };
    let first = key(&platform, json!({})).await;
    let second = roll(&first, 0).await;
    assert_eq!(ask(&first).await.problem(), "credential-invalid");
    assert_eq!(ask(&second).await.status, 200);
    let third = roll(&second, 3).await;
    assert_eq!((ask(&second).await.status, ask(&third).await.status), (200, 200));
    eventually("the overlap ends", async || {
        (ask(&second).await.problem() == "credential-expired").then_some(())
    })
    .await;
    assert_eq!(ask(&third).await.status, 200);
}

#[tokio::test]
async fn the_last_use_is_told_once_and_moves_nothing() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({})).await;
    let (api, unused) = (platform.api(), key(&platform, json!({})).await);
    let used = key(&platform, json!({})).await;
    let get =
        async |key: &CreatedApiKey| api.keys("acme").get(&key.key.id.to_string()).await.unwrap();
    assert_eq!(get(&used).await.last_used_at, None);
    let enforced = platform.metric("tenantry_snapshot_revision").await;
    for _ in 0..20 {
        assert_eq!(
            platform.get("acme.example", "/").key(used.secret.as_deref().unwrap()).status().await,
            200
        );
    }
    let noted = eventually("the use is told", async || get(&used).await.last_used_at).await;
    assert_eq!(noted.unix_ms() % 60_000, 0, "to the minute");
    assert_eq!(get(&used).await.revision, used.key.revision);
    assert_eq!(get(&unused).await.last_used_at, None);
    // No proxy hears of it; what comes next still arrives.
    assert_eq!(platform.metric("tenantry_snapshot_revision").await, enforced);
    api.keys("acme").delete(&used.key.id.to_string()).await.unwrap();
    let next = key(&platform, json!({})).await;
    assert_eq!(
        platform.get("acme.example", "/").key(next.secret.as_deref().unwrap()).status().await,
        200
    );
    assert_eq!(
        platform.get("acme.example", "/").key(used.secret.as_deref().unwrap()).status().await,
        401
    );
    let audit = api.audit(&body(json!({}))).await.unwrap();
    assert!(audit.items.iter().all(|entry| !entry.action.contains("use")), "{audit:?}");
}
