//! Times to wait, caps, and answers that are none.

use std::sync::Arc;

use serde_json::json;
use tenantry_test_support::{DEADLINE, Platform, eventually, unix_ms};

use super::{Site, change, endpoints, get, origins, platform_with};

#[tokio::test]
async fn an_answer_that_does_not_begin_is_a_timeout() {
    let (_site, [a, _]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a]), "timeouts": {"first_byte_ms": 200},
    }))
    .await;
    let check = async || {
        let answer = get(&platform, "/never").await;
        assert_eq!((answer.status, answer.problem().as_str()), (504, "upstream-timeout"));
        assert_eq!(get(&platform, "/").await.status, 200);
    };
    // On a new connection, and on one that was used before.
    check().await;
    check().await;
    // Both times the same: pingora's own time-out.
    change(&platform, &json!({"timeouts": {"first_byte_ms": 200, "idle_ms": 200}})).await;
    check().await;
    change(
        &platform,
        &json!({"timeouts": {"first_byte_ms": null, "idle_ms": null, "total_ms": 300}}),
    )
    .await;
    check().await;
    // The total is over all tries.
    let name = "tenantry_upstream_requests_total{upstream=\"main\",outcome=\"timed_out\"}";
    assert_eq!(platform.metric(name).await, Some(3));
}

/// The client sees that what it got is not the whole answer, long before the default times are over.
async fn is_cut(platform: &Platform, path: &str) {
    let answer = platform.get("open.example", path).try_send();
    let answer = tokio::time::timeout(DEADLINE, answer).await.unwrap();
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_drips_for_ever_is_cut() {
    let (_site, [a, _]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a]), "timeouts": {"total_ms": 400},
    }))
    .await;
    let began = unix_ms();
    is_cut(&platform, "/drip").await;
    assert!(unix_ms() - began >= 390, "it is not cut before its time");
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut() {
    let (_site, [a, _]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a]), "timeouts": {"idle_ms": 200},
    }))
    .await;
    is_cut(&platform, "/stall").await;
}

#[tokio::test]
async fn an_answer_without_an_end_of_its_own_is_not_taken_for_whole_when_cut() {
    let server = origins::parrot("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbegin").await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&server]), "timeouts": {"idle_ms": 200},
    }))
    .await;
    is_cut(&platform, "/").await;
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_no_answer() {
    let server = origins::parrot(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
    )
    .await;
    let platform = platform_with(&json!({"endpoints": endpoints(&[&server])})).await;
    let answer = get(&platform, "/").await;
    assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream-failed"));
}

/// Takes a place and keeps it. One that is refused, because another request has it just then, asks again.
async fn hold(platform: Arc<Platform>) {
    loop {
        let _ = platform.get("open.example", "/never").try_send().await;
    }
}

#[tokio::test]
async fn what_is_over_a_cap_is_refused_at_once() {
    let (_site, [a, _]) = Site::pair().await;
    let platform =
        Arc::new(platform_with(&json!({"endpoints": endpoints(&[&a]), "max_requests": 1})).await);
    let waiting = {
        let platform = Arc::clone(&platform);
        tokio::spawn(hold(platform))
    };
    let refused = eventually("the place is taken", async || {
        let answer = get(&platform, "/").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "upstream-unavailable"));
    assert!(refused.body.contains("as many requests as it may have"), "{}", refused.body);
    change(&platform, &json!({"max_requests": null, "max_connections": 1})).await;
    // The new form has its own connections; one is made, and then kept busy.
    let second = {
        let platform = Arc::clone(&platform);
        tokio::spawn(hold(platform))
    };
    let refused = eventually("the connection is taken", async || {
        let answer = get(&platform, "/").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("as many connections as it may have"), "{}", refused.body);
    waiting.abort();
    second.abort();
    eventually("a place is given back", async || {
        (get(&platform, "/").await.status == 200).then_some(())
    })
    .await;
}
