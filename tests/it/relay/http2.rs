//! The short way of requests that come by HTTP/2.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Method, Request, request::Builder};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tenantry_test_support::{Body, DEADLINE, Platform, Server, eventually, serve_http1};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use super::{ANSWERS, HOST, PLAINTEXT, follows, upstream};

/// A client of one connection.
struct Client(SendRequest<Body>);

/// What it was answered.
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Client {
    async fn new(platform: &Platform) -> Self {
        let stream = TcpStream::connect(platform.clients()).await.unwrap();
        let handshake = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (client, connection) = handshake.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    async fn send(&self, request: Builder, body: &str) -> Answered {
        self.try_send(request, body).await.unwrap()
    }

    /// An error if the answer was broken off.
    async fn try_send(&self, request: Builder, body: &str) -> hyper::Result<Answered> {
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes())).boxed();
        let answer = self.0.clone().send_request(request.body(body).unwrap()).await?;
        let (head, body) = answer.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap();
        Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// The same request by the relay and by pingora.
    async fn both(&self, request: impl Fn() -> Builder, body: &str) -> [Answered; 2] {
        let relayed = self.send(request(), body).await;
        [relayed, self.send(request().header("te", "trailers"), body).await]
    }
}

fn get(path: &str) -> Builder {
    Request::get(format!("http://{HOST}{path}"))
}

#[tokio::test]
async fn both_ways_answer_alike() {
    let answers = ANSWERS.map(|(path, said)| (path, said.to_owned()));
    let (platform, script, server) = follows(&[PLAINTEXT[0], ("THREADS", "1")], answers).await;
    let client = Client::new(&platform).await;
    for (path, _) in ANSWERS {
        let method = if path == "/head" { Method::HEAD } else { Method::GET };
        let [relayed, by_pingora] = client.both(|| get(path).method(method.clone()), "").await;
        assert_eq!(
            (relayed.status, &relayed.body),
            (by_pingora.status, &by_pingora.body),
            "{path}"
        );
        for name in ["content-length", "transfer-encoding", "x-a", "etag", "connection"] {
            let of = |answered: &Answered| answered.headers.get(name).cloned();
            assert_eq!(of(&relayed), of(&by_pingora), "{name} of {path}");
        }
        for name in ["date", "x-request-id"] {
            assert_eq!(relayed.headers.get_all(name).iter().count(), 1, "{name} of {path}");
        }
        assert_eq!(script.asked(path), 2, "{path}");
    }
    // One connection that the relay keeps serves both versions, on one thread.
    let connections = server.connections();
    for path in ["/length", "/odd", "/chunked", "/nothing", "/same", "/hinted"] {
        let status = platform.get(HOST, path).status().await;
        assert_eq!(client.send(get(path), "").await.status, status, "{path}");
    }
    assert_eq!(server.connections(), connections);
}

/// Tells what it was sent.
async fn tells(request: Request<Incoming>) -> http::Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let lines = head.headers.iter().filter(|(name, _)| {
        !matches!(name.as_str(), "x-request-id" | "traceparent" | "te" | "connection")
    });
    let mut lines: Vec<_> =
        lines.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    let told = json!({
        "method": head.method.as_str(), "target": head.uri.to_string(), "lines": lines,
        "body": String::from_utf8_lossy(&body),
    });
    http::Response::new(Full::new(Bytes::from(told.to_string())).boxed())
}

#[tokio::test]
async fn both_ways_tell_the_upstream_alike() {
    let platform = Platform::start_with(&PLAINTEXT).await;
    let server = Server::start(|stream| serve_http1(stream, tells)).await;
    let limits = json!({"request_body_bytes": 200_000});
    platform.tenant("open", json!({"auth": "none", "limits": limits})).await;
    upstream(&platform, &json!({"endpoints": [{"address": server.address()}]})).await;
    let client = Client::new(&platform).await;
    let long = "x".repeat(100_000);
    let cases: [(&dyn Fn() -> Builder, &str); 7] = [
        (&|| get("/a%20b?c=/d"), ""),
        (&|| get("/").header("cookie", "a=1").header("cookie", "b=2").header("cookie", "c=3"), ""),
        (
            &|| {
                let forged = ["x-tenant-id", "x_tenant_slug", "x-forwarded-for", "forwarded"];
                forged.iter().fold(get("/"), |request, name| request.header(*name, "evil"))
            },
            "",
        ),
        (&|| get("/").header("host", HOST).header("x-twice", "1").header("x-twice", "2"), ""),
        (&|| get("/").method("POST").header("x-empty", ""), "hello"),
        (&|| get("/").method("PUT"), &long[..60_000]),
        (&|| get("/").method("PUT"), &long),
    ];
    for (place, (request, body)) in cases.into_iter().enumerate() {
        let [relayed, by_pingora] = client.both(request, body).await;
        assert_eq!((relayed.status, by_pingora.status), (200, 200), "{place}");
        let told = |answered: Answered| -> Value { serde_json::from_str(&answered.body).unwrap() };
        let (relayed, by_pingora) = (told(relayed), told(by_pingora));
        assert_eq!(relayed, by_pingora, "{place}");
        assert_eq!(relayed["body"], body, "{place}");
        assert!(!relayed["lines"].to_string().contains("evil"), "{relayed}");
    }
    let refused = client.send(get("/").method("POST"), &"x".repeat(200_001)).await;
    assert_eq!(refused.status, 413);
}

