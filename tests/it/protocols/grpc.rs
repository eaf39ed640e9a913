//! gRPC, with a real client and a real server: messages are bytes, so that no code need be generated.

use std::{convert::Infallible, pin::Pin, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use http::uri::PathAndQuery;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tenantry_test_support::{DEADLINE, Server, TlsClient};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::tungstenite::http::Uri;
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::Service,
    metadata::MetadataValue,
    server::{StreamingService, UnaryService},
    transport::{Channel, Endpoint},
};

use super::{Edge, HOST, Io, Over};

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Answers one message with one.
struct Unary;

impl UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            let deadline = request.metadata().get("grpc-timeout").cloned();
            let binary = request.metadata().get_bin("x-trace-bin").cloned();
            let message = request.into_inner();
            if message == "refuse" {
                let detail = Bytes::from_static(b"\0\x01detail");
                return Err(Status::with_details(
                    Code::FailedPrecondition,
                    "not now: 100 %",
                    detail,
                ));
            }
            let mut response = Response::new(message);
            if let Some(deadline) = deadline {
                response.metadata_mut().insert("x-deadline", deadline);
            }
            if let Some(binary) = binary {
                response.metadata_mut().insert_bin("x-trace-bin", binary);
            }
            Ok(response)
        })
    }
}

/// Sends back each message as it comes; fails in the middle when told to.
struct Chat;

impl StreamingService<Bytes> for Chat {
    type Response = Bytes;
    type ResponseStream = BoxStream<'static, Result<Bytes, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let messages = request.into_inner().map(|message| match message {
            Ok(message) if message == "break" => Err(Status::aborted("told to")),
            message => message,
        });
        Box::pin(async move { Ok(Response::new(messages.boxed())) })
    }
}

async fn answer(request: http::Request<Incoming>) -> Result<http::Response<Body>, Infallible> {
    let mut grpc = tonic::server::Grpc::new(Raw);
    Ok(match request.uri().path() {
        "/grpc/Unary" => grpc.unary(Unary, request).await,
        "/grpc/Chat" => grpc.streaming(Chat, request).await,
        _ => Status::unimplemented("no such method").into_http(),
    })
}

/// A gRPC server behind `/grpc`.
pub(super) async fn server(edge: &Edge) -> Server {
    let server = Server::start(|stream: TcpStream| async move {
        let connection = http2::Builder::new(TokioExecutor::new());
        let _ = connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
    })
    .await;
    edge.route("grpc", &server, json!({"protocol": "http2"})).await;
    server
}

/// Connects to the gateway, whatever the name.
struct Connector(Over, std::net::SocketAddr, TlsClient);

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (over, plain, tls) = (self.0, self.1, self.2.clone());
        Box::pin(async move {
            let io: Box<dyn Io> = match over {
                Over::Plain => Box::new(TcpStream::connect(plain).await?),
                Over::Tls => Box::new(tls.connect(HOST, &["h2"]).await?),
            };
            Ok(TokioIo::new(io))
        })
    }
}

pub(super) async fn client(edge: &Edge, over: Over) -> Grpc<Channel> {
    let connector = Connector(over, edge.platform.clients(), edge.tls_client());
    let endpoint = Endpoint::from_shared(format!("http://{HOST}")).unwrap();
    Grpc::new(endpoint.connect_with_connector(connector).await.unwrap())
}

/// A stream of messages in both directions.
pub(super) struct Conversation {
    say: mpsc::UnboundedSender<Bytes>,
    hear: Streaming<Bytes>,
}

impl Conversation {
    pub(super) async fn open(edge: &Edge, over: Over) -> Self {
        let (say, said) = mpsc::unbounded_channel();
        let said = futures::stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
        let path = PathAndQuery::from_static("/grpc/Chat");
        let mut client = client(edge, over).await;
        client.ready().await.unwrap();
        let response = client.streaming(Request::new(said), path, Raw).await.unwrap();
        Self { say, hear: response.into_inner() }
    }

    /// Says something, and hears it before anything else is said.
    pub(super) async fn echo(&mut self, message: impl Into<Bytes>) {
        let message = message.into();
        self.say.send(message.clone()).unwrap();
        let heard = tokio::time::timeout(DEADLINE, self.hear.message()).await;
        assert_eq!(heard.unwrap().unwrap(), Some(message));
    }
}

async fn call(
    client: &mut Grpc<Channel>,
    method: &'static str,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Status> {
    client.ready().await.unwrap();
    client.unary(request, PathAndQuery::from_static(method), Raw).await
}

#[tokio::test]
async fn a_call_has_its_message_its_metadata_and_its_status() {
    let edge = Edge::start().await;
    let _server = server(&edge).await;
    for over in [Over::Plain, Over::Tls] {
        let mut client = client(&edge, over).await;
        let mut request = Request::new(Bytes::from(vec![1; 1 << 20]));
        request.set_timeout(Duration::from_secs(17));
        let binary = MetadataValue::from_bytes(&[0, 1, 254, 255]);
        request.metadata_mut().insert_bin("x-trace-bin", binary.clone());
        let response = call(&mut client, "/grpc/Unary", request).await.unwrap();
        assert_eq!(response.metadata().get("x-deadline").unwrap(), "17000000u");
        assert_eq!(response.metadata().get_bin("x-trace-bin").unwrap(), binary);
        assert_eq!(response.into_inner().len(), 1 << 20);

        // An answer of headers alone: the status, and nothing else.
        let request = Request::new(Bytes::from_static(b"refuse"));
        let status = call(&mut client, "/grpc/Unary", request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not now: 100 %"));
        assert_eq!(status.details(), b"\0\x01detail");
        let request = Request::new(Bytes::new());
        let status = call(&mut client, "/grpc/Other", request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn a_conversation_goes_to_and_fro() {
    let edge = Edge::start().await;
    let _server = server(&edge).await;
    for over in [Over::Plain, Over::Tls] {
        let mut conversation = Conversation::open(&edge, over).await;
        for number in 0..50 {
            conversation.echo(format!("message {number}")).await;
        }
        conversation.echo(vec![3; 1 << 20]).await;
        drop(conversation.say);
        assert_eq!(conversation.hear.message().await.unwrap(), None);
        // The status of a whole conversation is behind the last message.
        assert!(conversation.hear.trailers().await.unwrap().is_some());

        let mut broken = Conversation::open(&edge, over).await;
        broken.echo("begin").await;
        broken.say.send(Bytes::from_static(b"break")).unwrap();
        let status = broken.hear.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Aborted, "told to"));
    }
}

#[tokio::test]
async fn a_silent_conversation_stays_open() {
    let settings = [
        ("CONNECTIONS__BODY_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__IDLE_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__HEAD_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__RESPONSE_TIMEOUT_SECONDS", "1"),
    ];
    let edge = Edge::start_with(&settings).await;
    let _server = server(&edge).await;
    let mut conversation = Conversation::open(&edge, Over::Tls).await;
    conversation.echo("begin").await;
    let silence = tokio::time::timeout(Duration::from_millis(2500), conversation.hear.message());
    assert!(silence.await.is_err(), "it ended");
    conversation.echo("still here").await;
}

#[tokio::test]
async fn what_the_gateway_refuses_is_a_status() {
    let edge = Edge::start().await;
    let _server = server(&edge).await;
    let changed = json!({"auth": "api_key"});
    let changed = edge.platform.api().tenants().patch("open", &changed, None).await.unwrap();
    edge.platform.enforced(changed.revision).await;
    let mut client = client(&edge, Over::Tls).await;
    let status = call(&mut client, "/grpc/Unary", Request::new(Bytes::new())).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "A credential is required")
    );
}
