//! Clients that take their time, many at once, and those that never end what they began.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tenantry_test_support::{DEADLINE, Platform, RawConnection, eventually};
use tokio::{net::TcpStream, time::interval};

const HEAD: &str = "GET / HTTP/1.1\r\nHost: open.example\r\n";

async fn platform(settings: &[(&str, &str)]) -> Platform {
    let settings = [&[("HTTP2__PLAINTEXT", "true")], settings].concat();
    let platform = Platform::start_with(&settings).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform
}

#[tokio::test]
async fn two_hundred_heads_that_drip_keep_nobody_waiting_and_are_all_ended() {
    let platform = platform(&[("CONNECTIONS__HEAD_TIMEOUT_SECONDS", "2")]).await;
    let mut dripping = Vec::new();
    for _ in 0..200 {
        let mut connection = RawConnection::open(platform.clients()).await;
        connection.send(HEAD).await;
        dripping.push(connection);
    }
    let (mut ticks, mut served) = (interval(Duration::from_millis(50)), 0);
    let all_ended = async {
        while !dripping.is_empty() {
            ticks.tick().await;
            assert_eq!(platform.get("open.example", "/").status().await, 200);
            served += 1;
            let mut open = Vec::new();
            for mut connection in dripping.drain(..) {
                if !connection.send("x").await.is_closed().await {
                    open.push(connection);
                }
            }
            dripping = open;
        }
    };
    tokio::time::timeout(DEADLINE, all_ended).await.unwrap();
    assert!(served > 5, "others were served meanwhile: {served}");
}

#[tokio::test]
async fn a_flood_of_connections_from_one_address_leaves_room_for_others() {
    let platform =
        platform(&[("CONNECTIONS__MAX", "300"), ("CONNECTIONS__MAX_PER_CLIENT", "20")]).await;
    let mut kept = Vec::new();
    for number in 0..400 {
        kept.push(RawConnection::open_from([127, 0, 0, 2].into(), platform.clients()).await);
        if number % 40 == 0 {
            assert_eq!(platform.get("open.example", "/").status().await, 200);
        }
    }
    let name = "tenantry_connections_refused_total{bound=\"client\"}";
    eventually("all but a few are refused", async || {
        (platform.metric(name).await == Some(380)).then_some(())
    })
    .await;
    assert_eq!(platform.get("open.example", "/").status().await, 200);
}

/// Sends a body in pieces over HTTP/2.
async fn post(
    platform: &Platform,
    body: impl futures::Stream<Item = Bytes> + Send + Sync + 'static,
) -> Result<Response<Incoming>, hyper::Error> {
    let stream = TcpStream::connect(platform.clients()).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let body =
        StreamBody::new(body.map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(piece))));
    let body: BoxBody<Bytes, std::convert::Infallible> = BodyExt::boxed(body);
    let request = Request::post("http://open.example/").body(body).unwrap();
    let response = tokio::time::timeout(DEADLINE, client.send_request(request)).await;
    response.unwrap()
}

#[tokio::test]
async fn bodies_over_http2_have_a_least_rate() {
    let settings = [
        ("CONNECTIONS__BODY_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__BODY_BYTES_PER_SECOND", "1000"),
        ("UPSTREAM__READ_TIMEOUT_SECONDS", "2"),
    ];
    let platform = platform(&settings).await;
    // One failure would leave the only server out.
    let outlier = json!({"outlier": {"consecutive_failures": 1}});
    let changed = platform.api().upstreams().patch("main", &outlier, None).await.unwrap();
    platform.enforced(changed.revision).await;
    let drip = stream::unfold(interval(Duration::from_millis(50)), async |mut ticks| {
        ticks.tick().await;
        Some((Bytes::from_static(b"x"), ticks))
    });
    let silent = stream::iter([Bytes::from_static(b"x")]).chain(stream::pending());
    for answer in [post(&platform, drip).await, post(&platform, silent).await] {
        // Told, or broken off: never waited for.
        assert!(answer.as_ref().map_or(true, |answer| answer.status() == 408), "{answer:?}");
    }
    eventually("nothing is left of it", async || {
        let name = "tenantry_in_flight_requests{tenant=\"open\"}";
        (platform.metric(name).await == Some(0)).then_some(())
    })
    .await;
    assert_eq!(platform.get("open.example", "/").status().await, 200);
}
