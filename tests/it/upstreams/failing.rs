//! Servers that fail: what is noticed, what is tried again, and what is not.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use serde_json::json;
use tenantry_test_support::{Server, eventually};

use super::{Site, endpoint, endpoints, get, origins, platform_with, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_killed_under_load() {
    let (site, [a, b]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a, &b]),
        "outlier": {"consecutive_failures": 3, "eject_ms": 600_000},
        "health_check": {"type": "http", "path": "/health", "interval_ms": 500, "timeout_ms": 500,
            "healthy_after": 1, "unhealthy_after": 2},
    }))
    .await;
    let platform = Arc::new(platform);
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let asked: Arc<[AtomicU64; 8]> = Arc::default();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (platform, stop, failed) =
                (Arc::clone(&platform), Arc::clone(&stop), Arc::clone(&failed));
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let mut served = 0_u64;
                while !stop.load(Relaxed) {
                    match get(&platform, "/").await.status {
                        200 => served += 1,
                        _ => _ = failed.fetch_add(1, Relaxed),
                    }
                    asked[worker].fetch_add(1, Relaxed);
                }
                served
            })
        })
        .collect();
    let enough = async |name: &str, count: u64| {
        eventually(&format!("{name} is used"), async || {
            (site.served(name, "/") >= count).then_some(())
        })
        .await;
    };
    enough("b", 50).await;
    let address = b.address();
    drop(b);
    eventually("the dead endpoint is found out", async || {
        let (_, view) = platform.admin_get("/upstreams").await;
        let view: serde_json::Value = serde_json::from_str(&view).unwrap();
        (view["upstreams"][0]["endpoints"][1]["state"] == "unhealthy").then_some(())
    })
    .await;
    // What was in progress then may fail yet: each worker has its answer before failures are counted.
    let then: Vec<u64> = asked.iter().map(|asked| asked.load(Relaxed)).collect();
    eventually("what was in progress is over", async || {
        asked.iter().zip(&then).all(|(now, then)| now.load(Relaxed) > *then).then_some(())
    })
    .await;
    let before = failed.load(Relaxed);
    assert!(before <= 8, "at most what was in progress failed: {before}");
    let served = site.served("a", "/");
    enough("a", served + 200).await;
    assert_eq!(failed.load(Relaxed), before, "none failed after it was found out");
    let again = Server::start_on(address, site.serve("b")).await;
    let served = site.served("b", "/");
    eventually("it is checked again", async || {
        (endpoint(&platform, &again).await["check_error"].is_null()).then_some(())
    })
    .await;
    // It may still be ejected for what it did; a check does not take that back.
    let state = endpoint(&platform, &again).await["state"].clone();
    assert!(state == "healthy" || state == "ejected", "{state}");
    if state == "healthy" {
        enough("b", served + 50).await;
    }
    stop.store(true, Relaxed);
    for worker in workers {
        assert!(worker.await.unwrap() > 0);
    }
    assert_eq!(failed.load(Relaxed), before);
}

#[tokio::test]
async fn checks_take_an_endpoint_out_and_in() {
    let (site, [a, b]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a, &b]),
        "health_check": {"type": "http", "path": "/health", "interval_ms": 500, "timeout_ms": 500,
            "healthy_after": 2, "unhealthy_after": 2},
    }))
    .await;
    let places = async || {
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..6 {
            places.insert(get(&platform, "/").await.body);
        }
        places.len()
    };
    assert_eq!(places().await, 2);
    site.sick.store(true, Relaxed);
    until(&platform, &b, "unhealthy").await;
    assert_eq!(places().await, 1);
    assert!(endpoint(&platform, &b).await["check_error"].as_str().unwrap().contains("503"));
    assert_eq!(
        platform.metric("tenantry_upstream_endpoints{upstream=\"main\",state=\"unhealthy\"}").await,
        Some(1)
    );
    site.sick.store(false, Relaxed);
    until(&platform, &b, "healthy").await;
    assert_eq!(places().await, 2);
}

#[tokio::test]
async fn without_an_endpoint_there_is_an_answer_at_once() {
    let (_, [a, b]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a, &b]),
        "health_check": {"type": "tcp", "interval_ms": 500, "timeout_ms": 500, "unhealthy_after": 1},
    }))
    .await;
    until(&platform, &a, "healthy").await;
    let addresses = [a.address(), b.address()];
    drop((a, b));
    let refused = eventually("both are found out", async || {
        let answer = get(&platform, "/").await;
        let (_, view) = platform.admin_get("/upstreams").await;
        (view.matches("unhealthy").count() == 2).then_some(answer)
    })
    .await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "upstream-unavailable"));
    let (_, view) = platform.admin_get("/upstreams").await;
    assert!(addresses.iter().all(|address| view.contains(&address.to_string())), "{view}");
}

