//! What lasts is not cut: neither by a change, nor by a proxy that makes room for another.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tenantry_api::{CreateTenant, ReplaceCertificate};
use tenantry_test_support::{Authority, DEADLINE, Process, Server, eventually};
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::tungstenite::Message;

use super::{Edge, HOST, Over, grpc, sse, websocket};

/// The servers behind what lasts, and what lasts: opened once, used again and again.
struct Lasting {
    sockets: [websocket::Socket; 2],
    conversations: [grpc::Conversation; 2],
    events: [Incoming; 2],
    next_event: u64,
    arrived: Arc<Semaphore>,
    _servers: [Server; 3],
}

impl Lasting {
    async fn begin(edge: &Edge) -> Self {
        let arrived = Arc::new(Semaphore::new(0));
        let sockets = websocket::server(mpsc::unbounded_channel().0).await;
        let events = sse::server(&arrived, "http1").await;
        edge.route("sockets", &sockets, json!({})).await;
        edge.route("events", &events, json!({})).await;
        let calls = grpc::server(edge).await;
        let mut lasting = Self {
            sockets: [
                websocket::open(edge, Over::Plain, "/sockets").await,
                websocket::open(edge, Over::Tls, "/sockets").await,
            ],
            conversations: [
                grpc::Conversation::open(edge, Over::Plain).await,
                grpc::Conversation::open(edge, Over::Tls).await,
            ],
            events: [
                sse::open(edge, Over::Plain, "http/1.1", "/events").await,
                sse::open(edge, Over::Tls, "h2", "/events").await,
            ],
            next_event: 0,
            arrived,
            _servers: [sockets, events, calls],
        };
        lasting.goes_on().await;
        lasting
    }

    /// Everything is used once, in both directions.
    async fn goes_on(&mut self) {
        for socket in &mut self.sockets {
            websocket::echo(socket, Message::text("ping")).await;
        }
        for conversation in &mut self.conversations {
            conversation.echo("ping").await;
        }
        for events in &mut self.events {
            let expected = format!("data: {}\n\n", self.next_event);
            assert_eq!(sse::next(events).await, Some(expected));
        }
        self.next_event += 1;
        self.arrived.add_permits(self.events.len());
    }
}

#[tokio::test]
async fn no_change_cuts_what_lasts() {
    let edge = Edge::start().await;
    let mut lasting = Lasting::begin(&edge).await;
    let api = edge.platform.api();
    let renewed = Authority::new("renewed").server(&[HOST]);
    let certificate: ReplaceCertificate = tenantry_test_support::json(
        json!({"chain_pem": renewed.certificate_pem, "key_pem": renewed.key_pem}),
    );
    let revision =
        api.certificates().replace(&edge.certificate, &certificate, None).await.unwrap().revision;
    edge.platform.enforced(revision).await;
    assert!(edge.tls_client().connect(HOST, &["h2"]).await.is_err(), "the old one is gone");
    lasting.goes_on().await;
    let change = json!({"name": "Another", "limits": {"concurrent_requests": 1}});
    let revision = api.tenants().patch("open", &change, None).await.unwrap().revision;
    edge.platform.enforced(revision).await;
    lasting.goes_on().await;
    for id in ["sockets", "events", "grpc"] {
        let change = json!({"match": {"path_prefix": "/elsewhere"}, "timeouts": {"total_ms": 1}});
        let revision = api.routes().patch(id, &change, None).await.unwrap().revision;
        edge.platform.enforced(revision).await;
        lasting.goes_on().await;
    }
    let other: CreateTenant =
        tenantry_test_support::json(json!({"slug": "other", "name": "Other", "plan": "pro"}));
    let revision = api.tenants().create(&other).await.unwrap().tenant.revision;
    edge.platform.enforced(revision).await;
    lasting.goes_on().await;
    let revision = api.tenants().suspend("open", "unpaid").await.unwrap().revision;
    edge.platform.enforced(revision).await;
    lasting.goes_on().await;
}

