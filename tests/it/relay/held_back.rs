//! What a tenant's bandwidth holds back is not sent for somebody who has gone meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::json;
use tenantry_test_support::{Platform, RawConnection, Server, eventually};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::{HOST, PLAINTEXT, upstream};
use crate::connections::frames::{PREFACE, frame};

#[tokio::test]
async fn a_stream_that_is_reset_while_it_is_held_back_is_not_sent() {
    // POST / of 12,000 bytes (RFC 7541, section 6).
    let head = b"\x83\x86\x84\x01\x0copen.example\x0f\x0d\x0512000";
    let (settings, head) = (frame(4, 0, 0, &[]), frame(1, 4, 1, head));
    let request = [PREFACE, &settings, &head, &frame(0, 1, 1, &[b'x'; 12_000])].concat();
    held_back_is_not_sent(&request, async |mut client| {
        client.send(frame(3, 0, 1, &[0, 0, 0, 8])).await;
        Some(client)
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_held_back_is_not_sent_for_a_client_that_has_closed() {
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1500\r\n\r\n");
    let request = [head.as_bytes(), &[b'x'; 1500]].concat();
    held_back_is_not_sent(&request, async |client| {
        drop(client);
        None
    })
    .await;
}

/// Sends a request that is held back, and leaves.
async fn held_back_is_not_sent(
    request: &[u8],
    leave: impl AsyncFnOnce(RawConnection) -> Option<RawConnection>,
) {
    let (asked, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let server = {
        let (asked, ended) = (Arc::clone(&asked), Arc::clone(&ended));
        Server::start(move |mut stream: TcpStream| {
            let (asked, ended) = (Arc::clone(&asked), Arc::clone(&ended));
            async move {
                let mut came = Vec::new();
                let _ = stream.read_to_end(&mut came).await;
                asked.fetch_add(u64::from(!came.is_empty()), Ordering::Relaxed);
                ended.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await
    };
    // With one thread the body of a request is there before the request is looked at, if they come together.
    let platform = Platform::start_with(&[PLAINTEXT[0], ("THREADS", "1")]).await;
    // Held back for longer than anything here is waited for.
    let limits = json!({"request_bytes_per_second": 10});
    platform.tenant("open", json!({"auth": "none", "limits": limits})).await;
    upstream(&platform, &json!({"endpoints": [{"address": server.address()}]})).await;
    let in_flight = async |expected: u64| {
        eventually("so many are in flight", async || {
            let name = "tenantry_in_flight_requests{tenant=\"open\"}";
            (platform.metric(name).await? == expected).then_some(())
        })
        .await;
    };
    let mut client = RawConnection::open(platform.clients()).await;
    client.send(request).await;
    in_flight(1).await;
    let _left = leave(client).await;
    in_flight(0).await;
    // Connections are seen in their order: what came before this one has been seen when this one has.
    drop(TcpStream::connect(server.address()).await.unwrap());
    eventually("the server has seen the end of all it was sent", async || {
        let ended = ended.load(Ordering::Relaxed);
        (ended > 0 && ended == server.connections()).then_some(())
    })
    .await;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}
