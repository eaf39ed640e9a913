//! Proxies with tokens of their own, over TLS with an authority that is pinned.

use std::fs;

use serde_json::json;
use tenantry_api::{Client, EnrollNode};
use tenantry_model::{Plan, Route, Upstream};
use tenantry_test_support::{
    Authority, ControlPlane, Edge, EdgeOptions, Origin, eventually, json as body, own_loopback,
};

/// An upstream, a route to it, a plan, and a tenant that asks for no credential; the revision of that.
pub(crate) async fn seeded(api: &Client, origin: &Origin) -> u64 {
    let upstream = json!({"id": "main", "endpoints": [{"address": origin.address()}]});
    api.upstreams().create(&body::<Upstream>(upstream)).await.unwrap();
    api.routes().create(&body::<Route>(json!({"id": "all", "upstream": "main"}))).await.unwrap();
    api.plans().create(&body::<Plan>(json!({"id": "pro", "name": "Pro"}))).await.unwrap();
    let acme = json!({"slug": "acme", "name": "Acme", "plan": "pro", "auth": "none", "domains": ["acme.example"]});
    api.tenants().create(&body(acme)).await.unwrap().tenant.revision
}

/// A proxy with the token that it is enrolled with, by its name and what else is said of it.
pub(crate) async fn enrolled(control_plane: &ControlPlane, node: serde_json::Value) -> Edge {
    let name = node["name"].as_str().unwrap().to_owned();
    let enrolled = control_plane.api().nodes().create(&body::<EnrollNode>(node)).await.unwrap();
    let options = EdgeOptions {
        node: name,
        distribution: format!("http://{}", control_plane.distribution()),
        token: enrolled.secret.unwrap(),
        settings: Vec::new(),
    };
    Edge::start(options).await
}

#[tokio::test]
async fn an_enrolled_proxy_follows_over_tls_and_trusts_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
    let shown = authority.server(&[&own_loopback().to_string()]);
    fs::write(file("cert.pem"), &shown.certificate_pem).unwrap();
    fs::write(file("key.pem"), &shown.key_pem).unwrap();
    fs::write(file("ours.pem"), authority.pem()).unwrap();
    fs::write(file("theirs.pem"), stranger.pem()).unwrap();
    let settings = [
        ("DISTRIBUTION_TLS_CERT_FILE", &*file("cert.pem")),
        ("DISTRIBUTION_TLS_KEY_FILE", &*file("key.pem")),
    ];
    let control_plane = ControlPlane::start(&directory.path().join("data"), &settings).await;
    let (api, origin) = (control_plane.api(), Origin::start().await);
    let revision = seeded(&api, &origin).await;
    let enrolled =
        api.nodes().create(&body::<EnrollNode>(json!({"name": "edge-1"}))).await.unwrap();
    let options = |authority: &str| EdgeOptions {
        node: "edge-1".to_owned(),
        distribution: format!("https://{}", control_plane.distribution()),
        token: enrolled.secret.clone().unwrap(),
        settings: vec![("DISTRIBUTION_CA_FILE".to_owned(), file(authority))],
    };
    let deceived = Edge::start(options("theirs.pem")).await;
    eventually("it says why there are no updates", async || {
        deceived.printed().contains("invalid peer certificate").then_some(())
    })
    .await;
    assert_eq!(deceived.get("acme.example", "/").status().await, 503);
    drop(deceived);

    let mut edge = Edge::start(options("ours.pem")).await;
    edge.enforced(revision).await;
    assert_eq!(edge.get("acme.example", "/").status().await, 200);
    let suspended = api.tenants().suspend("acme", "test").await.unwrap();
    edge.enforced(suspended.revision).await;
    assert_eq!(edge.get("acme.example", "/").status().await, 403);

    // Revoked, it hears of nothing more and serves on, also after a crash.
    api.nodes().delete(&enrolled.node.id.to_string()).await.unwrap();
    eventually("it says that its token is not good any more", async || {
        edge.printed().contains("check this proxy's token").then_some(())
    })
    .await;
    api.tenants().resume("acme").await.unwrap();
    edge.kill();
    edge.start_again().await;
    edge.enforced(suspended.revision).await;
    assert_eq!(edge.get("acme.example", "/").status().await, 403);
}
