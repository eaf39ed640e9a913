//! Bodies that are far larger than the memory they are carried in.

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tenantry_test_support::{Body, Server, serve_http1, serve_http2};

use super::{Edge, HOST, Over, parts, text};

const PIECE_BYTES: usize = 64 * 1024;

/// What is sent each way by each road: 128 MiB. More shows nothing else, and takes as much longer.
const PIECES: u64 = 128 * 16;
const BYTES: u64 = PIECES * PIECE_BYTES as u64;

/// What the proxy may grow by, for the buffers and windows of a connection and what the allocator keeps.
const MAX_GROWTH_KIB: u64 = 48 * 1024;

/// Bytes that are made as they are asked for.
fn body() -> Body {
    static PIECE: [u8; PIECE_BYTES] = [b'x'; PIECE_BYTES];
    parts(stream::iter((0..PIECES).map(|_| Bytes::from_static(&PIECE))))
}

async fn count(mut body: Incoming) -> u64 {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
    }
    bytes
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    if request.method() == http::Method::GET {
        return Response::new(body());
    }
    text(count(request.into_body()).await.to_string())
}

/// Sends a request on a connection of its own.
pub(super) async fn send(
    edge: &Edge,
    (over, protocol): (Over, &str),
    mut request: Request<Body>,
) -> Response<Incoming> {
    let io = TokioIo::new(edge.connect(over, protocol).await);
    if protocol == "h2" {
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        return client.send_request(request).await.unwrap();
    }
    request.headers_mut().insert("host", HOST.parse().unwrap());
    *request.uri_mut() = request.uri().path().parse().unwrap();
    let (mut client, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    client.send_request(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_in_constant_memory() {
    let edge = Edge::start().await;
    let old = Server::start(|stream| serve_http1(stream, answer)).await;
    let new = Server::start(|stream| serve_http2(stream, answer)).await;
    edge.route("http1", &old, json!({})).await;
    edge.route("http2", &new, json!({"protocol": "http2"})).await;
    let before = edge.platform.proxy_peak_memory_kib();
    for (down, up) in [
        ((Over::Plain, "http/1.1"), "http1"),
        ((Over::Tls, "http/1.1"), "http1"),
        ((Over::Tls, "h2"), "http1"),
        ((Over::Tls, "h2"), "http2"),
    ] {
        let uri = format!("https://{HOST}/{up}");
        let download = Request::get(&uri).body(Empty::new().boxed()).unwrap();
        assert_eq!(count(send(&edge, down, download).await.into_body()).await, BYTES);
        let upload = Request::post(&uri).body(body()).unwrap();
        let told = send(&edge, down, upload).await.into_body().collect().await.unwrap();
        assert_eq!(told.to_bytes(), BYTES.to_string().as_bytes(), "{down:?} {up}");
        let growth = edge.platform.proxy_peak_memory_kib() - before;
        assert!(growth < MAX_GROWTH_KIB, "{down:?} {up}: {growth} KiB of {before}");
    }
}

/// A client that takes nothing of what it asked for holds up neither memory nor, in the end, a
/// connection.
#[tokio::test]
async fn an_answer_that_nobody_reads_waits_at_the_origin_and_is_given_up() {
    let edge = Edge::start_with(&[("CONNECTIONS__RESPONSE_TIMEOUT_SECONDS", "2")]).await;
    let server = Server::start(|stream| serve_http1(stream, answer)).await;
    edge.route("bulk", &server, json!({})).await;
    let before = edge.platform.proxy_peak_memory_kib();
    for over in [Over::Plain, Over::Tls] {
        let mut unread = Vec::new();
        for _ in 0..8 {
            let mut io = edge.connect(over, "http/1.1").await;
            let get = format!("GET /bulk HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut io, get.as_bytes()).await.unwrap();
            unread.push(io);
        }
        let name = "tenantry_in_flight_requests{tenant=\"open\"}";
        for (count, what) in [(8, "all are being answered"), (0, "all are given up")] {
            tenantry_test_support::eventually(what, async || {
                (edge.platform.metric(name).await == Some(count)).then_some(())
            })
            .await;
        }
    }
    let growth = edge.platform.proxy_peak_memory_kib() - before;
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB of {before}");
}
