//! Server-sent events: each comes when it is sent, not when enough have come together.

use std::sync::Arc;

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
use tenantry_test_support::{Body, DEADLINE, Server, serve_http1, serve_http2};
use tokio::sync::Semaphore;

use super::{Edge, HOST, Over, parts, text};

/// Sends the next event when it is told that the one before has arrived.
fn events(arrived: Arc<Semaphore>) -> Response<Body> {
    let events = stream::unfold(0_u64, move |number| {
        let arrived = Arc::clone(&arrived);
        async move {
            if number > 0 {
                arrived.acquire().await.unwrap().forget();
            }
            (number < 20).then(|| (Bytes::from(format!("data: {number}\n\n")), number + 1))
        }
    });
    let mut response = Response::new(parts(events));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

async fn answer(arrived: Arc<Semaphore>, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path().ends_with("/arrived") {
        arrived.add_permits(1);
        return text("");
    }
    events(arrived)
}

/// Opens the stream of events.
pub(super) async fn open(edge: &Edge, over: Over, protocol: &str, path: &str) -> Incoming {
    let io = TokioIo::new(edge.connect(over, protocol).await);
    let request = Request::get(format!("https://{HOST}{path}")).body(Empty::<Bytes>::new());
    let mut request = request.unwrap();
    let response = if protocol == "h2" {
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        client.send_request(request).await.unwrap()
    } else {
        let (mut client, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert("host", HOST.parse().unwrap());
        client.send_request(request).await.unwrap()
    };
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

/// The next event, which must be there before the one after it is sent.
pub(super) async fn next(events: &mut Incoming) -> Option<String> {
    loop {
        let frame = tokio::time::timeout(DEADLINE, events.frame()).await;
        let data = frame.unwrap()?.unwrap().into_data().unwrap();
        // The end may come as a frame of its own.
        if !data.is_empty() {
            return Some(String::from_utf8(data.to_vec()).unwrap());
        }
    }
}

/// A server of events over each version of HTTP.
pub(super) async fn server(arrived: &Arc<Semaphore>, protocol: &str) -> Server {
    let (arrived, is_http2) = (Arc::clone(arrived), protocol == "http2");
    Server::start(move |stream| {
        let arrived = Arc::clone(&arrived);
        async move {
            let answer = move |request| answer(Arc::clone(&arrived), request);
            if is_http2 {
                serve_http2(stream, answer).await;
            } else {
                serve_http1(stream, answer).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let edge = Edge::start().await;
    let arrived = Arc::new(Semaphore::new(0));
    let servers = [server(&arrived, "http1").await, server(&arrived, "http2").await];
    for (id, server) in ["http1", "http2"].into_iter().zip(&servers) {
        edge.route(id, server, json!({"protocol": id})).await;
    }
    for (over, protocol) in [(Over::Plain, "http/1.1"), (Over::Tls, "http/1.1"), (Over::Tls, "h2")]
    {
        for up in ["http1", "http2"] {
            let mut events = open(&edge, over, protocol, &format!("/{up}/events")).await;
            for number in 0..20 {
                assert_eq!(next(&mut events).await, Some(format!("data: {number}\n\n")));
                let told = edge.platform.get(HOST, &format!("/{up}/arrived"));
                assert_eq!(told.status().await, 200);
            }
            assert_eq!(next(&mut events).await, None, "{over:?} {protocol} {up}");
        }
    }
}
