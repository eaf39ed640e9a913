//! What the API itself is held to: how often, how slowly, from where it may be asked.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::server::{Server, exchange};

const LIST: &str = "GET /api/v1/tenants";

#[tokio::test(flavor = "multi_thread")]
async fn callers_have_buckets_of_their_own() {
    // The clock stands still, so nothing is earned back.
    let server = Server::configured(&[
        ("TENANTRY_API_REQUESTS_PER_SECOND", "2"),
        ("TENANTRY_API_REQUESTS_BURST", "3"),
        ("TENANTRY_ANONYMOUS_REQUESTS_PER_SECOND", "1"),
        ("TENANTRY_ANONYMOUS_REQUESTS_BURST", "2"),
    ])
    .await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(exchange(server.running.api, LIST, "", "").await.status);
    }
    assert_eq!(statuses, [401, 401, 429]);
    let first = server.send(LIST, "", "").await;
    assert_eq!(first.status, 200, "who shows a token is not held up by those who do not");
    assert_eq!(first.header("ratelimit-policy"), Some("\"requests\";q=2;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"requests\";r=2;t=1"));
    for expected in [200, 200, 429] {
        let answer = server.send(LIST, "", "").await;
        assert_eq!(answer.status, expected);
        if expected == 429 {
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.header("ratelimit"), Some("\"requests\";r=0;t=2"));
            assert!(answer.json()["type"].as_str().unwrap().ends_with(":rate-limited"));
        }
    }
    // What watches the process is never refused.
    for _ in 0..10 {
        assert_eq!(exchange(server.running.api, "GET /healthz", "", "").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_not_unless_they_are_named() {
    let ask = "Origin: https://console.example.com\r\nAccess-Control-Request-Method: PATCH\r\n\
               Access-Control-Request-Headers: authorization,idempotency-key\r\n";
    let closed = Server::start().await;
    let answer = exchange(closed.running.api, "OPTIONS /api/v1/tenants", ask, "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, None));
    let origins = [("TENANTRY_CORS_ORIGINS", "https://console.example.com, http://localhost:3000")];
    let open = Server::configured(&origins).await;
    let answer = preflight(&open, ask).await;
    assert!(
        answer.contains("access-control-allow-origin: https://console.example.com"),
        "{answer}"
    );
    assert!(answer.contains("PATCH") && answer.contains("idempotency-key"), "{answer}");
    assert!(!answer.contains("allow-credentials"), "{answer}");
    let foreign = preflight(&open, &ask.replace("console", "evil")).await;
    assert!(!foreign.contains("access-control-allow-origin"), "{foreign}");
    let answer = open.send(LIST, "Origin: http://localhost:3000\r\n", "").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
}

/// Preflights are no operations of the API.
async fn preflight(server: &Server, headers: &str) -> String {
    let head = format!(
        "OPTIONS /api/v1/tenants HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
    );
    raw(server, &head).await.to_ascii_lowercase().replace("patch", "PATCH")
}

async fn raw(server: &Server, text: &str) -> String {
    let mut stream = TcpStream::connect(server.running.api).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_slow_is_cut_off() {
    let server = Server::configured(&[
        ("TENANTRY_REQUEST_HEAD_SECONDS", "1"),
        ("TENANTRY_REQUEST_BODY_SECONDS", "1"),
    ])
    .await;
    let patience = Duration::from_secs(30);
    let token = server.running.root_token.expose();
    // Each waits for more: the connection ends because the server ends it.
    let head =
        tokio::time::timeout(patience, raw(&server, "GET /api/v1/tenants HTTP/1.1\r\nHost:")).await;
    assert!(!head.unwrap().contains("200 OK"));
    // Nothing, and what may yet become HTTP/1 or HTTP/2.
    for begun in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let ended = tokio::time::timeout(patience, raw(&server, begun)).await;
        assert!(ended.is_ok(), "{begun:?} is waited for without end");
    }
    for key in ["", "Idempotency-Key: slow\r\n"] {
        let half = format!(
            "POST /api/v1/plans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{key}\
             Content-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{"
        );
        let answer = tokio::time::timeout(patience, raw(&server, &half)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("urn:tenantry:problem:request-timeout"), "{answer}");
    }
    let long = format!("GET /api/v1/tenants?q={} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000));
    let answer = raw(&server, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"), "{answer}");
}

#[test]
fn origins_are_written_as_browsers_write_them() {
    use tenantry_control_plane::http::cors::Origin;
    for (text, is_one) in [
        ("https://console.example.com", true),
        ("http://127.0.0.1:3000", true),
        ("http://[::1]:3000", true),
        ("*", false),
        ("null", false),
        ("https://", false),
        ("https://a.example.com/", false),
        ("https://A.example.com", false),
        ("ftp://a.example.com", false),
    ] {
        assert_eq!(Origin::try_from(text.to_owned()).is_ok(), is_one, "{text}");
    }
}
