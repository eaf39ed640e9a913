//! Requests that can be read in two ways are refused, whoever sends them.

use serde_json::json;
use tenantry_test_support::Platform;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// Sends bytes as they are and returns the first line of what comes back.
async fn raw(platform: &Platform, bytes: &str) -> String {
    let mut stream = TcpStream::connect(platform.clients()).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut line = String::new();
    // Closed without an answer reads as an empty line.
    BufReader::new(stream).read_line(&mut line).await.unwrap_or_default();
    line.trim_end().to_owned()
}

#[tokio::test]
async fn what_is_ambiguous_is_refused_before_any_policy() {
    let platform = Platform::start().await;
    platform.tenant("open", json!({"auth": "none"})).await;
    let head = "Host: open.example\r\n";
    let good = raw(&platform, &format!("GET / HTTP/1.1\r\n{head}\r\n")).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    let served = platform.origin.served();
    let chunked = "Transfer-Encoding: chunked\r\n";
    for bad in [
        format!("GET / HTTP/1.1\r\n{head}{head}\r\n"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: open.example:99999\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: open.example/x\r\n\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\n{head}Content-Length: 3\r\n{chunked}\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{head}Content-Length: 3,3\r\n\r\nabc"),
        format!("POST / HTTP/1.1\r\n{head}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        format!("POST / HTTP/1.1\r\n{head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("GET http://other.example/ HTTP/1.1\r\n{head}\r\n"),
        format!("GET @other.example/ HTTP/1.1\r\n{head}\r\n"),
        format!("GET /a/../b HTTP/1.1\r\n{head}\r\n"),
        format!("GET /a/%2e%2e/b HTTP/1.1\r\n{head}\r\n"),
        format!("GET //a HTTP/1.1\r\n{head}\r\n"),
        format!("GET /a/..;x/b HTTP/1.1\r\n{head}\r\n"),
        format!("GET /a%2fb HTTP/1.1\r\n{head}\r\n"),
        format!("GET /a%00 HTTP/1.1\r\n{head}\r\n"),
        format!("GET / HTTP/1.1\r\n{head}X-API-Key: a\r\nX-API-Key: b\r\n\r\n"),
    ] {
        let answer = raw(&platform, &bad).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bad:?} was answered {answer:?}");
    }
    assert_eq!(platform.origin.served(), served, "none of it reached the origin");
}

#[tokio::test]
async fn bodies_are_bounded_announced_or_not() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({"limits": {"request_body_bytes": 1000}})).await;
    let post = || platform.request(http::Method::POST, "acme.example", "/").key(&secret);
    assert_eq!(post().body(vec![b'x'; 1000]).echo().await.body_bytes, 1000);
    let refused = post().body(vec![b'x'; 1001]).send().await;
    assert_eq!((refused.status, refused.problem().as_str()), (413, "body-too-large"));
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: acme.example\r\nX-API-Key: {secret}\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{}\r\n0\r\n\r\n",
        "x".repeat(1024)
    );
    let answer = raw(&platform, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
}

#[tokio::test]
async fn problems_are_json_or_a_page_and_have_an_id() {
    let platform = Platform::start().await;
    let json = platform.get("nobody.example", "/").send().await;
    assert_eq!((json.status, json.header("content-type")), (404, "application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(problem["type"], "urn:tenantry:problem:unknown-host");
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["request_id"], json.header("x-request-id"));
    let page =
        platform.get("nobody.example", "/").header("accept", "text/html,*/*;q=0.1").send().await;
    assert!(
        page.header("content-type").starts_with("text/html")
            && page.body.contains("There is nothing here")
    );
    let head = platform.request(http::Method::HEAD, "nobody.example", "/").send().await;
    assert_eq!((head.status, head.body.as_str()), (404, ""));
    platform.tenant("acme", json!({})).await;
    let missing = platform.get("acme.example", "/").send().await;
    assert_eq!(
        (missing.status, missing.header("www-authenticate")),
        (401, "Bearer realm=\"tenantry\"")
    );
}

#[tokio::test]
async fn an_upstream_that_is_not_there() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let api = platform.api();
    let patch = json!({"endpoints": [{"address": closed}]});
    let changed = api.upstreams().patch("main", &patch, None).await.unwrap();
    platform.enforced(changed.revision).await;
    let refused = platform.get("acme.example", "/").key(&secret).send().await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "upstream-unavailable"));
    // One endpoint that works is enough: a connection that cannot be made is tried elsewhere.
    let patch = json!({"endpoints": [{"address": closed}, {"address": platform.origin.address()}]});
    let changed = api.upstreams().patch("main", &patch, None).await.unwrap();
    platform.enforced(changed.revision).await;
    for _ in 0..6 {
        assert_eq!(platform.get("acme.example", "/").key(&secret).status().await, 200);
    }
}
