//! WebSockets, with a real client and a real server (RFC 6455).

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tenantry_test_support::{DEADLINE, Server};
use tokio::sync::mpsc;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        handshake::server::{Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{Edge, HOST, Io, Over};

pub(super) type Socket = WebSocketStream<Box<dyn Io>>;

/// Greets, sends back what it is sent, and closes when it is told to. How each socket ended is told.
pub(super) async fn server(ended: mpsc::UnboundedSender<Option<CloseFrame>>) -> Server {
    Server::start(move |stream| {
        let ended = ended.clone();
        async move {
            #[expect(clippy::result_large_err, reason = "the signature is the library's")]
            let choose = |request: &Request, mut response: Response| {
                assert_eq!(request.headers()["sec-websocket-protocol"], "chat");
                response.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
                Ok(response)
            };
            let Ok(mut socket) = accept_hdr_async(stream, choose).await else { return };
            socket.send("hello".into()).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                match message {
                    Message::Text(text) if text == "close" => {
                        let reason =
                            CloseFrame { code: CloseCode::Library(4001), reason: "asked".into() };
                        socket.close(Some(reason)).await.unwrap();
                    }
                    Message::Close(frame) => {
                        let _ = ended.send(frame);
                    }
                    Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
                    _ => {}
                }
            }
        }
    })
    .await
}

pub(super) async fn try_open(edge: &Edge, over: Over, path: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{HOST}{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    let (socket, response) = client_async(request, edge.connect(over, "http/1.1").await).await?;
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    Ok(socket)
}

/// Opens one, and is greeted.
pub(super) async fn open(edge: &Edge, over: Over, path: &str) -> Socket {
    let mut socket = try_open(edge, over, path).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    socket
}

pub(super) async fn next(socket: &mut Socket) -> Message {
    let next = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap();
    next.unwrap().unwrap()
}

/// Sends a message and receives it again.
pub(super) async fn echo(socket: &mut Socket, message: Message) {
    socket.send(message.clone()).await.unwrap();
    assert_eq!(next(socket).await, message);
}

#[tokio::test]
async fn messages_of_any_size_go_both_ways_and_the_close_reaches_the_other_end() {
    let edge = Edge::start().await;
    let (ended, mut endings) = mpsc::unbounded_channel();
    let server = server(ended).await;
    edge.route("sockets", &server, json!({})).await;
    for over in [Over::Plain, Over::Tls] {
        let mut socket = open(&edge, over, "/sockets").await;
        echo(&mut socket, Message::text("a")).await;
        // One frame of 8 MiB, sent and received at once.
        let large = Message::binary(vec![7; 8 << 20]);
        echo(&mut socket, large).await;
        socket.send(Message::Ping("are you there".into())).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::Pong("are you there".into()));
        let goodbye = CloseFrame { code: CloseCode::Away, reason: "goodbye".into() };
        socket.close(Some(goodbye.clone())).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::Close(Some(goodbye.clone())));
        assert!(socket.next().await.is_none());
        assert_eq!(endings.recv().await.unwrap(), Some(goodbye));

        let mut socket = open(&edge, over, "/sockets").await;
        socket.send(Message::text("close")).await.unwrap();
        let Message::Close(Some(frame)) = next(&mut socket).await else { panic!("no close") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4001, "asked"));
        assert!(socket.next().await.is_none(), "the connection is closed with it");
        assert_eq!(endings.recv().await.unwrap().unwrap().code, CloseCode::Library(4001));
    }
}

#[tokio::test]
async fn a_silent_socket_stays_open() {
    let settings = [
        ("CONNECTIONS__BODY_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__IDLE_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__HEAD_TIMEOUT_SECONDS", "1"),
        ("CONNECTIONS__RESPONSE_TIMEOUT_SECONDS", "1"),
    ];
    let edge = Edge::start_with(&settings).await;
    let server = server(mpsc::unbounded_channel().0).await;
    edge.route("sockets", &server, json!({})).await;
    for over in [Over::Plain, Over::Tls] {
        let mut socket = open(&edge, over, "/sockets").await;
        // Nothing is said for longer than requests, heads and idle connections are given.
        let silence = tokio::time::Duration::from_millis(2500);
        assert!(tokio::time::timeout(silence, socket.next()).await.is_err(), "{over:?}: it ended");
        echo(&mut socket, Message::text("still here")).await;
    }
}

#[tokio::test]
async fn a_socket_that_is_refused_is_an_answer() {
    let edge = Edge::start().await;
    // The origin is no server of sockets.
    let Err(Error::Http(response)) = try_open(&edge, Over::Tls, "/").await else {
        panic!("it was opened");
    };
    assert_eq!(response.status(), 200);
    edge.platform.tenant("closed", json!({})).await;
    let request = "ws://closed.example/".into_client_request().unwrap();
    let io = edge.connect(Over::Plain, "http/1.1").await;
    let Err(Error::Http(response)) = client_async(request, io).await else {
        panic!("it was opened");
    };
    assert_eq!(response.status(), 401);
}
