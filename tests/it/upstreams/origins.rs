//! Origins that misbehave on request.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tenantry_test_support::{Body, Server, serve_http1};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// What several servers of a test have in common.
#[derive(Debug, Default)]
pub(super) struct Site {
    served: Mutex<BTreeMap<(String, String), u64>>,
    /// What `/health` says on the server `b`.
    pub(super) sick: AtomicBool,
}

impl Site {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Two servers, `a` and `b`.
    pub(super) async fn pair() -> (Arc<Self>, [Server; 2]) {
        let site = Self::new();
        let servers = [site.server("a").await, site.server("b").await];
        (site, servers)
    }

    /// A server that answers with its name.
    pub(super) async fn server(self: &Arc<Self>, name: &'static str) -> Server {
        Server::start(self.serve(name)).await
    }

    /// What a server does with a connection.
    pub(super) fn serve(
        self: &Arc<Self>,
        name: &'static str,
    ) -> impl Fn(TcpStream) -> futures::future::BoxFuture<'static, ()> + Send + use<> {
        let site = Arc::clone(self);
        move |stream| {
            let site = Arc::clone(&site);
            Box::pin(async move {
                serve_http1(stream, |request| answer(Arc::clone(&site), name, request)).await;
            })
        }
    }

    /// How often a path was asked for on a server.
    pub(super) fn served(&self, name: &str, path: &str) -> u64 {
        let served = self.served.lock().unwrap();
        served.get(&(name.to_owned(), path.to_owned())).copied().unwrap_or_default()
    }
}

pub(super) fn text(text: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(text.into()).boxed())
}

/// A body that comes in parts.
pub(super) fn parts(
    parts: impl futures::Stream<Item = &'static str> + Send + Sync + 'static,
) -> Response<Body> {
    let frames =
        parts.map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from_static(part.as_bytes()))));
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}

async fn answer(site: Arc<Site>, name: &'static str, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    *site.served.lock().unwrap().entry((name.to_owned(), path.clone())).or_default() += 1;
    let bytes = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
    match path.as_str() {
        "/health" if name == "b" && site.sick.load(Ordering::Relaxed) => status(503),
        "/busy" if name == "b" => status(503),
        "/down" => status(503),
        "/bug" => status(500),
        "/length" => text(bytes.to_string()),
        "/never" => std::future::pending().await,
        "/drip" => parts(stream::unfold(interval(), async |mut interval| {
            interval.tick().await;
            Some(("x", interval))
        })),
        "/stall" => parts(stream::iter(["begin"]).chain(stream::pending())),
        _ => text(name),
    }
}

fn interval() -> tokio::time::Interval {
    tokio::time::interval(Duration::from_millis(20))
}

fn status(status: u16) -> Response<Body> {
    let mut response = text("no");
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response
}

/// Reads the head of a request.
pub(super) async fn head(stream: &mut TcpStream) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(head).unwrap()
}

/// A server that says the same whatever it is asked, and then waits until the client goes.
pub(super) async fn parrot(says: &'static str) -> Server {
    Server::start(move |mut stream| async move {
        while !head(&mut stream).await.is_empty() {
            if stream.write_all(says.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}
