//! `Expect: 100-continue`: a body is sent when somebody wants it.

use serde_json::json;
use tenantry_test_support::{RawAnswer, RawConnection};

use super::{Edge, HOST};

async fn ask(connection: &mut RawConnection, host: &str, more: &str) -> Option<RawAnswer> {
    let head = format!("POST /x HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n{more}\r\n");
    connection.send(head).await.answer().await
}

#[tokio::test]
async fn the_body_is_called_for_and_then_sent() {
    let edge = Edge::start().await;
    for more in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut connection = RawConnection::open(edge.platform.clients()).await;
        // Nothing of the body is sent until it is called for.
        let called = ask(&mut connection, HOST, more).await.unwrap();
        assert_eq!((called.status, called.headers.len()), (100, 0));
        let body = if more.contains("chunked") { "5\r\nabcde\r\n0\r\n\r\n" } else { "abcde" };
        let answer = connection.send(body).await.answer().await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("\"body_bytes\":5"), "{}", answer.body);
    }
}

#[tokio::test]
async fn what_is_refused_is_refused_before_the_body() {
    let edge = Edge::start().await;
    edge.platform.tenant("closed", json!({})).await;
    edge.platform
        .tenant("small", json!({"auth": "none", "limits": {"request_body_bytes": 10}}))
        .await;
    for (host, length, status) in [
        ("closed.example", 5, 401),
        ("nobody.example", 5, 404),
        ("small.example", 11, 413),
        (HOST, u64::MAX / 2, 413),
    ] {
        let mut connection = RawConnection::open(edge.platform.clients()).await;
        let answer = ask(&mut connection, host, &format!("Content-Length: {length}\r\n")).await;
        assert_eq!(answer.unwrap().status, status, "{host}");
        // What a client sends next is the body that was announced, or else another request: nobody can
        // tell, so nothing more is taken on this connection.
        connection.send(format!("GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
        assert_eq!(connection.answer().await, None, "{host}");
    }
    assert_eq!(edge.platform.origin.served(), 0);
}
