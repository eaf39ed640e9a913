//! WebSockets whose server switches protocols and greets in one write: nothing of it may be lost.

use futures::{StreamExt as _, stream};
use http::Method;
use serde_json::json;
use tenantry_test_support::{Authority, DEADLINE, RawConnection, Server, eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Edge, HOST, Io};

const GREETED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\n\r\n\x81\x05hello";
const FRAME: &[u8] = b"\x81\x05hello";
const SOCKETS: usize = 400;
const AT_ONCE: usize = 32;

/// Answers as soon as a head is there. What is no socket, or one below `/refused`, gets an answer without
/// a body; a socket is greeted, and sent back what it sends.
async fn greet(mut io: impl Io) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(io.read_buf(&mut head).await, Ok(1..)) {
                return;
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        if head.contains("\r\nupgrade: websocket\r\n") && !head.contains("/refused") {
            break;
        }
        let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        io.write_all(answer.as_bytes()).await.unwrap();
    }
    if io.write_all(GREETED).await.is_ok() {
        let (mut from, mut to) = tokio::io::split(io);
        let _ = tokio::io::copy(&mut from, &mut to).await;
    }
}

fn handshake(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

/// Opens a socket, and says what came of it: the greeting, and what is sent back.
async fn open(edge: &Edge, host: &str, path: &str) -> Option<Vec<u8>> {
    let mut connection = RawConnection::open(edge.platform.clients()).await;
    let opened = async {
        let answer = connection.send(handshake(host, path)).await.answer().await?;
        assert_eq!(answer.status, 101);
        let mut received = connection.bytes(FRAME.len()).await;
        received.extend(connection.send("once more").await.bytes(9).await);
        Some(received)
    };
    tokio::time::timeout(DEADLINE, opened).await.unwrap()
}

/// How many of so many sockets were not greeted, or did not work then.
async fn cut(edge: &Edge, path: &str) -> usize {
    let all = [FRAME, b"once more"].concat();
    stream::iter(0..SOCKETS)
        .map(|_| open(edge, HOST, path))
        .buffer_unordered(AT_ONCE)
        .filter(|received| std::future::ready(received.as_ref() != Some(&all)))
        .count()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_that_comes_with_the_101_is_never_lost() {
    let edge = Edge::start().await;
    let plain = Server::start(greet).await;
    edge.route("plain", &plain, json!({})).await;
    let authority = Authority::new("servers");
    let acceptor = authority.acceptor("app.internal", None, &[]);
    let tls = Server::start(move |stream: TcpStream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                greet(stream).await;
            }
        }
    })
    .await;
    let changes = json!({"tls": {"ca_pem": authority.pem(), "server_name": "app.internal"}});
    edge.route("tls", &tls, changes).await;
    // Counted, and with a time to the first byte, for which connections are watched.
    let watched = json!({"max_connections": 1000, "timeouts": {"first_byte_ms": 30_000}});
    edge.route("watched", &plain, watched).await;
    for path in ["/plain", "/tls", "/watched"] {
        assert_eq!(cut(&edge, path).await, 0, "{path}: of {SOCKETS} sockets");
    }
}

/// While the tenant's bandwidth is used up, the end of the (empty) request waits, and the server has
/// answered long before.
#[tokio::test]
async fn a_greeting_is_not_lost_while_the_request_is_held_back() {
    let edge = Edge::start().await;
    let server = Server::start(greet).await;
    edge.route("sockets", &server, json!({})).await;
    let limits = json!({"auth": "none", "limits": {"request_bytes_per_second": 10_000}});
    edge.platform.tenant("slow", limits).await;
    let upload = edge.platform.request(Method::POST, "slow.example", "/");
    let upload = tokio::spawn(upload.body(vec![b'x'; 20_000]).status());
    eventually("the upload is in progress", async || {
        edge.platform
            .metric("tenantry_in_flight_requests{tenant=\"slow\"}")
            .await
            .filter(|n| *n > 0)
    })
    .await;
    for received in stream::iter(0..8)
        .map(|_| open(&edge, "slow.example", "/sockets"))
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await
    {
        assert_eq!(received.unwrap(), [FRAME, b"once more"].concat());
    }
    assert_eq!(upload.await.unwrap(), 200);
}

#[tokio::test]
async fn a_socket_goes_to_the_next_server_when_the_first_is_gone() {
    let edge = Edge::start().await;
    let (server, gone) = (Server::start(greet).await, Server::start(greet).await);
    let endpoints = json!([{"address": gone.address()}, {"address": server.address()}]);
    edge.route("sockets", &server, json!({"endpoints": endpoints})).await;
    drop(gone);
    for _ in 0..4 {
        let received = open(&edge, HOST, "/sockets").await;
        assert_eq!(received.unwrap(), [FRAME, b"once more"].concat());
    }
}

/// Whether there is a socket or not, each request of another kind goes where the last one went, and
/// a connection on which a socket was refused is not kept.
#[tokio::test]
async fn sockets_have_connections_of_their_own() {
    let edge = Edge::start().await;
    let server = Server::start(greet).await;
    edge.route("sockets", &server, json!({})).await;
    let mut client = RawConnection::open(edge.platform.clients()).await;
    for asked in ["", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n"]
    {
        for _ in 0..3 {
            let get = format!("GET /sockets HTTP/1.1\r\nHost: {HOST}\r\n{asked}\r\n");
            assert_eq!(client.send(get).await.answer().await.unwrap().status, 403);
        }
    }
    // Plain requests are relayed, those with an offer go with pingora.
    assert_eq!(server.connections(), 2);
    for opened in 1..=3 {
        open(&edge, HOST, "/sockets").await.unwrap();
        let refused = client.send(handshake(HOST, "/sockets/refused")).await.answer().await;
        assert_eq!(refused.unwrap().status, 403);
        assert_eq!(server.connections(), 2 + 2 * opened);
    }
    let get = format!("GET /sockets HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    assert_eq!(client.send(get).await.answer().await.unwrap().status, 403);
    assert_eq!(server.connections(), 8);
}

/// With room for one connection: one on which a socket was refused makes room, and one that is kept for
/// later serves a socket. (Of another thread it might be lost on the way, and another one made.)
#[tokio::test]
async fn a_cap_refuses_no_socket_for_the_sake_of_a_connection_that_is_kept() {
    let edge = Edge::start_with(&[("THREADS", "1")]).await;
    let server = Server::start(greet).await;
    edge.route("sockets", &server, json!({"max_connections": 1})).await;
    let get = format!("GET /sockets HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let refused = (handshake(HOST, "/sockets/refused"), 403);
    for (request, status) in [refused.clone(), refused, (get, 403)] {
        // A connection is given back a little after the client has its answer.
        eventually("there is room", async || {
            let mut connection = RawConnection::open(edge.platform.clients()).await;
            let answer = connection.send(&request).await.answer().await;
            (answer?.status == status).then_some(())
        })
        .await;
    }
    assert_eq!(server.connections(), 3);
    eventually("a socket is opened", async || {
        let mut connection = RawConnection::open(edge.platform.clients()).await;
        let answer = connection.send(handshake(HOST, "/sockets")).await.answer().await;
        (answer?.status == 101).then_some(())
    })
    .await;
    assert_eq!(server.connections(), 3);
}
