//! Proxies that are enrolled for a region: what is not of it never reaches them.

use std::{collections::BTreeMap, fs};

use serde_json::json;
use tenantry_api::{Client, CreateApiKey, CreateIssuer, CreateTenant, TenantAtProxyState};
use tenantry_credentials::signing::SigningKey;
use tenantry_test_support::{ControlPlane, Edge, Origin, eventually, json as body};

use crate::nodes::{enrolled, seeded};

async fn edge(control_plane: &ControlPlane, node: &str, region: Option<&str>) -> Edge {
    enrolled(control_plane, json!({"name": node, "region": region})).await
}

async fn tenant(api: &Client, slug: &str, region: &str) {
    let new = json!({
        "slug": slug, "name": slug, "plan": "pro", "auth": "none", "region": region,
        "domains": [format!("{slug}.example")],
    });
    api.tenants().create(&body::<CreateTenant>(new)).await.unwrap();
    let key = json!({"name": "first"});
    api.keys(slug).create(&body::<CreateApiKey>(key)).await.unwrap();
    let issuer = json!({
        "issuer": format!("https://id.{slug}.test/"), "audiences": ["api"], "algorithms": ["EdDSA"],
        "jwks": {"keys": [SigningKey::from_seed(&[5; 32]).unwrap().jwk("k1")]},
    });
    api.issuers(slug).create(&body::<CreateIssuer>(issuer)).await.unwrap();
}

/// Waits until all proxies have all that was changed up to a revision, and hold what they are to hold.
async fn in_force(api: &Client, revision: u64, proxies: usize) {
    eventually("all proxies are up to date", async || {
        let all = api.proxies().await.ok()?.items;
        let is_there = |it: &tenantry_api::ProxyBody| {
            it.connected && it.enforced_through >= Some(revision) && it.hash_expected == it.hash
        };
        (all.len() == proxies && all.iter().all(is_there)).then_some(())
    })
    .await;
}

/// What of a tenant is written down in what a proxy has recorded.
async fn traces(api: &Client, slug: &str) -> Vec<String> {
    let id = api.tenants().get(slug).await.unwrap().id.to_string();
    let key = api.keys(slug).list(&Default::default()).await.unwrap().items.remove(0);
    vec![id, format!("{slug}.example"), key.id.to_string(), format!("https://id.{slug}.test/")]
}

fn found(edge: &Edge, traces: &[String]) -> usize {
    let file = fs::read_to_string(edge.file("last-known-good.ndjson")).unwrap();
    traces.iter().filter(|trace| file.contains(trace.as_str())).count()
}

async fn recorded(edge: &Edge) {
    eventually("it has written down what it enforces", async || {
        let at = edge.metric("tenantry_snapshot_recorded_revision").await?;
        (edge.metric("tenantry_snapshot_revision").await? == at).then_some(())
    })
    .await;
}

async fn status(edge: &Edge, slug: &str) -> u16 {
    edge.get(&format!("{slug}.example"), "/").status().await
}

#[tokio::test]
async fn what_is_of_another_region_never_reaches_a_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let mut control_plane = ControlPlane::start(directory.path(), &[]).await;
    let (api, origin) = (control_plane.api(), Origin::start().await);
    seeded(&api, &origin).await;
    tenant(&api, "early", "us").await;
    tenant(&api, "paris", "eu").await;
    let mut eu = edge(&control_plane, "eu-1", Some("eu")).await;
    let us = edge(&control_plane, "us-1", Some("us")).await;
    let all = edge(&control_plane, "all-1", None).await;
    // Some was there when they came, some is made before their eyes.
    tenant(&api, "late", "us").await;
    let note = json!({"name": "Late"});
    let last = api.tenants().patch("late", &note, None).await.unwrap().revision;
    in_force(&api, last, 3).await;
    for edge in [&eu, &us, &all] {
        recorded(edge).await;
        assert_eq!(status(edge, "acme").await, 200, "of no region: everywhere");
    }
    for (slug, at_eu, at_us) in [("early", 404, 200), ("late", 404, 200), ("paris", 200, 404)] {
        let its = traces(&api, slug).await;
        let expected = |status| if status == 200 { its.len() } else { 0 };
        assert_eq!((status(&eu, slug).await, found(&eu, &its)), (at_eu, expected(at_eu)), "{slug}");
        assert_eq!((status(&us, slug).await, found(&us, &its)), (at_us, expected(at_us)), "{slug}");
        assert_eq!((status(&all, slug).await, found(&all, &its)), (200, its.len()), "{slug}");
    }

    // What waits for the proxies does not wait for one that it does not concern, and says where it stands.
    let waiting = api.waiting(60);
    waiting.tenants().suspend("late", "test").await.unwrap();
    let applied = waiting.applied().pop().unwrap();
    assert_eq!((applied.enforced, applied.behind), (3, 0));
    assert_eq!((status(&eu, "late").await, status(&us, "late").await), (404, 403));
    let state = api.tenants().status("late").await.unwrap();
    let states: BTreeMap<_, _> =
        state.proxies.iter().map(|proxy| (proxy.node.as_str(), proxy.state)).collect();
    let (enforced, elsewhere) = (TenantAtProxyState::Enforced, TenantAtProxyState::Elsewhere);
    assert_eq!(
        states,
        BTreeMap::from([("eu-1", elsewhere), ("us-1", enforced), ("all-1", enforced)])
    );
    waiting.tenants().resume("late").await.unwrap();

    // It moves, with all that is its.
    let its = traces(&api, "late").await;
    let moved = waiting.tenants().patch("late", &json!({"region": "eu"}), None).await.unwrap();
    in_force(&api, moved.revision, 3).await;
    recorded(&eu).await;
    assert_eq!((status(&eu, "late").await, status(&us, "late").await), (200, 404));
    assert_eq!((status(&all, "late").await, found(&eu, &its)), (200, its.len()));

    // A control plane that has forgotten everything but its store sends them nothing else.
    control_plane.kill();
    control_plane.start_again().await;
    let api = control_plane.api();
    let renamed = api.tenants().patch("early", &json!({"name": "Early"}), None).await.unwrap();
    in_force(&api, renamed.revision, 3).await;
    let its = traces(&api, "early").await;
    assert_eq!((status(&eu, "early").await, found(&eu, &its)), (404, 0));
    assert_eq!((status(&us, "early").await, found(&us, &its)), (200, its.len()));

    // One that was away is told what has changed for it meanwhile, and nothing else.
    eu.kill();
    tenant(&api, "boston", "us").await;
    tenant(&api, "rome", "eu").await;
    api.tenants().patch("paris", &json!({"region": "us"}), None).await.unwrap();
    let moved = api.tenants().patch("early", &json!({"region": "eu"}), None).await.unwrap();
    control_plane.kill();
    control_plane.start_again().await;
    let api = control_plane.api();
    eu.start_again().await;
    in_force(&api, moved.revision, 3).await;
    let printed = control_plane.process().printed();
    assert!(printed.contains("a difference was put together from the log"), "{printed}");
    recorded(&eu).await;
    let expected = [("boston", 404), ("rome", 200), ("paris", 404), ("early", 200)];
    for (slug, at_eu) in expected {
        assert_eq!(status(&eu, slug).await, at_eu, "{slug}");
    }
    assert_eq!(found(&eu, &traces(&api, "boston").await), 0);
    let its = traces(&api, "early").await;
    assert_eq!(found(&eu, &its), its.len());
}
