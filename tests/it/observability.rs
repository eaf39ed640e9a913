//! What operators see: metrics, health, explain.

use serde_json::json;
use tenantry_test_support::{Platform, eventually};

#[tokio::test]
async fn requests_are_counted_once_and_by_tenant() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    for _ in 0..3 {
        platform
            .request(http::Method::POST, "acme.example", "/")
            .key(&secret)
            .body("12345")
            .echo()
            .await;
    }
    platform.get("acme.example", "/").send().await;
    platform.get("nobody.example", "/").send().await;
    let metric = async |name: &str| platform.metric(name).await;
    // The answer may be here before it is counted.
    eventually("all five are counted", async || {
        let class = |tenant: &str, class: &str| {
            format!("tenantry_requests_total{{tenant=\"{tenant}\",status_class=\"{class}\"}}")
        };
        let counted = (
            metric(&class("acme", "2xx")).await,
            metric(&class("acme", "4xx")).await,
            metric(&class("_none", "4xx")).await,
        );
        (counted == (Some(3), Some(1), Some(1))).then_some(())
    })
    .await;
    assert_eq!(
        metric("tenantry_denials_total{tenant=\"acme\",reason=\"credential-missing\"}").await,
        Some(1)
    );
    assert_eq!(
        metric("tenantry_denials_total{tenant=\"_none\",reason=\"unknown-host\"}").await,
        Some(1)
    );
    assert_eq!(metric("tenantry_request_bytes_total{tenant=\"acme\"}").await, Some(15));
    assert!(metric("tenantry_response_bytes_total{tenant=\"acme\"}").await > Some(300));
    assert_eq!(metric("tenantry_in_flight_requests{tenant=\"acme\"}").await, Some(0));
    assert_eq!(metric("tenantry_request_duration_seconds_count{tenant=\"acme\"}").await, Some(4));
    assert_eq!(metric("tenantry_control_plane_connected").await, Some(1));
    let scrape = platform.scrape().await;
    assert!(!scrape.contains("nobody"), "a label comes only from a tenant");
    assert!(!scrape.contains(&secret));
}

#[tokio::test]
async fn health_and_readiness() {
    let platform = Platform::start().await;
    assert_eq!(platform.admin_get("/healthz").await.0, 200);
    assert_eq!(platform.admin_get("/readyz").await.0, 200);
    assert_eq!(platform.admin_get("/nothing").await.0, 404);
    assert_eq!(platform.admin_get("/explain").await.0, 405);
}

#[tokio::test]
async fn explain_tells_each_step_and_charges_nothing() {
    let platform = Platform::start().await;
    let limits = json!({"requests": [{"name": "hourly", "quota": 2, "window_seconds": 3600}]});
    let secret = platform.tenant("acme", json!({"limits": limits})).await;
    for _ in 0..5 {
        let explained =
            platform.explain(&json!({"host": "acme.example", "path": "/x", "key": secret})).await;
        assert_eq!(explained["outcome"], "forward", "{explained}");
        assert_eq!(explained["limits"][0]["remaining"], 1);
        assert!(!explained.to_string().contains(&secret), "the credential is not repeated");
    }
    let refused = platform.explain(&json!({"host": "acme.example"})).await;
    assert_eq!(
        (refused["outcome"].as_str(), refused["status"].as_u64()),
        (Some("credential-missing"), Some(401))
    );
    let stages: Vec<_> = refused["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["guard", "resolve", "authenticate"]);
    assert_eq!(platform.get("acme.example", "/").key(&secret).status().await, 200);
}

#[tokio::test]
async fn the_control_plane_knows_its_proxies() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({})).await;
    let newest = platform.api().tenants().suspend("acme", "test").await.unwrap().revision;
    let proxy = eventually("the proxy's ack arrives", async || {
        let proxies = platform.api().proxies().await.unwrap();
        proxies
            .items
            .into_iter()
            .find(|proxy| proxy.revision.is_some_and(|revision| revision >= newest))
    })
    .await;
    assert_eq!(proxy.node, "edge-1");
    assert!(proxy.connected && proxy.refused.is_empty());
}
