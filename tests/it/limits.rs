//! Limits, each with those who share it.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tenantry_test_support::{Platform, RawConnection};

/// The statuses of so many requests, made by what is given.
async fn statuses<const N: usize>(request: impl AsyncFn() -> u16) -> [u16; N] {
    let mut statuses = [0; N];
    for status in &mut statuses {
        *status = request().await;
    }
    statuses
}

fn limits(fields: &serde_json::Value) -> serde_json::Value {
    let mut limit = json!({"name": "narrow", "quota": 2, "window_seconds": 3600});
    limit.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"auth": "none", "limits": {"requests": [limit]}})
}

#[tokio::test]
async fn addresses_keys_and_routes_have_limits_of_their_own() {
    let trust = [("CONNECTIONS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")];
    let platform = Platform::start_with(&trust).await;
    let api = platform.api();
    let login = json!({"id": "login", "match": {"path_prefix": "/login"}, "upstream": "main"});
    let login = api.routes().create(&tenantry_test_support::json(login)).await.unwrap();
    platform.enforced(login.revision).await;

    platform.tenant("client", limits(&json!({"per": "client"}))).await;
    let from = async |client: &str| {
        platform.get("client.example", "/").header("x-forwarded-for", client).status().await
    };
    assert_eq!(statuses::<3>(async || from("192.0.2.1").await).await, [200, 200, 429]);
    assert_eq!(statuses::<3>(async || from("192.0.2.2").await).await, [200, 200, 429]);
    assert_eq!(from("2001:db8::1").await, 200);
    assert_eq!(from("2001:db8::2").await, 200);
    assert_eq!(from("2001:db8::3").await, 429, "one /64 is one client");
    assert_eq!(from("2001:db8:0:1::1").await, 200);

    let first = platform.tenant("key", limits(&json!({"per": "key"}))).await;
    let body = tenantry_test_support::json(json!({"name": "second"}));
    let second = api.keys("key").create(&body).await.unwrap();
    platform.enforced(second.key.revision).await;
    let with = async |secret: &str| platform.get("key.example", "/").key(secret).status().await;
    assert_eq!(statuses::<3>(async || with(&first).await).await, [200, 200, 429]);
    assert_eq!(
        statuses::<3>(async || with(second.secret.as_deref().unwrap()).await).await,
        [200, 200, 429]
    );
    let anonymous = async || platform.get("key.example", "/").status().await;
    assert_eq!(statuses::<3>(anonymous).await, [200, 200, 429]);

    platform.tenant("route", limits(&json!({"per": "route"}))).await;
    let at = async |path: &str| platform.get("route.example", path).status().await;
    assert_eq!(statuses::<3>(async || at("/").await).await, [200, 200, 429]);
    assert_eq!(statuses::<3>(async || at("/login/x").await).await, [200, 200, 429]);

    platform.tenant("some", limits(&json!({"routes": ["login"]}))).await;
    let at = async |path: &str| platform.get("some.example", path).status().await;
    assert_eq!(statuses::<3>(async || at("/login").await).await, [200, 200, 429]);
    assert_eq!(statuses::<5>(async || at("/").await).await, [200; 5]);
    let uncounted = platform.get("some.example", "/").send().await;
    assert_eq!(uncounted.header("ratelimit"), "", "a limit that does not count is not told");
}

#[tokio::test]
async fn connections_of_a_tenant_are_bounded() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({"auth": "none", "limits": {"connections": 2}})).await;
    platform.tenant("other", json!({"auth": "none"})).await;
    let get = "GET / HTTP/1.1\r\nHost: acme.example\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut connection = RawConnection::open(platform.clients()).await;
        for _ in 0..3 {
            assert_eq!(connection.send(get).await.answer().await.unwrap().status, 200);
        }
        kept.push(connection);
    }
    let mut third = RawConnection::open(platform.clients()).await;
    let refused = third.send(get).await.answer().await.unwrap();
    assert_eq!((refused.status, refused.problem()), (429, "too-many-concurrent"));
    assert_eq!(platform.get("other.example", "/").status().await, 200);
    drop(kept);
    tenantry_test_support::eventually("a closed connection counts no more", async || {
        let mut connection = RawConnection::open(platform.clients()).await;
        let answer = connection.send(get).await.answer().await?;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// Bandwidth cannot be seen but in time; what is held is that it takes at least as long as it must.
#[tokio::test]
async fn bandwidth_of_a_tenant_is_bounded_in_both_directions() {
    let platform = Platform::start().await;
    let body = vec![b'x'; 60_000];
    for (limit, slug) in
        [("request_bytes_per_second", "receives"), ("response_bytes_per_second", "sends")]
    {
        platform.tenant(slug, json!({"auth": "none", "limits": {limit: 60_000}})).await;
        let began = tokio::time::Instant::now();
        let host = format!("{slug}.example");
        // The origin's echo grows with the target; a long one makes a large answer.
        let path = format!("/{}", "a".repeat(7_000));
        for _ in 0..9 {
            let status = if slug == "receives" {
                platform
                    .request(Method::POST, &host, "/")
                    .body(body[..7_000].to_vec())
                    .status()
                    .await
            } else {
                platform.get(&host, &path).status().await
            };
            assert_eq!(status, 200);
        }
        // 63 kB take a second and a bit, of which a quarter was saved up.
        assert!(began.elapsed() >= Duration::from_millis(750), "{slug}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn above_the_bound_the_loud_tenant_is_refused_and_not_the_quiet_one() {
    let platform = Platform::start_with(&[("MAX_IN_FLIGHT", "8")]).await;
    platform.tenant("loud", json!({"auth": "none"})).await;
    platform.tenant("quiet", json!({"auth": "none"})).await;
    let mut held = Vec::new();
    let half = "POST / HTTP/1.1\r\nHost: loud.example\r\nContent-Length: 10\r\n\r\n01234";
    for _ in 0..8 {
        let mut connection = RawConnection::open(platform.clients()).await;
        connection.send(half).await;
        held.push(connection);
    }
    let in_flight = "tenantry_in_flight_requests{tenant=\"loud\"}";
    tenantry_test_support::eventually("all are in progress", async || {
        platform.metric(in_flight).await.filter(|count| *count == 8)
    })
    .await;
    for _ in 0..5 {
        let loud = platform.get("loud.example", "/").send().await;
        assert_eq!((loud.status, loud.problem().as_str()), (503, "overloaded"));
        assert_eq!(platform.get("quiet.example", "/").status().await, 200);
    }
    for connection in &mut held {
        assert_eq!(connection.send("56789").await.answer().await.unwrap().status, 200);
    }
    assert_eq!(platform.get("loud.example", "/").status().await, 200);
}
