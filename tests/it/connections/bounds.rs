//! Clients that take more than their share: each bound with the client that it is for.

use std::time::Duration;

use serde_json::json;
use tenantry_test_support::{Platform, RawConnection, eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: open.example\r\n";

async fn platform(settings: &[(&str, &str)]) -> Platform {
    let platform = Platform::start_with(settings).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform
}

#[tokio::test]
async fn heads_have_a_deadline_however_they_drip() {
    let platform = platform(&[("CONNECTIONS__HEAD_TIMEOUT_SECONDS", "1")]).await;
    let mut silent = RawConnection::open(platform.clients()).await;
    let answer = silent.send(GET).await.answer().await.unwrap();
    assert_eq!((answer.status, answer.problem()), (408, "request-timeout"));
    // A byte now and then keeps nothing open.
    let mut dripping = RawConnection::open(platform.clients()).await;
    dripping.send(GET).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let drip = async {
        loop {
            ticks.tick().await;
            if dripping.send("x").await.is_closed().await {
                return;
            }
        }
    };
    tokio::time::timeout(tenantry_test_support::DEADLINE, drip).await.unwrap();
}

#[tokio::test]
async fn bodies_have_a_least_rate() {
    let settings = [
        ("CONNECTIONS__BODY_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__BODY_BYTES_PER_SECOND", "1000"),
    ];
    let platform = platform(&settings).await;
    let mut silent = RawConnection::open(platform.clients()).await;
    let post = "POST / HTTP/1.1\r\nHost: open.example\r\nContent-Length: 1000\r\n\r\n";
    silent.send(post).await;
    assert!(silent.answer().await.is_none_or(|answer| answer.status == 408));
    let mut dripping = RawConnection::open(platform.clients()).await;
    dripping.send(post).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let drip = async {
        loop {
            ticks.tick().await;
            if dripping.send("x").await.is_closed().await {
                return;
            }
        }
    };
    tokio::time::timeout(tenantry_test_support::DEADLINE, drip).await.unwrap();
}

#[tokio::test]
async fn a_websocket_may_be_silent() {
    let settings = [("CONNECTIONS__BODY_TIMEOUT_SECONDS", "1")];
    let platform = platform(&settings).await;
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoints = json!({"endpoints": [{"address": origin.local_addr().unwrap()}]});
    let changed = platform.api().upstreams().patch("main", &endpoints, None).await.unwrap();
    platform.enforced(changed.revision).await;
    tokio::spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await.unwrap();
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(switch.as_bytes()).await.unwrap();
        let (mut reads, mut writes) = stream.split();
        tokio::io::copy(&mut reads, &mut writes).await.unwrap();
    });
    let mut socket = RawConnection::open(platform.clients()).await;
    let upgrade = "GET / HTTP/1.1\r\nHost: open.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(socket.send(upgrade).await.answer().await.unwrap().status, 101);
    // A body that is as silent is given up meanwhile, twice over.
    for _ in 0..2 {
        let mut body = RawConnection::open(platform.clients()).await;
        let post = "POST / HTTP/1.1\r\nHost: open.example\r\nContent-Length: 9\r\n\r\n";
        body.send(post).await.rest().await;
    }
    socket.send("ping").await;
    assert_eq!(socket.bytes(4).await, b"ping");
}

