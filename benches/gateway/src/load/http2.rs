//! The same clients over HTTP/2: some connections, on each of which some requests are always in progress.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use super::{CLIENTS, Call, Counters, Load};
use crate::exchange::secure;

const CONNECTIONS: usize = 8;
const STREAMS: usize = CLIENTS / CONNECTIONS;
/// What servers may send before they are told that it was read: no bound on this load.
const WINDOW: u32 = 1 << 24;
/// Wait after a connection could not be made.
const PAUSE: Duration = Duration::from_millis(10);

/// What became of one request.
enum Outcome {
    Answered(u16),
    /// The connection takes no more: servers end them after some number of requests.
    NotSent,
    Failed,
}

pub(super) fn spawn(load: &Load, counters: &Arc<Counters>, clients: &mut JoinSet<()>) {
    for number in 0..CONNECTIONS {
        clients.spawn(connection(load.clone(), number, Arc::clone(counters)));
    }
}

/// One connection after the other, each for the same host.
async fn connection(load: Load, number: usize, counters: Arc<Counters>) {
    let turn = number * load.calls.len() / CONNECTIONS;
    while counters.goes_on() {
        let sender = match load.calls.get(turn) {
            Some(call) => open(&load, call).await,
            None => return,
        };
        let Ok(sender) = sender else {
            counters.count(false);
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut streams = JoinSet::new();
        for _ in 0..STREAMS {
            streams.spawn(stream(load.clone(), turn, sender.clone(), Arc::clone(&counters)));
        }
        while streams.join_next().await.is_some() {}
    }
}

async fn open(load: &Load, call: &Call) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let Some(tls) = &load.tls else { anyhow::bail!("HTTP/2 is spoken over TLS here") };
    let stream = secure(load.to, &call.host, tls).await?;
    anyhow::ensure!(stream.get_ref().1.alpn_protocol() == Some(b"h2"), "HTTP/2 is not offered");
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { connection.await.is_ok() });
    Ok(sender)
}

/// A client that sends its next request when the one before is answered, until the connection takes no more.
async fn stream(
    load: Load,
    turn: usize,
    mut sender: SendRequest<Empty<Bytes>>,
    counters: Arc<Counters>,
) {
    let Some(call) = load.calls.get(turn) else { return };
    while counters.goes_on() {
        match ask(call, &mut sender).await {
            Outcome::Answered(status) => counters.count(status == 200),
            Outcome::NotSent => return,
            Outcome::Failed => {
                counters.count(false);
                return;
            }
        }
    }
}

async fn ask(call: &Call, sender: &mut SendRequest<Empty<Bytes>>) -> Outcome {
    let request = Request::get(format!("https://{}{}", call.host, call.path))
        .header("user-agent", "bench/1.0")
        .header("accept", "application/json")
        .header(&call.proof.0, &call.proof.1)
        .body(Empty::new());
    let Ok(request) = request else { return Outcome::Failed };
    if sender.ready().await.is_err() {
        return Outcome::NotSent;
    }
    let answer = match sender.send_request(request).await {
        Ok(answer) => answer,
        Err(error) if error.is_canceled() || error.is_closed() => return Outcome::NotSent,
        Err(_) => return Outcome::Failed,
    };
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return Outcome::Failed;
        }
    }
    Outcome::Answered(status)
}
