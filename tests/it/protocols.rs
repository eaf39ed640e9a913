//! What clients speak, each protocol with a real client and a real server of it.

mod bulk;
mod expect;
mod greeted;
mod grpc;
mod lasting;
mod sse;
mod versions;
mod websocket;

use std::convert::Infallible;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tenantry_api::CreateCertificate;
use tenantry_test_support::{Authority, Body, Platform, Server, TlsClient};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// The host of a tenant that asks for nothing.
const HOST: &str = "open.example";

/// What bytes travel on.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Plain,
    Tls,
}

/// A platform that speaks everything, with a tenant that asks for nothing.
struct Edge {
    platform: Platform,
    authority: Authority,
    certificate: String,
}

impl Edge {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = [&[("HTTP2__PLAINTEXT", "true")], settings].concat();
        let platform = Platform::start_with(&settings).await;
        platform.tenant("open", json!({"auth": "none"})).await;
        let authority = Authority::new("servers");
        let issued = authority.server(&[HOST]);
        let body: CreateCertificate = tenantry_test_support::json(json!({
            "chain_pem": issued.certificate_pem, "key_pem": issued.key_pem, "default": true,
        }));
        let created = platform.api().certificates().create(&body).await.unwrap();
        platform.enforced(created.revision).await;
        Self { platform, authority, certificate: created.id.to_string() }
    }

    /// Sends what is below `/{id}` to a server.
    async fn route(&self, id: &str, server: &Server, changes: Value) {
        let mut upstream = json!({"id": id, "endpoints": [{"address": server.address()}]});
        upstream.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let api = self.platform.api();
        api.upstreams().create(&tenantry_test_support::json(upstream)).await.unwrap();
        let route = json!({"id": id, "match": {"path_prefix": format!("/{id}")}, "upstream": id});
        let route = api.routes().create(&tenantry_test_support::json(route)).await.unwrap();
        self.platform.enforced(route.revision).await;
    }

    fn tls_client(&self) -> TlsClient {
        TlsClient::new(self.platform.tls_clients(), &self.authority, None)
    }

    /// A connection, on which one protocol will be spoken.
    async fn connect(&self, over: Over, protocol: &str) -> Box<dyn Io> {
        match over {
            Over::Plain => {
                let stream = TcpStream::connect(self.platform.clients()).await.unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
            Over::Tls => {
                let stream = self.tls_client().connect(HOST, &[protocol]).await.unwrap();
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
                Box::new(stream)
            }
        }
    }
}

fn text(text: impl Into<Bytes>) -> http::Response<Body> {
    http::Response::new(Full::new(text.into()).boxed())
}

/// A body in parts, which come when they come.
fn parts(parts: impl futures::Stream<Item = Bytes> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(parts.map(|part| Ok::<_, Infallible>(Frame::data(part)))))
}

/// A body whose length is not told before.
fn pieces(pieces: &'static [&'static str]) -> Body {
    parts(stream::iter(pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes()))))
}