/// A server that takes the whole request and then breaks the connection.
async fn breaker(taken: &Arc<AtomicU64>) -> Server {
    let taken = Arc::clone(taken);
    Server::start(move |mut stream| {
        let taken = Arc::clone(&taken);
        async move {
            origins::head(&mut stream).await;
            taken.fetch_add(1, Relaxed);
        }
    })
    .await
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again() {
    let taken = Arc::new(AtomicU64::new(0));
    let (site, bad) = (Site::new(), breaker(&taken).await);
    let good = site.server("a").await;
    let platform = platform_with(&json!({"endpoints": endpoints(&[&bad, &good])})).await;
    for (method, sent_again) in
        [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false)]
    {
        // One of two requests goes to the bad server first.
        for _ in 0..4 {
            let method = method.parse().unwrap();
            let before = taken.load(Relaxed);
            let request = platform.request(method, "open.example", "/length").body("hello");
            let answer = request.send().await;
            match (taken.load(Relaxed) - before, sent_again) {
                (0, _) | (1, true) => assert_eq!((answer.status, answer.body.as_str()), (200, "5")),
                (1, false) => assert_eq!(answer.problem(), "upstream-failed"),
                (times, _) => panic!("sent {times} times"),
            }
        }
        assert!(taken.swap(0, Relaxed) > 0, "{method}: the bad server was tried");
    }
    let large = platform.request(http::Method::PUT, "open.example", "/length");
    let statuses = [large.body(vec![b'x'; 1 << 20]).send().await, get(&platform, "/length").await];
    assert!(statuses.iter().all(|answer| [200, 502].contains(&answer.status)));
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_tried_elsewhere() {
    let (site, [a, b]) = Site::pair().await;
    let platform = platform_with(&json!({"endpoints": endpoints(&[&a, &b])})).await;
    drop(b);
    for _ in 0..6 {
        // Nothing was sent, so this is safe for any method.
        let post = platform.request(http::Method::POST, "open.example", "/length").body("hello");
        assert_eq!(post.send().await.body, "5");
    }
    assert_eq!(site.served("a", "/length"), 6);
    platform
        .api()
        .upstreams()
        .patch("main", &json!({"retries": {"attempts": 0}}), None)
        .await
        .unwrap();
    eventually("nothing is tried again", async || {
        (get(&platform, "/").await.status == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn answers_are_tried_again_only_if_that_was_asked_for() {
    let (site, [a, b]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a, &b]), "retries": {"attempts": 1, "statuses": [503]},
    }))
    .await;
    for _ in 0..6 {
        assert_eq!(get(&platform, "/busy").await.body, "a");
    }
    assert!(site.served("b", "/busy") > 0);
    // The last answer is passed on, and a request that may not be repeated gets the first.
    assert_eq!(get(&platform, "/down").await.status, 503);
    let mut statuses = std::collections::BTreeSet::new();
    for _ in 0..4 {
        statuses
            .insert(platform.request(http::Method::POST, "open.example", "/busy").status().await);
    }
    assert_eq!(statuses, [200, 503].into());
}

#[tokio::test]
async fn failing_requests_eject_an_endpoint_and_bugs_do_not() {
    let (site, [a, b]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a, &b]), "retries": {"attempts": 0},
        "outlier": {"consecutive_failures": 2, "eject_ms": 600_000},
    }))
    .await;
    for _ in 0..10 {
        assert_eq!(get(&platform, "/bug").await.status, 500);
    }
    assert_eq!(endpoint(&platform, &b).await["state"], "healthy");
    for _ in 0..4 {
        get(&platform, "/busy").await;
    }
    until(&platform, &b, "ejected").await;
    assert!(endpoint(&platform, &b).await["ejected_for_ms"].as_u64().unwrap() > 0);
    let served = site.served("b", "/");
    for _ in 0..4 {
        assert_eq!(get(&platform, "/").await.body, "a");
    }
    assert_eq!(site.served("b", "/"), served);
}

#[tokio::test]
async fn clients_that_stop_in_their_bodies_eject_nobody() {
    let platform = tenantry_test_support::Platform::start().await;
    platform.tenant("open", json!({"auth": "none"})).await;
    // The origin reads the whole body before it answers.
    let endpoint = json!({"address": platform.origin.address()});
    super::change(
        &platform,
        &json!({
            "endpoints": [endpoint],
            "timeouts": {"first_byte_ms": 300},
            "outlier": {"consecutive_failures": 1, "eject_ms": 600_000, "max_ejected_percent": 100},
        }),
    )
    .await;
    for _ in 0..3 {
        let mut client = tenantry_test_support::RawConnection::open(platform.clients()).await;
        let half = "POST / HTTP/1.1\r\nHost: open.example\r\nContent-Length: 10\r\n\r\n01234";
        let answer = client.send(half).await.answer().await.unwrap();
        assert_eq!((answer.status, answer.problem()), (408, "request-timeout"));
    }
    assert_eq!(get(&platform, "/").await.status, 200);
}
