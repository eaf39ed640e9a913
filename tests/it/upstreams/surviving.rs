//! A change of the snapshot disturbs neither what is known of endpoints nor what is in progress.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tenantry_test_support::{Platform, Server, eventually, unix_ms};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Site, change, endpoint, endpoints, get, origins, platform_with, until};

#[tokio::test]
async fn what_is_known_of_an_endpoint_is_kept() {
    let (site, [a, b]) = Site::pair().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&a, &b]),
        "health_check": {"type": "http", "path": "/health", "interval_ms": 500, "timeout_ms": 500,
            "healthy_after": 1, "unhealthy_after": 2},
    }))
    .await;
    site.sick.store(true, Relaxed);
    until(&platform, &b, "unhealthy").await;
    // Checked so rarely from now on that nobody can find it out anew.
    let rarely = json!({"type": "http", "path": "/health", "interval_ms": 3_600_000, "timeout_ms": 500,
        "healthy_after": 1, "unhealthy_after": 50});
    change(&platform, &json!({"health_check": rarely})).await;
    let both = json!([{"address": b.address(), "weight": 9}, {"address": a.address()}]);
    change(&platform, &json!({"endpoints": both})).await;
    platform.tenant("other", json!({})).await;
    assert_eq!(endpoint(&platform, &b).await["state"], "unhealthy");
    for _ in 0..10 {
        assert_eq!(get(&platform, "/").await.body, "a");
    }
}

/// Sends a request on a connection of its own.
async fn download(platform: &Platform) -> hyper::Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(platform.clients()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("/drip").header("host", "open.example");
    let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
    sender.send_request(request).await.unwrap()
}

/// A server that switches to any protocol and then sends back what it is sent.
async fn echo() -> Server {
    Server::start(|mut stream| async move {
        if !origins::head(&mut stream).await.to_ascii_lowercase().contains("upgrade: websocket") {
            return;
        }
        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(switch.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        // Ends when the client goes.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

async fn web_socket(platform: &Platform) -> TcpStream {
    let mut stream = TcpStream::connect(platform.clients()).await.unwrap();
    let request = "GET /socket HTTP/1.1\r\nHost: open.example\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = origins::head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream
}

async fn ping(stream: &mut TcpStream) {
    stream.write_all(b"ping").await.unwrap();
    let mut pong = [0; 4];
    stream.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"ping");
}

#[tokio::test]
async fn what_is_in_progress_is_not_cut() {
    let (_site, [a, b]) = Site::pair().await;
    let sockets = echo().await;
    let platform = platform_with(&json!({"endpoints": endpoints(&[&a])})).await;
    let mut answer = download(&platform).await;
    change(&platform, &json!({"endpoints": endpoints(&[&sockets])})).await;
    let mut socket = web_socket(&platform).await;
    ping(&mut socket).await;
    // Neither server is in the snapshot any more, and everything else about the upstream changes.
    let changed = json!({"endpoints": endpoints(&[&b]), "balance": {"policy": "least_requests"},
        "timeouts": {"total_ms": 10}, "max_requests": 5});
    change(&platform, &changed).await;
    ping(&mut socket).await;
    for _ in 0..20 {
        assert!(answer.body_mut().frame().await.unwrap().is_ok());
    }
    ping(&mut socket).await;
}

#[tokio::test]
async fn the_time_for_a_request_does_not_end_a_web_socket() {
    let sockets = echo().await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&sockets]), "timeouts": {"total_ms": 200, "idle_ms": 3_000_000},
    }))
    .await;
    let mut socket = web_socket(&platform).await;
    let began = unix_ms();
    eventually("the time is long over", async || {
        ping(&mut socket).await;
        (unix_ms() - began > 600).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_are_kept_over_changes() {
    let (_site, [a, _]) = Site::pair().await;
    let platform = platform_with(&json!({"endpoints": endpoints(&[&a])})).await;
    for round in 0..10 {
        assert_eq!(get(&platform, "/").await.status, 200);
        change(&platform, &json!({"timeouts": {"connect_ms": 1000 + round}})).await;
    }
    assert!(a.connections() <= 2, "{} for requests one after the other", a.connections());
}
