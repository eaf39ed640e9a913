//! Who goes where by whom a request is from, and what a route says in place of its upstream.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_api::CreateApiKey;
use tenantry_test_support::{DEADLINE, Platform, Request, unix_ms};

use super::{Site, change, endpoints, get, platform_with};

fn by(what: &str) -> Value {
    json!({"policy": "consistent_hash", "hash_on": what})
}

/// That a caller stays where it is.
async fn place(request: impl Fn() -> Request) -> String {
    let first = request().send().await;
    assert_eq!(first.status, 200, "{}", first.body);
    for _ in 0..3 {
        assert_eq!(request().send().await.body, first.body);
    }
    first.body
}

#[tokio::test]
async fn a_key_and_a_client_stay_with_one_server_each() {
    let (_site, [a, b]) = Site::pair().await;
    let trust = [("CONNECTIONS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")];
    let platform = Platform::start_with(&trust).await;
    platform.tenant("acme", json!({})).await;
    change(&platform, &json!({"endpoints": endpoints(&[&a, &b]), "balance": by("key")})).await;
    // Which server a key falls to is drawn with its id, so there are as many keys as it takes.
    let mut places = BTreeSet::new();
    for number in 0..64 {
        let key: CreateApiKey =
            serde_json::from_value(json!({"name": number.to_string()})).unwrap();
        let key = platform.api().keys("acme").create(&key).await.unwrap();
        platform.enforced(key.key.revision).await;
        places.insert(
            place(|| platform.get("acme.example", "/").key(key.secret.as_deref().unwrap())).await,
        );
        if places.len() == 2 {
            break;
        }
    }
    assert_eq!(places.len(), 2, "keys are spread");

    platform.tenant("open", json!({"auth": "none"})).await;
    change(&platform, &json!({"balance": by("client")})).await;
    let mut places = BTreeSet::new();
    for number in 0..32 {
        let client = format!("192.0.2.{number}");
        let ask = || platform.get("open.example", "/").header("x-forwarded-for", &client);
        places.insert(place(ask).await);
    }
    assert_eq!(places.len(), 2, "clients are spread");
}

/// Route `all`, with these time-outs.
async fn route(platform: &Platform, timeouts: Value) {
    let changes = json!({"timeouts": timeouts});
    let changed = platform.api().routes().patch("all", &changes, None).await.unwrap();
    platform.enforced(changed.revision).await;
}

async fn is_cut(platform: &Platform, path: &str) {
    let answer = platform.get("open.example", path).try_send();
    let answer = tokio::time::timeout(DEADLINE, answer).await.unwrap();
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn a_routes_time_outs_go_before_its_upstreams() {
    let (_site, [a, _]) = Site::pair().await;
    let long = json!({"first_byte_ms": 600_000, "idle_ms": 600_000, "total_ms": 600_000});
    let platform = platform_with(&json!({"endpoints": endpoints(&[&a]), "timeouts": long})).await;
    route(&platform, json!({"first_byte_ms": 200})).await;
    let answer = get(&platform, "/never").await;
    assert_eq!((answer.status, answer.problem().as_str()), (504, "upstream-timeout"));
    route(&platform, json!({"first_byte_ms": null, "idle_ms": 200})).await;
    is_cut(&platform, "/stall").await;
    route(&platform, json!({"idle_ms": null, "total_ms": 300})).await;
    is_cut(&platform, "/drip").await;
    // Also where it gives more time than its upstream would.
    change(&platform, &json!({"timeouts": {"total_ms": 100}})).await;
    route(&platform, json!({"total_ms": 600})).await;
    let began = unix_ms();
    is_cut(&platform, "/drip").await;
    assert!(unix_ms() - began >= 590, "it is not cut before the route's time");
}
