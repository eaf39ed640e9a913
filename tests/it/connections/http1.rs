//! HTTP/1 as bytes.

use serde_json::json;
use tenantry_test_support::{Platform, RawConnection};

const HOST: &str = "Host: open.example\r\n";

async fn open_platform() -> Platform {
    let platform = Platform::start().await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform
}

#[tokio::test]
async fn heads_that_can_be_read_in_two_ways_are_refused_with_a_problem() {
    let platform = open_platform().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    for bad in [
        format!("GET / HTTP/1.1\n{HOST}\r\n"),
        "GET / HTTP/1.1\r\nHost: open.example\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\n{HOST}\n"),
        format!("GET / HTTP/1.1\r\n{HOST}x: a\r\n folded\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{HOST}x : a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{HOST}x: a\rb\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{HOST}x: a\0b\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{HOST}{HOST}\r\n"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "GET /\r\n".to_owned(),
        format!("GET / HTTP/0.9\r\n{HOST}\r\n"),
        format!("GET / HTTP/2.0\r\n{HOST}\r\n"),
        format!("GET / HTTP/3\r\n{HOST}\r\n"),
        format!("GET http://open.example/ HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET http://evil.example/ HTTP/1.1\r\n{HOST}\r\n"),
        format!("CONNECT open.example:443 HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET * HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET @evil/ HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET evil:80 HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET /a b HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET /a#b HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET /a?b#c HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET /a?\x01 HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET /a\tb HTTP/1.1\r\n{HOST}\r\n"),
        format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n{chunked}\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{HOST}{chunked}Content-Length: 3\r\n\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 3, 3\r\n\r\nabc"),
        format!("POST / HTTP/1.1\r\n{HOST}Content-Length: x\r\n\r\nabc"),
        format!("POST / HTTP/1.1\r\n{HOST}{chunked}{chunked}\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: identity\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.0\r\n{HOST}{chunked}\r\n0\r\n\r\n"),
    ] {
        let mut connection = RawConnection::open(platform.clients()).await;
        let answer = connection.send(&bad).await.answer().await;
        let answer = answer.unwrap_or_else(|| panic!("{bad:?} was not answered"));
        assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{bad:?}");
        assert!(answer.headers.contains_key("x-request-id"));
        assert_eq!(connection.rest().await, b"", "{bad:?}: the connection is closed");
    }
    assert_eq!(platform.origin.served(), 0, "none of it reached the origin");
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_order() {
    let platform = open_platform().await;
    let mut connection = RawConnection::open(platform.clients()).await;
    connection
        .send(format!(
            "GET /1 HTTP/1.1\r\n{HOST}\r\n\
             POST /2 HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc\
             GET /3 HTTP/1.1\r\n{HOST}\r\n\
             GET /4 HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
        ))
        .await;
    for path in ["/1", "/2", "/3", "/4"] {
        let answer = connection.answer().await.unwrap();
        assert!(answer.body.contains(&format!("\"target\":\"{path}\"")), "{path}: {}", answer.body);
    }
    assert_eq!(connection.rest().await, b"");
    assert_eq!(platform.origin.served(), 4);
}

#[tokio::test]
async fn what_follows_a_request_is_a_request_of_its_own() {
    let platform = open_platform().await;
    let mut connection = RawConnection::open(platform.clients()).await;
    // The second is hidden from a reader that takes the first's length for more or less than it is.
    connection
        .send(format!("POST /a HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n{HOST}\r\n"))
        .await;
    assert!(connection.answer().await.unwrap().body.contains("\"body_bytes\":5"));
    assert!(connection.answer().await.unwrap().body.contains("\"target\":\"/b\""));
}

#[tokio::test]
async fn options_of_the_server_as_a_whole() {
    let platform = open_platform().await;
    let mut connection = RawConnection::open(platform.clients()).await;
    let answer = connection.send(format!("OPTIONS * HTTP/1.1\r\n{HOST}\r\n")).await.answer().await;
    let answer = answer.unwrap();
    assert!(answer.status == 200 && answer.body.contains("\"target\":\"*\""), "{answer:?}");
}
