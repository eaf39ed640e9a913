//! Upstreams: which server a request reaches, what happens when it fails, and over what.

mod behind_tls;
mod choosing;
mod failing;
mod origins;
mod patience;
mod surviving;
mod writing;

use origins::Site;
use serde_json::{Value, json};
use tenantry_test_support::{Answer, Platform, Server, eventually};

/// A platform whose tenant `open` asks for nothing, with upstream `main` changed as given.
async fn platform_with(changes: &Value) -> Platform {
    let platform = Platform::start().await;
    platform.tenant("open", json!({"auth": "none"})).await;
    change(&platform, changes).await;
    platform
}

/// Changes upstream `main`, and waits until it is enforced.
async fn change(platform: &Platform, changes: &Value) {
    let changed = platform.api().upstreams().patch("main", changes, None).await.unwrap();
    platform.enforced(changed.revision).await;
}

async fn get(platform: &Platform, path: &str) -> Answer {
    platform.get("open.example", path).send().await
}

/// What the proxy says of the endpoint of this server.
async fn endpoint(platform: &Platform, server: &Server) -> Value {
    let (status, view) = platform.admin_get("/upstreams").await;
    assert_eq!(status, 200);
    let view: Value = serde_json::from_str(&view).unwrap();
    let endpoints = view.pointer("/upstreams/0/endpoints").and_then(Value::as_array).unwrap();
    let address = server.address().to_string();
    let is_it = |endpoint: &&Value| endpoint.get("address").is_some_and(|it| *it == address);
    endpoints.iter().find(is_it).unwrap().clone()
}

async fn until(platform: &Platform, server: &Server, state: &str) {
    eventually(&format!("{} is {state}", server.address()), async || {
        (endpoint(platform, server).await.get("state")? == state).then_some(())
    })
    .await;
}

fn endpoints(servers: &[&Server]) -> Value {
    servers.iter().map(|server| json!({"address": server.address()})).collect()
}

#[tokio::test]
async fn weights_and_callers_decide_where_requests_go() {
    let (site, [a, b]) = Site::pair().await;
    let heavy = json!([{"address": a.address(), "weight": 3}, {"address": b.address()}]);
    let platform = platform_with(&json!({"endpoints": heavy})).await;
    for _ in 0..8 {
        get(&platform, "/turn").await;
    }
    assert_eq!((site.served("a", "/turn"), site.served("b", "/turn")), (6, 2));
    let on_header = json!({"policy": "consistent_hash", "hash_on": {"header": "X-User"}});
    change(&platform, &json!({"endpoints": endpoints(&[&a, &b]), "balance": on_header})).await;
    let mut places = std::collections::BTreeSet::new();
    for user in 0..16 {
        let user = user.to_string();
        let ask =
            async || platform.get("open.example", "/").header("x-user", &user).send().await.body;
        let first = ask().await;
        assert_eq!(ask().await, first, "a caller stays where it is");
        places.insert(first);
    }
    assert_eq!(places.len(), 2, "callers are spread");
    let shown = platform.scrape().await;
    assert!(
        shown.contains(
            "tenantry_upstream_requests_total{upstream=\"main\",outcome=\"answered\"} 40"
        ),
        "{shown}"
    );
    assert!(
        shown.contains("tenantry_upstream_endpoints{upstream=\"main\",state=\"healthy\"} 2"),
        "{shown}"
    );
}

#[tokio::test]
async fn names_are_looked_up() {
    let (_site, [a, _]) = Site::pair().await;
    let name = format!("localhost:{}", a.address().port());
    let platform = platform_with(&json!({"endpoints": [{"address": name}]})).await;
    for _ in 0..3 {
        assert_eq!(get(&platform, "/").await.body, "a");
    }
    change(&platform, &json!({"endpoints": [{"address": "nowhere.invalid:80"}]})).await;
    assert_eq!(get(&platform, "/").await.problem(), "upstream-unavailable");
}