/// A connection of HTTP/2 on which requests are made one after the other.
async fn http2_client(edge: &Edge, over: Over) -> SendRequest<Empty<Bytes>> {
    let io = TokioIo::new(edge.connect(over, "h2").await);
    let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn get(client: &mut SendRequest<Empty<Bytes>>) -> hyper::Result<Response<Incoming>> {
    let request = Request::get(format!("https://{HOST}/")).body(Empty::new()).unwrap();
    client.ready().await?;
    client.send_request(request).await
}

/// Whether the server said that it never looked at the request (RFC 9113, section 6.8): streams after the
/// last that it names.
fn was_refused(error: &hyper::Error) -> bool {
    format!("{error:?}").contains("NO_ERROR, Remote")
}

/// The process goes on for what lasts, and ends when that has ended.
async fn lasts_until_it_ends(mut lasting: Lasting, mut process: Process) {
    lasting.goes_on().await;
    assert!(!process.has_ended());
    lasting.goes_on().await;
    drop(lasting);
    let status = tokio::time::timeout(DEADLINE, process.exit()).await.unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn what_lasts_is_given_its_time_when_the_proxy_ends() {
    let mut edge = Edge::start_with(&[("SHUTDOWN_GRACE_SECONDS", "60")]).await;
    let lasting = Lasting::begin(&edge).await;
    let mut idle = [http2_client(&edge, Over::Plain).await, http2_client(&edge, Over::Tls).await];
    for client in &mut idle {
        assert_eq!(get(client).await.unwrap().status(), 200);
    }
    let process = edge.platform.take_proxy();
    process.ask_to_end();
    for client in &mut idle {
        // Told to go away, it is closed without a request having been lost.
        eventually("an idle connection is closed", async || client.is_closed().then_some(())).await;
    }
    lasts_until_it_ends(lasting, process).await;
}

#[tokio::test]
async fn what_lasts_is_cut_at_the_deadline() {
    let mut edge = Edge::start_with(&[("SHUTDOWN_GRACE_SECONDS", "1")]).await;
    let mut lasting = Lasting::begin(&edge).await;
    assert!(edge.platform.take_proxy().terminate().await.success());
    for socket in &mut lasting.sockets {
        assert!(!matches!(futures::StreamExt::next(socket).await, Some(Ok(_))));
    }
    for events in &mut lasting.events {
        // What was sent before is still there.
        while events.frame().await.is_some_and(|frame| frame.is_ok()) {}
    }
}

/// Requests on connections of HTTP/2 while the process changes under them: each is answered, or was never
/// looked at, which the client knows.
#[tokio::test]
async fn an_upgrade_fails_no_request_and_cuts_nothing_that_lasts() {
    let mut edge = Edge::start_with(&[("SHUTDOWN_GRACE_SECONDS", "60")]).await;
    let lasting = Lasting::begin(&edge).await;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let (served, mut serving) = mpsc::unbounded_channel();
    let (plain, tls) = (edge.platform.clients(), edge.tls_client());
    let load = tokio::spawn(async move {
        let connect = async |over: Over| {
            let io: Box<dyn super::Io> = match over {
                Over::Plain => Box::new(tokio::net::TcpStream::connect(plain).await.unwrap()),
                Over::Tls => Box::new(tls.connect(HOST, &["h2"]).await.unwrap()),
            };
            let io = TokioIo::new(io);
            let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            client
        };
        let mut clients = [connect(Over::Plain).await, connect(Over::Tls).await];
        while !*stopped.borrow_and_update() {
            for (over, client) in [Over::Plain, Over::Tls].into_iter().zip(&mut clients) {
                if client.is_closed() {
                    *client = connect(over).await;
                }
                match get(client).await {
                    Ok(response) => assert_eq!(response.status(), 200),
                    // The connection went away before the request did: it can be made on another.
                    Err(error) if error.is_canceled() || was_refused(&error) => {
                        *client = connect(over).await;
                    }
                    Err(error) => panic!("{over:?}: {error:?}"),
                }
                let _ = served.send(());
            }
        }
    });
    let mut more = async || {
        for _ in 0..100 {
            tokio::time::timeout(DEADLINE, serving.recv()).await.unwrap().unwrap();
        }
    };
    more().await;
    let predecessor = edge.platform.upgrade_proxy().await;
    more().await;
    lasts_until_it_ends(lasting, predecessor).await;
    while serving.try_recv().is_ok() {}
    stop.send_replace(true);
    load.await.unwrap();
}
