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
use tenantry_test_support::{Platform, eventually, json as body};

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
    let platform = Platform::start().await;
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