#[tokio::test]
async fn heads_and_targets_have_a_size() {
    let settings = [
        ("CONNECTIONS__HEAD_BYTES", "2000"),
        ("CONNECTIONS__HEADERS", "10"),
        ("CONNECTIONS__TARGET_BYTES", "100"),
    ];
    let platform = platform(&settings).await;
    for (request, status, problem) in [
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(100)), 414, "target-too-long"),
        (format!("GET /{}", "a".repeat(1500)), 414, "target-too-long"),
        (format!("{GET}{}\r\n", "a: b\r\n".repeat(10)), 431, "headers-too-large"),
        (format!("{GET}a: {}", "b".repeat(5000)), 431, "headers-too-large"),
    ] {
        let mut connection = RawConnection::open(platform.clients()).await;
        let answer = connection.send(&request).await.answer().await.unwrap();
        assert_eq!((answer.status, answer.problem()), (status, problem));
    }
    let mut connection = RawConnection::open(platform.clients()).await;
    let fits = format!("{GET}{}\r\n", "a: b\r\n".repeat(9));
    assert_eq!(connection.send(fits).await.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_serves_so_many_requests() {
    let platform = platform(&[("CONNECTIONS__REQUESTS_PER_CONNECTION", "2")]).await;
    let mut connection = RawConnection::open(platform.clients()).await;
    connection.send(format!("{GET}\r\n").repeat(3)).await;
    assert_eq!(connection.answer().await.unwrap().headers.get("connection").unwrap(), "keep-alive");
    assert_eq!(connection.answer().await.unwrap().headers.get("connection").unwrap(), "close");
    assert_eq!(connection.answer().await, None);
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let settings = [("CONNECTIONS__MAX", "20"), ("CONNECTIONS__MAX_PER_CLIENT", "5")];
    let platform = platform(&settings).await;
    let flooder = [127, 0, 0, 2].into();
    let mut kept = Vec::new();
    for _ in 0..5 {
        let mut connection = RawConnection::open_from(flooder, platform.clients()).await;
        connection.send(format!("{GET}\r\n")).await;
        assert_eq!(connection.answer().await.unwrap().status, 200);
        kept.push(connection);
    }
    for _ in 0..30 {
        let mut connection = RawConnection::open_from(flooder, platform.clients()).await;
        assert_eq!(connection.send(format!("{GET}\r\n")).await.answer().await, None);
    }
    assert_eq!(platform.get("open.example", "/").status().await, 200);
    assert_eq!(
        platform.metric("tenantry_connections_refused_total{bound=\"client\"}").await,
        Some(30)
    );
    drop(kept);
    eventually("a place is given back", async || {
        let mut connection = RawConnection::open_from(flooder, platform.clients()).await;
        connection.send(format!("{GET}\r\n")).await.answer().await
    })
    .await;
}

#[tokio::test]
async fn connections_are_bounded_in_all() {
    let platform = platform(&[("CONNECTIONS__MAX", "3")]).await;
    let mut kept = Vec::new();
    // The platform's own client may keep one.
    for _ in 0..3 {
        let mut connection = RawConnection::open(platform.clients()).await;
        connection.send(format!("{GET}\r\n")).await.answer().await;
        kept.push(connection);
    }
    let mut late = RawConnection::open(platform.clients()).await;
    assert_eq!(late.send(format!("{GET}\r\n")).await.answer().await, None);
}

#[tokio::test]
async fn connections_are_opened_in_time() {
    let settings = [
        ("CONNECTIONS__OPENING_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__PROXY_PROTOCOL_FROM", "[\"127.0.0.2/32\"]"),
    ];
    let platform = platform(&settings).await;
    let mut half_a_header =
        RawConnection::open_from([127, 0, 0, 2].into(), platform.clients()).await;
    half_a_header.send("PROXY TCP4 198.51").await;
    let mut no_handshake = RawConnection::open(platform.tls_clients()).await;
    let mut half_a_handshake = RawConnection::open(platform.tls_clients()).await;
    half_a_handshake.send([0x16, 3, 1, 2, 0]).await;
    for connection in [&mut half_a_header, &mut no_handshake, &mut half_a_handshake] {
        assert_eq!(connection.rest().await, b"");
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let platform = platform(&[("CONNECTIONS__IDLE_TIMEOUT_SECONDS", "1")]).await;
    let mut never_used = RawConnection::open(platform.clients()).await;
    let mut used = RawConnection::open(platform.clients()).await;
    assert_eq!(used.send(format!("{GET}\r\n")).await.answer().await.unwrap().status, 200);
    assert_eq!((used.rest().await, never_used.rest().await), (Vec::new(), Vec::new()));
}