/// Requests of one connection are decided beside each other, and what pingora goes on with is its own.
#[tokio::test]
async fn what_is_begun_stays_with_its_stream() {
    let platform = Platform::start_with(&PLAINTEXT).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform.tenant("shut", json!({"auth": "api_key"})).await;
    let client = Client::new(&platform).await;
    let requests = (0..200).map(|number| {
        let (host, status) =
            [("open.example", 200), ("shut.example", 401), ("nobody.example", 404)][number % 3];
        let request = Request::get(format!("http://{host}/{number}"));
        let sent = client.send(request, "");
        async move { (status, sent.await) }
    });
    let mut by_id = BTreeMap::new();
    for (status, answered) in futures::future::join_all(requests).await {
        assert_eq!(answered.status, status, "{:?}", answered.body);
        let id = answered.headers["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(by_id.insert(id, status), None, "an id is of one request");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello".to_owned();
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned();
    let noise = "HTTP/1.1 what?\r\n\r\n".to_owned();
    let lines = [("/cut-close", cut), ("/chunk-close", chunk), ("/noise", noise)];
    let (platform, _, _server) = follows(&PLAINTEXT, lines).await;
    let client = Client::new(&platform).await;
    for path in ["/cut-close", "/chunk-close"] {
        let request = get(path).body(Full::new(Bytes::new()).boxed()).unwrap();
        let answer = client.0.clone().send_request(request).await.unwrap();
        // The head is not lost, and what came is not taken for all there is.
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.into_body().collect().await.is_err(), "{path}");
    }
    for answered in client.both(|| get("/noise").method("HEAD"), "").await {
        assert_eq!((answered.status, answered.body.as_str()), (502, ""));
    }
    let answered = client.send(get("/noise"), "").await;
    assert!(answered.status == 502 && answered.body.contains("upstream-failed"));
}

/// A server that reads a request and says nothing, and tells when the connection is closed.
#[tokio::test]
async fn a_stream_that_is_reset_asks_for_nothing_more() {
    let (asked, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = {
        let (asked, closed) = (Arc::clone(&asked), Arc::clone(&closed));
        Server::start(move |mut stream: TcpStream| {
            let (asked, closed) = (Arc::clone(&asked), Arc::clone(&closed));
            async move {
                let mut scrap = [0; 4096];
                if !matches!(stream.read(&mut scrap).await, Ok(1..)) {
                    return;
                }
                asked.notify_one();
                while matches!(stream.read(&mut scrap).await, Ok(1..)) {}
                closed.notify_one();
            }
        })
        .await
    };
    let platform = Platform::start_with(&PLAINTEXT).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    upstream(&platform, &json!({"endpoints": [{"address": server.address()}]})).await;
    let client = Client::new(&platform).await;
    let request = tokio::spawn(async move { client.send(get("/"), "").await });
    asked.notified().await;
    request.abort();
    let closed = tokio::time::timeout(DEADLINE, closed.notified()).await;
    closed.expect("the upstream is not waited for any longer");
    eventually("nothing is in flight", async || {
        (platform.metric("tenantry_in_flight_requests{tenant=\"open\"}").await? == 0).then_some(())
    })
    .await;
}

/// A body that comes in pieces is waited for by pingora, which gets what was here already too.
#[tokio::test]
async fn a_body_that_is_late_comes_whole() {
    let asked = Arc::new(Notify::new());
    let server = {
        let asked = Arc::clone(&asked);
        let tells = move |request| {
            asked.notify_one();
            tells(request)
        };
        Server::start(move |stream| serve_http1(stream, tells.clone())).await
    };
    let platform = Platform::start_with(&PLAINTEXT).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    upstream(&platform, &json!({"endpoints": [{"address": server.address()}]})).await;
    let client = Client::new(&platform).await;
    // The second piece is there once the upstream has been asked.
    let pieces =
        futures::stream::iter(["hello ", "world"]).enumerate().then(move |(place, piece)| {
            let asked = Arc::clone(&asked);
            async move {
                if place > 0 {
                    asked.notified().await;
                }
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece.as_bytes())))
            }
        });
    let request = get("/").method("POST").header("content-length", "11");
    let request = request.body(BodyExt::boxed(StreamBody::new(pieces))).unwrap();
    let answer = client.0.clone().send_request(request).await.unwrap();
    let told = answer.into_body().collect().await.unwrap().to_bytes();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["body"], "hello world");
}

fn letters() -> impl Iterator<Item = u8> {
    (b'a'..=b'w').cycle()
}

/// A server that sends more than the client takes at once.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_it() {
    const LENGTH: usize = 3_000_000;
    let server = Server::start(async |mut stream: TcpStream| {
        let mut head = [0; 4096];
        while matches!(stream.read(&mut head).await, Ok(1..)) {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            let answer = [answer.into_bytes(), letters().take(LENGTH).collect()];
            let _ = stream.write_all(&answer.concat()).await;
        }
    })
    .await;
    let platform = Platform::start_with(&PLAINTEXT).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    upstream(&platform, &json!({"endpoints": [{"address": server.address()}]})).await;
    let client = Client::new(&platform).await;
    let answers = (0..4).map(|_| client.send(get("/"), ""));
    for answered in futures::future::join_all(answers).await {
        let body = answered.body;
        assert_eq!(body.len(), LENGTH);
        assert!(body.bytes().eq(letters().take(LENGTH)));
    }
}
