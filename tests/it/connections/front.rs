//! Who the client is, when a proxy stands in front.

use serde_json::json;
use tenantry_test_support::{Platform, RawConnection};

const GET: &str = "GET / HTTP/1.1\r\nHost: open.example\r\n";

async fn platform(settings: &[(&str, &str)]) -> Platform {
    let platform = Platform::start_with(settings).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform
}

/// What the origin was told, or nothing if the connection was closed.
async fn told(platform: &Platform, from: [u8; 4], bytes: &[u8]) -> Option<serde_json::Value> {
    let mut connection = RawConnection::open_from(from.into(), platform.clients()).await;
    let answer = connection.send(bytes).await.answer().await?;
    let echo: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    Some(echo["headers"].clone())
}

#[tokio::test]
async fn forwarded_headers_are_believed_from_trusted_proxies_only() {
    let platform =
        platform(&[("CONNECTIONS__TRUSTED_PROXIES", "[\"127.0.0.2/32\", \"10.0.0.0/8\"]")]).await;
    let with = |headers: &str| format!("{GET}{headers}\r\n").into_bytes();
    let sent = "X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-Host: evil.example\r\nForwarded: for=203.0.113.9\r\n";
    let trusted = told(&platform, [127, 0, 0, 2], &with(sent)).await.unwrap();
    assert_eq!(trusted["x-forwarded-for"], "198.51.100.7");
    assert_eq!(trusted["x-forwarded-proto"], "https");
    assert_eq!(trusted["x-forwarded-host"], "open.example");
    assert_eq!(trusted["forwarded"], serde_json::Value::Null);
    let stranger = told(&platform, [127, 0, 0, 1], &with(sent)).await.unwrap();
    assert_eq!(stranger["x-forwarded-for"], "127.0.0.1");
    assert_eq!(stranger["x-forwarded-proto"], "http");
}

#[tokio::test]
async fn the_address_that_was_found_is_the_one_that_is_enforced() {
    let platform = platform(&[("CONNECTIONS__TRUSTED_PROXIES", "[\"127.0.0.2/32\"]")]).await;
    let access = json!({"mode": "allowlist", "allow": ["198.51.100.0/24"], "deny": []});
    platform.tenant("closed", json!({"auth": "none", "access": access})).await;
    let status = async |from: [u8; 4], client: &str| {
        let mut connection = RawConnection::open_from(from.into(), platform.clients()).await;
        let request =
            format!("GET / HTTP/1.1\r\nHost: closed.example\r\nX-Forwarded-For: {client}\r\n\r\n");
        connection.send(request).await.answer().await.unwrap().status
    };
    assert_eq!(status([127, 0, 0, 2], "198.51.100.7").await, 200);
    assert_eq!(status([127, 0, 0, 2], "198.51.100.7, 203.0.113.9").await, 403);
    assert_eq!(status([127, 0, 0, 1], "198.51.100.7").await, 403);
}

#[tokio::test]
async fn proxy_headers_are_demanded_of_listed_peers_and_refused_from_others() {
    let platform = platform(&[("CONNECTIONS__PROXY_PROTOCOL_FROM", "[\"127.0.0.2/32\"]")]).await;
    let listed = [127, 0, 0, 2];
    let version_1 = format!("PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n{GET}\r\n");
    let headers = told(&platform, listed, version_1.as_bytes()).await.unwrap();
    assert_eq!(headers["x-forwarded-for"], "198.51.100.7");
    let mut version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
    version_2.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    version_2.extend([0; 16]);
    version_2.extend([0x12, 0x67, 1, 0xbb]);
    version_2.extend(format!("{GET}\r\n").into_bytes());
    let headers = told(&platform, listed, &version_2).await.unwrap();
    assert_eq!(headers["x-forwarded-for"], "2001:db8::7");
    // A health check of the proxy in front speaks for itself.
    let local = [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", format!("{GET}\r\n").as_bytes()].concat();
    let headers = told(&platform, listed, &local).await.unwrap();
    assert_eq!(headers["x-forwarded-for"], "127.0.0.2");
    assert_eq!(told(&platform, listed, format!("{GET}\r\n").as_bytes()).await, None);
    let mut stranger = RawConnection::open(platform.clients()).await;
    let answer = stranger.send(&version_1).await.answer().await.unwrap();
    assert_eq!((answer.status, answer.problem()), (400, "bad-request"));
}
