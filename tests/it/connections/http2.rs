//! HTTP/2 without TLS, as frames.

use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tenantry_test_support::{Platform, RawConnection};
use tokio::net::TcpStream;

use super::frames::{PREFACE, frame};

async fn platform(settings: &[(&str, &str)]) -> Platform {
    let settings = [&[("HTTP2__PLAINTEXT", "true")], settings].concat();
    let platform = Platform::start_with(&settings).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform
}

/// A connection that has said hello.
async fn open(platform: &Platform) -> RawConnection {
    let mut connection = RawConnection::open(platform.clients()).await;
    connection.send(PREFACE).await.send(frame(4, 0, 0, &[])).await;
    connection
}

async fn is_served(platform: &Platform) {
    let stream = TcpStream::connect(platform.clients()).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://open.example/a?b").body(Empty::<Bytes>::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let echo = response.into_body().collect().await.unwrap().to_bytes();
    let echo: serde_json::Value = serde_json::from_slice(&echo).unwrap();
    assert_eq!(
        (&echo["target"], &echo["headers"]["host"]),
        (&json!("/a?b"), &json!("open.example"))
    );
}

#[tokio::test]
async fn floods_of_empty_frames_end_the_connection_and_no_other() {
    let platform = platform(&[]).await;
    for (name, flood) in [
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("PING", frame(6, 0, 0, &[0; 8])),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 0, 16])),
        ("WINDOW_UPDATE", frame(8, 0, 0, &[0, 0, 0, 1])),
        ("unknown", frame(0x42, 0, 0, &[])),
    ] {
        let mut connection = open(&platform).await;
        let flood = flood.repeat(4000);
        let (_, answered) = tokio::join!(is_served(&platform), async {
            connection.send(&flood).await;
            connection.rest().await
        });
        // What was answered before the end came is small: the flood was not served.
        assert!(answered.len() < flood.len(), "{name}: {} bytes", answered.len());
    }
    is_served(&platform).await;
}

#[tokio::test]
async fn a_connection_serves_so_many_requests() {
    let platform = platform(&[("CONNECTIONS__REQUESTS_PER_CONNECTION", "3")]).await;
    let stream = TcpStream::connect(platform.clients()).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get("http://open.example/").body(Empty::<Bytes>::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
    // Told to go (GOAWAY), and gone without an error.
    connection.await.unwrap().unwrap();
    assert!(client.is_closed());
}

#[tokio::test]
async fn header_lists_in_a_thousand_pieces_end_the_connection() {
    let platform = platform(&[]).await;
    let mut connection = open(&platform).await;
    connection.send(frame(1, 0, 1, &[0x82])).await;
    connection.send(frame(9, 0, 1, &[]).repeat(1000)).await;
    connection.rest().await;
    is_served(&platform).await;
}

#[tokio::test]
async fn what_began_must_be_completed() {
    let platform = platform(&[("CONNECTIONS__HEAD_TIMEOUT_SECONDS", "1")]).await;
    // Neither the preface nor a header list may be left open.
    let mut silent = RawConnection::open(platform.clients()).await;
    silent.send(PREFACE).await;
    let mut half = open(&platform).await;
    half.send(frame(1, 0, 1, &[0x82])).await;
    half.rest().await;
    drop(silent);
    is_served(&platform).await;
}
