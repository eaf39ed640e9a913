//! Issuers that publish their keys at a URL: fetched, rotated, and kept when they cannot be had.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::Response;
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tenantry_api::CreateIssuer;
use tenantry_credentials::signing::SigningKey;
use tenantry_model::Route;
use tenantry_test_support::{Platform, eventually, json as body};

/// Lets the proxy ask what stands on this machine.
const LOOPBACK: (&str, &str) = ("JWKS__ALLOW_PRIVATE", "[\"127.0.0.0/8\"]");

/// Publishes a document that can be exchanged, and counts how often it is asked.
struct Publisher {
    address: SocketAddr,
    document: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Publisher {
    async fn start(document: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (document, asked) =
            (Arc::new(Mutex::new(Some(document))), Arc::new(AtomicUsize::new(0)));
        let (published, count) = (Arc::clone(&document), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (published, count) = (Arc::clone(&published), Arc::clone(&count));
                let service = service_fn(move |_| {
                    count.fetch_add(1, Ordering::Relaxed);
                    let document = published.lock().unwrap().clone();
                    let status = if document.is_some() { 200 } else { 503 };
                    let text = document.unwrap_or_default().to_string();
                    async move {
                        Ok::<_, Infallible>(
                            Response::builder()
                                .status(status)
                                .body(Full::<Bytes>::from(text))
                                .unwrap(),
                        )
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, document, asked }
    }

    fn publish(&self, document: Option<Value>) {
        *self.document.lock().unwrap() = document;
    }
}

fn keys(seeds: &[u8]) -> Value {
    let jwk = |seed: &u8| SigningKey::from_seed(&[*seed; 32]).unwrap().jwk(&format!("k{seed}"));
    json!({"keys": seeds.iter().map(jwk).collect::<Vec<_>>()})
}

fn token(seed: u8, subject: &str) -> String {
    let claims = json!({"iss": "https://id.example/", "aud": "api", "sub": subject, "tenant": "acme", "exp": 4_000_000_000_u64});
    SigningKey::from_seed(&[seed; 32]).unwrap().sign(&claims, &format!("k{seed}"))
}

#[tokio::test]
async fn rotation_is_no_outage_and_unknown_keys_are_no_flood() {
    let platform = Platform::start_with(&[LOOPBACK]).await;
    platform.tenant("acme", json!({})).await;
    let publisher = Publisher::start(keys(&[1])).await;
    let issuer: CreateIssuer = body(json!({
        "issuer": "https://id.example/", "audiences": ["api"], "algorithms": ["EdDSA"], "tenant_claim": "tenant",
        "jwks_url": format!("http://{}/jwks", publisher.address),
    }));
    platform
        .enforced(platform.api().shared_issuers().create(&issuer).await.unwrap().revision)
        .await;
    let status = async |token: &str| platform.get("acme.example", "/").bearer(token).status().await;
    eventually("the keys were fetched", async || {
        (status(&token(1, "a")).await == 200).then_some(())
    })
    .await;

    // The issuer goes over to another key; the first token signed with it makes the proxy look again.
    publisher.publish(Some(keys(&[2])));
    eventually("the new key is looked for", async || {
        let before = publisher.asked.load(Ordering::Relaxed);
        let answered = status(&token(2, "b")).await;
        // The very request that made the proxy look is served, and need not be sent again.
        let looked = publisher.asked.load(Ordering::Relaxed) > before;
        assert!(!looked || answered == 200, "{answered}");
        looked.then_some(())
    })
    .await;
    assert_eq!(status(&token(1, "c")).await, 401, "the old key is gone");

    // Made-up keys do not turn the proxy against the issuer.
    let (asked, began) = (publisher.asked.load(Ordering::Relaxed), tokio::time::Instant::now());
    for number in 0..50 {
        assert_eq!(status(&token(9, &format!("flood-{number}"))).await, 401);
    }
    let more = u64::try_from(publisher.asked.load(Ordering::Relaxed) - asked).unwrap();
    let allowed = began.elapsed().as_secs() + 2;
    assert!(more <= allowed, "{more} fetches for 50 made-up keys, with a cool-down of one second");

    // The issuer is down: what was good stays good.
    publisher.publish(None);
    assert_eq!(status(&token(9, "x")).await, 401);
    assert_eq!(status(&token(2, "d")).await, 200);
}

#[tokio::test]
async fn private_addresses_are_never_asked() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({})).await;
    let publisher = Publisher::start(keys(&[1])).await;
    let (port, api) = (publisher.address.port(), platform.api());
    let mut last = 0;
    for (number, host) in
        ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"].iter().enumerate()
    {
        let issuer: CreateIssuer = body(json!({
            "issuer": format!("https://id{number}.example/"), "audiences": ["api"],
            "algorithms": ["EdDSA"], "tenant_claim": "tenant",
            "jwks_url": format!("http://{host}:{port}/jwks"),
        }));
        last = api.shared_issuers().create(&issuer).await.unwrap().revision;
    }
    platform.enforced(last).await;
    for number in 0..4 {
        let claims = json!({
            "iss": format!("https://id{number}.example/"), "aud": "api", "sub": "a", "tenant": "acme",
            "exp": 4_000_000_000_u64,
        });
        let token = SigningKey::from_seed(&[1; 32]).unwrap().sign(&claims, "k1");
        assert_eq!(platform.get("acme.example", "/").bearer(&token).status().await, 401);
    }
    eventually("each refusal is logged", async || {
        (platform.proxy_printed().matches("private address").count() >= 4).then_some(())
    })
    .await;
    assert_eq!(publisher.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let platform = Platform::start_with(&[LOOPBACK]).await;
    platform.tenant("acme", json!({})).await;
    let inside = Publisher::start(keys(&[1])).await;
    let outside = redirecting_to(format!("http://{}/jwks", inside.address)).await;
    let issuer: CreateIssuer = body(json!({
        "issuer": "https://id.example/", "audiences": ["api"], "algorithms": ["EdDSA"], "tenant_claim": "tenant",
        "jwks_url": format!("http://{outside}/jwks"),
    }));
    let created = platform.api().shared_issuers().create(&issuer).await.unwrap();
    platform.enforced(created.revision).await;
    eventually("the redirect is refused", async || {
        platform.proxy_printed().contains("302").then_some(())
    })
    .await;
    assert_eq!(inside.asked.load(Ordering::Relaxed), 0);
}

/// A server that sends everybody elsewhere.
async fn redirecting_to(place: String) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let place = place.clone();
            let service = service_fn(move |_| {
                let response = Response::builder().status(302).header("location", place.clone());
                async move { Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap()) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test]
async fn claims_are_mapped_and_an_issuer_is_replaced() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({})).await;
    let api = platform.api();
    for (id, scope) in [("read", "api:read"), ("admin", "role:admin"), ("owner", "role:owner")] {
        let route = json!({
            "id": id, "match": {"path_prefix": format!("/{id}")}, "require_scopes": [scope], "upstream": "main",
        });
        api.routes().create(&body::<Route>(route)).await.unwrap();
    }
    let issuer = |changes: Value| -> CreateIssuer {
        let mut issuer = json!({
            "issuer": "https://id.example/", "audiences": ["api"], "algorithms": ["EdDSA"], "tenant_claim": "tenant",
            "jwks": keys(&[1]),
        });
        issuer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body(issuer)
    };
    let mapped = json!({"scope_claim": "permissions", "roles_claim": "/realm_access/roles"});
    let created = api.shared_issuers().create(&issuer(mapped)).await.unwrap();
    platform.enforced(created.revision).await;
    let claims = json!({
        "iss": "https://id.example/", "aud": "api", "sub": "a", "tenant": "acme", "exp": 4_000_000_000_u64,
        "permissions": ["api:read", "role:owner"], "realm_access": {"roles": ["admin", "editor"]}, "scope": "x",
    });
    let token = SigningKey::from_seed(&[1; 32]).unwrap().sign(&claims, "k1");
    let ask = |path: &str| platform.get("acme.example", path).bearer(&token);
    assert_eq!(ask("/read").status().await, 200);
    let upstream_saw = ask("/admin").echo().await;
    assert_eq!(upstream_saw.headers["x-tenant-roles"], "admin,editor");
    // A scope that is called like a role is none.
    assert_eq!(ask("/owner").send().await.problem(), "scope-missing");

    // Replaced, it is the same issuer, and the tokens that it gave are read anew.
    let (id, shared) = (created.id.to_string(), api.shared_issuers());
    let replaced = shared.replace(&id, &issuer(json!({})), Some(created.revision)).await.unwrap();
    assert!(replaced.id == created.id && replaced.updated_at.is_some());
    platform.enforced(replaced.revision).await;
    for path in ["/read", "/admin"] {
        assert_eq!(ask(path).send().await.problem(), "scope-missing");
    }
    assert!(!ask("/").echo().await.headers.contains_key("x-tenant-roles"));
    let stale = shared.replace(&id, &issuer(json!({})), Some(created.revision)).await;
    assert!(stale.is_err());
}
