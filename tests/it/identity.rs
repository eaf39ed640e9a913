//! What the upstream is told, and what a client cannot make it believe.

use serde_json::json;
use tenantry_api::CreateIssuer;
use tenantry_credentials::signing::SigningKey;
use tenantry_model::Route;
use tenantry_test_support::{Platform, json as body};

fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[5; 32]).unwrap()
}

pub(crate) fn token(tenant: &str) -> String {
    let claims = json!({
        "iss": "https://id.example/", "aud": "api", "sub": "user-7", "tenant": tenant, "exp": 4_000_000_000_u64,
    });
    signing_key().sign(&claims, "k1")
}

pub(crate) async fn trust_the_issuer(platform: &Platform) {
    let issuer: CreateIssuer = body(json!({
        "issuer": "https://id.example/", "audiences": ["api"], "algorithms": ["EdDSA"], "tenant_claim": "tenant",
        "jwks": {"keys": [signing_key().jwk("k1")]},
    }));
    let created = platform.api().shared_issuers().create(&issuer).await.unwrap();
    platform.enforced(created.revision).await;
}

#[tokio::test]
async fn by_host_by_key_and_by_token() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({"features": {"extra": true}})).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    trust_the_issuer(&platform).await;
    let id = platform.api().tenants().get("acme").await.unwrap().id.to_string();

    let echo = platform.get("open.example", "/a?b=c").echo().await;
    assert_eq!((echo.headers["x-tenant-slug"].as_str(), echo.target.as_str()), ("open", "/a?b=c"));
    assert!(
        !echo.headers.contains_key("x-tenant-key-id")
            && !echo.headers.contains_key("x-tenant-subject")
    );

    let echo = platform.get("api.nobody.example", "/").key(&secret).echo().await;
    assert_eq!(echo.headers["x-tenant-id"], id);
    assert_eq!(echo.headers["x-tenant-plan"], "pro");
    assert_eq!(echo.headers["x-tenant-features"], "extra,reports");
    assert!(echo.headers["x-tenant-key-id"].starts_with("key_"));
    assert!(!echo.headers.contains_key("x-api-key"), "the credential stays at the gateway");

    let echo = platform.get("acme.example", "/").bearer(&token("acme")).echo().await;
    assert_eq!(
        (echo.headers["x-tenant-slug"].as_str(), echo.headers["x-tenant-subject"].as_str()),
        ("acme", "user-7")
    );
    assert!(!echo.headers.contains_key("authorization"));
    let echo = platform.get("acme.example", "/").bearer(&token(&id)).key(&secret).echo().await;
    assert_eq!(echo.headers["x-tenant-slug"], "acme");

    let echo = platform.get("acme.example", "/").bearer(&secret).echo().await;
    assert!(
        echo.headers["x-tenant-key-id"].starts_with("key_")
            && !echo.headers.contains_key("authorization")
    );
}

#[tokio::test]
async fn who_does_not_agree_is_refused() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme", json!({})).await;
    let beta = platform.tenant("beta", json!({})).await;
    trust_the_issuer(&platform).await;
    let problem = async |request: tenantry_test_support::Request| request.send().await.problem();
    let host = |name: &str| platform.get(&format!("{name}.example"), "/");
    assert_eq!(problem(host("acme").key(&beta)).await, "tenant-mismatch");
    assert_eq!(problem(host("acme").bearer(&token("beta"))).await, "tenant-mismatch");
    assert_eq!(problem(host("acme").key(&acme).bearer(&token("beta"))).await, "tenant-mismatch");
    assert_eq!(problem(host("nobody").key(&acme).bearer(&token("beta"))).await, "tenant-mismatch");
    assert_eq!(problem(host("acme").bearer(&token("nobody"))).await, "credential-invalid");
    assert_eq!(
        problem(host("acme").key("tnt_000000000000000000000000000000000000")).await,
        "credential-invalid"
    );
    assert_eq!(problem(host("acme")).await, "credential-missing");
    assert_eq!(problem(host("nobody")).await, "unknown-host");
    assert_eq!(platform.origin.served(), 0, "nothing of this reached the origin");
}

#[tokio::test]
async fn reserved_headers_are_the_gateways_own() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    let spoofed = platform.get("acme.example", "/").key(&secret);
    let echo = spoofed
        .header("X-Tenant-Id", "ten_evil")
        .header("x-tenant-admin", "true")
        .header("x_tenant_slug", "evil")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Request-Id", "chosen")
        // A client may name headers that are to be dropped on the way; ours are not among them.
        .header("Connection", "keep-alive, X-Tenant-Id, X-Tenant-Slug, X-Tenant-Plan")
        .echo()
        .await;
    let tenant = platform.api().tenants().get("acme").await.unwrap();
    assert_eq!(echo.headers["x-tenant-id"], tenant.id.to_string());
    assert_eq!(echo.headers["x-tenant-slug"], "acme");
    assert_eq!(echo.headers["x-tenant-plan"], "pro");
    assert!(
        !echo.headers.contains_key("x-tenant-admin") && !echo.headers.contains_key("x_tenant_slug")
    );
    assert_eq!(echo.headers["x-forwarded-for"], "127.0.0.1");
    assert_ne!(echo.headers["x-request-id"], "chosen");
}

#[tokio::test]
async fn a_route_may_pass_the_credential_on() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    let route: Route = body(json!({
        "id": "raw", "match": {"path_prefix": "/raw"}, "upstream": "main", "forward_credential": true,
    }));
    platform.enforced(platform.api().routes().create(&route).await.unwrap().revision).await;
    let echo = platform.get("acme.example", "/raw").key(&secret).echo().await;
    assert_eq!(echo.headers["x-api-key"], secret);
    // What is not a credential of the gateway is the application's own business.
    platform.tenant("open", json!({"auth": "none"})).await;
    let echo = platform.get("open.example", "/").header("authorization", "Basic dTpw").echo().await;
    assert_eq!(echo.headers["authorization"], "Basic dTpw");
}

#[tokio::test]
async fn from_where_a_tenant_may_be_reached() {
    let platform = Platform::start().await;
    let allowlist = |networks: &[&str]| json!({"access": {"mode": "allowlist", "allow": networks}});
    let inside = platform.tenant("inside", allowlist(&["127.0.0.0/8"])).await;
    let outside = platform.tenant("outside", allowlist(&["192.0.2.0/24"])).await;
    let hybrid = json!({"auth": "none", "access": {"mode": "hybrid", "allow": ["192.0.2.0/24"]}});
    let untrusted = platform.tenant("untrusted", hybrid).await;
    assert_eq!(platform.get("inside.example", "/").key(&inside).status().await, 200);
    let refused = platform
        .get("outside.example", "/")
        .key(&outside)
        .header("x-forwarded-for", "192.0.2.1")
        .send()
        .await;
    assert_eq!(refused.problem(), "ip-denied");
    assert_eq!(platform.get("untrusted.example", "/").send().await.problem(), "credential-missing");
    assert_eq!(platform.get("untrusted.example", "/").key(&untrusted).status().await, 200);
}
