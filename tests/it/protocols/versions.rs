//! HTTP/1.1 and HTTP/2, on either side of the gateway.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Frame, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tenantry_test_support::{Body, RawConnection, Server, serve_http1, serve_http2};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{Edge, HOST, Over, pieces, text};

/// Tells what it was sent, and sends a trailer.
async fn answer(request: Request<Incoming>) -> Response<Body> {
    let version = format!("{:?}", request.version());
    if request.method() == http::Method::HEAD {
        return text("");
    }
    let target = request.uri().path().to_owned();
    match target.rsplit('/').next().unwrap_or_default() {
        "204" => return status(204),
        "304" => return status(304),
        _ => {}
    }
    let names: Vec<String> = request.headers().keys().map(ToString::to_string).collect();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let told = json!({
        "version": version, "target": target, "headers": names,
        "body": String::from_utf8_lossy(&body),
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let frames = [Frame::data(Bytes::from(told.to_string())), Frame::trailers(trailers)];
    let frames = futures::stream::iter(frames.map(Ok::<_, std::convert::Infallible>));
    let mut response = Response::new(http_body_util::StreamBody::new(frames).boxed());
    response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
    response
}

fn status(status: u16) -> Response<Body> {
    let mut response = text("");
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("etag", "\"1\"".parse().unwrap());
    response
}

/// A platform with `/http1` and `/http2`, each to a server that speaks it.
async fn edge() -> (Edge, [Server; 2]) {
    let edge = Edge::start().await;
    let old = Server::start(|stream| serve_http1(stream, answer)).await;
    let new = Server::start(|stream| serve_http2(stream, answer)).await;
    edge.route("http1", &old, json!({})).await;
    edge.route("http2", &new, json!({"protocol": "http2"})).await;
    (edge, [old, new])
}

/// Sends a body of unknown length by a version of HTTP.
async fn send(edge: &Edge, over: Over, protocol: &str, path: &str) -> Response<Incoming> {
    let io = TokioIo::new(edge.connect(over, protocol).await);
    let request = |uri: String| {
        let request = Request::post(uri).header("te", "trailers");
        request.body(pieces(&["abc", "de", "fgh"])).unwrap()
    };
    if protocol == "h2" {
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        client.send_request(request(format!("https://{HOST}{path}"))).await.unwrap()
    } else {
        let (mut client, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let mut request = request(path.to_owned());
        request.headers_mut().insert("host", HOST.parse().unwrap());
        client.send_request(request).await.unwrap()
    }
}

#[tokio::test]
async fn each_version_reaches_each() {
    let (edge, _servers) = edge().await;
    for (over, protocol) in
        [(Over::Plain, "http/1.1"), (Over::Plain, "h2"), (Over::Tls, "http/1.1"), (Over::Tls, "h2")]
    {
        for (up, version) in [("/http1/x", "HTTP/1.1"), ("/http2/x", "HTTP/2.0")] {
            let response = send(&edge, over, protocol, up).await;
            assert_eq!(response.status(), 200, "{over:?} {protocol} {up}");
            assert!(response.headers().contains_key("x-request-id"));
            let body = response.into_body().collect().await.unwrap();
            let trailers = body.trailers().cloned();
            let told: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
            assert_eq!(
                (&told["version"], &told["target"], &told["body"]),
                (&json!(version), &json!(up), &json!("abcdefgh")),
                "{over:?} {protocol}"
            );
            // A trailer is passed on where both sides have room for it behind the body.
            let passed = trailers.is_some_and(|trailers| trailers.contains_key("x-sum"));
            assert_eq!(
                passed,
                protocol == "h2" && version == "HTTP/2.0",
                "{over:?} {protocol} {up}"
            );
        }
    }
}

#[tokio::test]
async fn the_version_is_agreed_on_in_the_handshake() {
    let edge = Edge::start().await;
    let client = edge.tls_client();
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = client.connect(HOST, offered).await.unwrap();
        let agreed = stream.get_ref().1.alpn_protocol();
        assert_eq!(agreed, chosen.map(str::as_bytes), "{offered:?}");
    }
    assert!(client.connect(HOST, &["smtp"]).await.is_err(), "neither is spoken");
}

/// What curl says of a request: the version it got an answer in, and the status.
async fn curl(edge: &Edge, arguments: &[&str]) -> (String, Value) {
    let authority = edge.platform.path("authority.pem");
    std::fs::write(&authority, edge.authority.pem()).unwrap();
    let (plain, tls) = (edge.platform.clients(), edge.platform.tls_clients());
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"])
        .args(["--connect-to", &format!("{HOST}:80:{plain}")])
        .args(["--connect-to", &format!("{HOST}:443:{tls}")])
        .args(["--write-out", "\n%{http_version} %{http_code}"])
        .arg("--cacert")
        .arg(&authority)
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let (body, told) = printed.rsplit_once('\n').unwrap();
    (told.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn curl_speaks_each_version() {
    let (edge, _servers) = edge().await;
    let (plain, tls) = (format!("http://{HOST}/http1/c"), format!("https://{HOST}/http1/c"));
    for (arguments, told) in [
        (&["--http1.1", &plain][..], "1.1 200"),
        (&["--http2-prior-knowledge", &plain], "2 200"),
        (&["--http1.1", &tls], "1.1 200"),
        (&["--http2", &tls], "2 200"),
        (&["--http2", "--data", "a=b", &tls], "2 200"),
    ] {
        assert_eq!(curl(&edge, arguments).await.0, told, "{arguments:?}");
    }
    // It asks to switch to HTTP/2 in the middle of HTTP/1.1, which was withdrawn (RFC 9113, section 3.1).
    for body in [&[][..], &["--data", "a=b"]] {
        let (told, seen) = curl(&edge, &[&["--http2", plain.as_str()], body].concat()).await;
        assert_eq!(told, "1.1 200");
        let headers = seen["headers"].as_array().unwrap();
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(!headers.contains(&json!(name)), "{name} reached the origin: {seen}");
        }
    }
}

#[tokio::test]
async fn answers_without_a_body_end_where_they_end() {
    let (edge, _servers) = edge().await;
    for up in ["http1", "http2"] {
        let mut connection = RawConnection::open(edge.platform.clients()).await;
        for (method, path, expected) in
            [("GET", "204", 204), ("GET", "304", 304), ("HEAD", "x", 200)]
        {
            connection
                .send(format!("{method} /{up}/{path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
                .await;
            let answer = connection.answer().await;
            let answer = answer.unwrap_or_else(|| panic!("{method} /{up}/{path}: no answer"));
            assert_eq!((answer.status, answer.body.as_str()), (expected, ""), "{up} {path}");
            assert!(!answer.headers.contains_key("transfer-encoding") || method == "HEAD");
            if expected != 200 {
                assert_eq!(answer.headers["etag"], "\"1\"");
            }
        }
        let get = format!("GET /{up}/204 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        assert_eq!(connection.send(get).await.answer().await.unwrap().status, 204, "in step");
        assert_eq!(connection.rest().await, b"");
        for path in ["204", "304"] {
            let io = TokioIo::new(edge.connect(Over::Tls, "h2").await);
            let (mut client, task) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(task);
            let request = Request::get(format!("https://{HOST}/{up}/{path}"));
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let response = client.send_request(request).await.unwrap();
            assert_eq!(response.status().as_str(), path);
            assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
    }
}

/// The length that a `HEAD` tells is the one that a `GET` would have.
#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() {
    let edge = Edge::start().await;
    let server = Server::start(|stream| serve_http1(stream, async |_| text("twelve bytes"))).await;
    edge.route("text", &server, json!({})).await;
    let mut connection = RawConnection::open(edge.platform.clients()).await;
    connection
        .send(format!("HEAD /text HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"))
        .await;
    let rest = String::from_utf8(connection.rest().await).unwrap().to_ascii_lowercase();
    assert!(rest.starts_with("http/1.1 200") && rest.contains("content-length: 12\r\n"), "{rest}");
    assert!(rest.ends_with("\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn early_hints_come_before_the_answer_and_only_where_they_are_understood() {
    let edge = Edge::start().await;
    let server = Server::start(|mut stream| async move {
        use tokio::io::AsyncReadExt as _;
        let mut request = [0; 4096];
        while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
            let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
                HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    edge.route("hints", &server, json!({})).await;
    for version in ["1.1", "1.0"] {
        let mut connection = RawConnection::open(edge.platform.clients()).await;
        let get = format!("GET /hints HTTP/{version}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        let answer = String::from_utf8(connection.send(get).await.rest().await).unwrap();
        let hinted = answer.starts_with("HTTP/1.1 103");
        assert_eq!(hinted, version == "1.1", "{answer}");
        assert_eq!(answer.matches(" 200 OK\r\n").count(), 1, "{answer}");
        assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    }
    let client = edge.tls_client();
    assert_eq!(client.get(HOST, "/hints").send().await.body, "ok");
}
