//! The short way of plain requests, beside the way with pingora: what a client gets is the same.

mod held_back;
mod http2;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tenantry_test_support::{
    Answer, Authority, DEADLINE, Platform, RawConnection, Server, TlsClient, eventually,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::tls::upload;

const HOST: &str = "open.example";

/// Answers of all kinds.
const ANSWERS: [(&str, &str); 11] = [
    ("/length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"),
    ("/odd", "HTTP/1.1 299 Odd\r\nContent-Length : 5\r\ncontent-length: 5, 5\r\n\r\nhello"),
    (
        "/chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nTrailer: X-T\r\n\r\n\
             3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\n",
    ),
    (
        "/nominated",
        "HTTP/1.1 200 OK\r\nConnection: X-A, Keep-Alive, Content-Length\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("/until-close", "HTTP/1.1 200 OK\r\n\r\nhello"),
    (
        "/coded-close",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    ("/old-close", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("/nothing", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("/same", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n"),
    (
        "/hinted",
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("/head", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
];

const PLAINTEXT: [(&str, &str); 1] = [("HTTP2__PLAINTEXT", "true")];

/// What a server says at a path, byte for byte, and how often it was asked.
#[derive(Default)]
struct Script {
    lines: BTreeMap<&'static str, String>,
    asked: Mutex<BTreeMap<String, u64>>,
}

impl Script {
    fn asked(&self, path: &str) -> u64 {
        self.asked.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    /// Reads requests without bodies and says what stands in the script. A path that contains `close` ends the connection.
    async fn speak(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut path = None;
            loop {
                let mut line = String::new();
                match stream.read_line(&mut line).await {
                    Ok(1..) if line == "\r\n" => break,
                    Ok(1..) => path = path.or(line.split(' ').nth(1).map(str::to_owned)),
                    _ => return,
                }
            }
            let path = path.unwrap();
            let (said, closes) = (self.lines.get(path.as_str()), path.contains("close"));
            let said = said.cloned().unwrap_or_default();
            *self.asked.lock().unwrap().entry(path).or_default() += 1;
            if stream.write_all(said.as_bytes()).await.is_err() || closes {
                return;
            }
        }
    }
}

/// A platform in front of a server that follows a script.
async fn follows(
    settings: &[(&str, &str)],
    lines: impl IntoIterator<Item = (&'static str, String)>,
) -> (Platform, Arc<Script>, Server) {
    let script = Arc::new(Script { lines: lines.into_iter().collect(), ..Script::default() });
    let for_connections = Arc::clone(&script);
    let server = Server::start(move |stream| Arc::clone(&for_connections).speak(stream)).await;
    let platform = Platform::start_with(settings).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    upstream(&platform, &json!({"endpoints": [{"address": server.address()}]})).await;
    (platform, script, server)
}

async fn upstream(platform: &Platform, changes: &Value) {
    let changed = platform.api().upstreams().patch("main", changes, None).await.unwrap();
    platform.enforced(changed.revision).await;
}

/// The same request by the relay and by pingora, which is asked for what the relay leaves alone.
async fn both(platform: &Platform, method: &http::Method, path: &str) -> [Answer; 2] {
    let request = || platform.request(method.clone(), HOST, path);
    [request().send().await, request().header("te", "trailers").send().await]
}

#[tokio::test]
async fn both_ways_answer_alike() {
    let paths = ANSWERS.map(|(path, _)| path);
    let answers = ANSWERS.map(|(path, said)| (path, said.to_owned()));
    let (platform, script, server) = follows(&[], answers).await;
    for path in paths {
        let method = if path == "/head" { http::Method::HEAD } else { http::Method::GET };
        let [relayed, by_pingora] = both(&platform, &method, path).await;
        assert_eq!(
            (relayed.status, &relayed.body),
            (by_pingora.status, &by_pingora.body),
            "{path}"
        );
        for name in ["content-length", "transfer-encoding", "x-a", "etag", "connection"] {
            assert_eq!(relayed.header(name), by_pingora.header(name), "{name} of {path}");
        }
        assert_eq!(script.asked(path), 2, "{path}");
    }
    // Each way keeps the connections that can be kept.
    let closed = 2 * paths.iter().filter(|path| path.contains("close")).count() as u64;
    assert_eq!(server.connections(), 2 + closed);
    let name = "tenantry_upstream_requests_total{upstream=\"main\",outcome=\"answered\"}";
    assert_eq!(platform.metric(name).await, Some(2 * paths.len() as u64));
}

#[tokio::test]
async fn an_answer_may_have_many_lines() {
    let many =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{}\r\nhello", "A: b\r\n".repeat(200));
    let (platform, _, _server) = follows(&[], [("/", many)]).await;
    let mut client = RawConnection::open(platform.clients()).await;
    for more in ["", "TE: trailers\r\n"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{more}");
    }
}

#[tokio::test]
async fn what_is_of_the_upstreams_connection_goes_no_further() {
    let head = "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\
                Upgrade: h2c\r\nProxy-Connection: a\r\nTrailer: b\r\nx-request-id: theirs\r\nX-End: 2\r\n";
    let answer = format!("{head}Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
    let bare = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (platform, _, _server) = follows(&[], [("/", answer), ("/bare", bare)]).await;
    let answer = platform.get(HOST, "/").send().await;
    for name in ["x-hop", "keep-alive", "upgrade", "proxy-connection", "trailer"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!((answer.header("x-end"), answer.header("connection")), ("2", "keep-alive"));
    assert_eq!(answer.header("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(answer.headers.get_all("x-request-id").iter().count(), 1);
    assert_eq!(answer.header("x-request-id").len(), 32);
    // RFC 9110, section 6.6.1: whoever passes an answer on says when it came, if nobody else does.
    assert_ne!(platform.get(HOST, "/bare").send().await.header("date"), "");
    let edits = json!({"response_headers": {"set": {"Date": "never"}, "remove": ["X-End"]}});
    let route = platform.api().routes().patch("all", &edits, None).await.unwrap();
    platform.enforced(route.revision).await;
    let answer = platform.get(HOST, "/").send().await;
    let dates: Vec<_> = answer.headers.get_all("date").iter().collect();
    assert!(dates == ["never"] && answer.header("x-end").is_empty(), "{dates:?}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_understood_is_none() {
    let settings = [("ACCESS_LOG__ENABLED", "true"), ("ACCESS_LOG__PATH", "data/access.log")];
    let bad = [
        ("/noise", "what?\r\n\r\n"),
        ("/lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("/chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmalformed"),
        (
            "/switch",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
        ),
        ("/close", "HTTP/1.1 200"),
    ];
    let (platform, _, _server) =
        follows(&settings, bad.map(|(path, said)| (path, said.to_owned()))).await;
    for (path, _) in bad {
        let answer = platform.get(HOST, path).send().await;
        assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream-failed"), "{path}");
        let id = answer.header("x-request-id").to_owned();
        let line = eventually("the request's line is written", async || {
            let log = std::fs::read_to_string(platform.path("data/access.log")).unwrap_or_default();
            log.lines().find(|line| line.contains(&id)).map(str::to_owned)
        });
        let line: Value = serde_json::from_str(&line.await).unwrap();
        assert_eq!((&line["status"], &line["blame"]), (&json!(502), &json!("upstream")), "{path}");
        assert!(line["error"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn what_was_hinted_at_is_not_asked_again() {
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".to_owned();
    let busy = format!("{hint}HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let lines = [("/close", hint), ("/busy", busy), ("/silent-close", String::new())];
    let (platform, script, _server) = follows(&[], lines).await;
    let mut client = RawConnection::open(platform.clients()).await;
    client.send(format!("GET /close HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert_eq!(client.answer().await.unwrap().status, 103);
    assert_eq!(client.answer().await.unwrap().status, 502);
    assert_eq!(script.asked("/close"), 1);
    // Nor is it for its status, where others are.
    upstream(&platform, &json!({"retries": {"attempts": 2, "statuses": [503]}})).await;
    let mut client = RawConnection::open(platform.clients()).await;
    client.send(format!("GET /busy HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert_eq!(client.answer().await.unwrap().status, 103);
    assert_eq!(client.answer().await.unwrap().status, 503);
    assert_eq!(script.asked("/busy"), 1);
    // Where nothing was said it is asked again, and a POST is not.
    assert_eq!(platform.get(HOST, "/silent-close").status().await, 502);
    assert_eq!(script.asked("/silent-close"), 3);
    let post = platform.request(http::Method::POST, HOST, "/silent-close").send().await;
    assert_eq!((post.status, script.asked("/silent-close")), (502, 4));
}

/// A tenant's bandwidth makes the proxy slow, so that there is always more to be read: time goes by all the same.
#[tokio::test]
async fn an_answer_that_flows_for_ever_ends_with_its_time() {
    let server = Server::start(async |mut stream: TcpStream| {
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await;
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let platform = Platform::start().await;
    let limits = json!({"response_bytes_per_second": 1_000_000});
    platform.tenant("open", json!({"auth": "none", "limits": limits})).await;
    let endpoints = json!([{"address": server.address()}]);
    upstream(&platform, &json!({"endpoints": endpoints, "timeouts": {"total_ms": 300}})).await;
    let answer = tokio::time::timeout(DEADLINE, platform.get(HOST, "/").try_send()).await.unwrap();
    assert!(answer.is_err(), "it is cut");
}

/// TLS keeps what the socket does not take, and nothing comes after the end that would push it out.
#[tokio::test]
async fn the_end_of_an_answer_is_not_kept_back() {
    let server = Server::start(async |mut stream: TcpStream| {
        let mut head = [0; 1024];
        while matches!(stream.read(&mut head).await, Ok(1..)) {
            let text = String::from_utf8_lossy(&head).into_owned();
            let length: usize = text.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let answer = [answer.into_bytes(), vec![b'x'; length]].concat();
            let _ = stream.write_all(&answer).await;
        }
    })
    .await;
    let platform = Platform::start().await;
    platform.tenant("open", json!({"auth": "none"})).await;
    upstream(&platform, &json!({"endpoints": [{"address": server.address()}]})).await;
    let authority = Authority::new("test");
    let issued = authority.server(&[HOST]);
    upload(&platform, &issued, json!({"default": true})).await;
    let client = TlsClient::http1(platform.tls_clients(), &authority, None);
    for length in (1..=40).map(|step| step * 100_000) {
        let mut stream = client.connect(HOST, &["http/1.1"]).await.unwrap();
        let get = format!("GET /{length} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        stream.write_all(get.as_bytes()).await.unwrap();
        // The proxy has time to write all that the socket takes, before anything is read.
        for _ in 0..10 {
            assert_eq!(platform.get(HOST, "/1").status().await, 200);
        }
        let (mut got, mut scrap) = (0, vec![0; 1 << 16]);
        while got < length {
            let read = tokio::time::timeout(DEADLINE, stream.read(&mut scrap)).await;
            let read = read.expect("all of the answer comes").unwrap();
            assert!(read > 0, "{got} of {length}");
            got += read;
        }
    }
}

/// What waits for the next request is read by one thread, and is not taken by another, which would lose it.
#[tokio::test]
async fn threads_keep_connections_of_their_own() {
    const CLIENTS: u64 = 16;
    let lines = [("/", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned())];
    let (platform, _, server) = follows(&[("THREADS", "4")], lines).await;
    let ask = async |by: &str| {
        let mut client = RawConnection::open(platform.clients()).await;
        for _ in 0..100 {
            client.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{by}\r\n")).await;
            assert_eq!(client.answer().await.unwrap().status, 200);
        }
    };
    for (by, connections) in [("", CLIENTS), ("TE: trailers\r\n", 2 * CLIENTS)] {
        futures::future::join_all((0..CLIENTS).map(|_| ask(by))).await;
        let opened = server.connections();
        assert!(opened <= connections, "{opened} instead of {connections}: {by}");
    }
}
