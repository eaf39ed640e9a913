//! HTTP/1: request after request, each head read and checked here before pingora parses it.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pingora::{apps::HttpServerApp as _, protocols::http::ServerSession, server::ShutdownWatch};
use tenantry_engine::Reason;
use tenantry_wire::http1::{Body, Head, Refused, Scanner};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

use super::{conduit::Conduit, service::Door};

/// What came on the connection.
enum Heard {
    Request(BytesMut, Head),
    Refused(Reason, Option<&'static str>),
    /// The client went away, or had nothing to ask.
    Nothing,
}

/// Serves a connection until it is closed.
pub(super) async fn serve(door: &Door, mut conduit: Box<Conduit>, shutdown: &ShutdownWatch) {
    let mut left = door.bounds.requests_per_connection.get();
    loop {
        let (mut bytes, head) = match hear(door, &mut conduit, shutdown).await {
            Heard::Request(bytes, head) => (bytes, head),
            Heard::Refused(reason, detail) => {
                return refuse(door, &mut conduit, reason, detail).await;
            }
            Heard::Nothing => return,
        };
        conduit.unread(bytes.split_off(head.end));
        bytes.advance(head.leading);
        match head.body {
            Body::Length(length) if !head.asks_upgrade => conduit.allow(length),
            _ => conduit.allow_all(),
        }
        left = left.saturating_sub(1);
        let mut session = ServerSession::new_http1(conduit);
        // Pingora lets the connection go on if the client wants it to, and some reuse remains.
        session.set_keepalive_reuses_remaining((left == 0).then_some(0));
        session.set_pipelined_prefix(bytes);
        let Some(reusable) = door.proxy.process_new_http(session, shutdown).await else { return };
        let (stream, _) = reusable.consume();
        let Ok(same) = stream.into_any().downcast::<Conduit>() else { return };
        conduit = same;
        conduit.allow_all();
    }
}

/// Waits for a request as long as connections may idle, and from its first byte on as long as a head
/// may take.
async fn hear(door: &Door, conduit: &mut Conduit, shutdown: &ShutdownWatch) -> Heard {
    let mut bytes = BytesMut::with_capacity(2048);
    if !begins(door, conduit, &mut bytes, shutdown).await {
        return Heard::Nothing;
    }
    let deadline = Instant::now() + seconds(door.bounds.head_timeout_seconds);
    let mut scanner = Scanner::new(door.bounds.head());
    loop {
        match scanner.advance(&bytes) {
            Ok(Some(head)) => return Heard::Request(bytes, head),
            Ok(None) => {}
            Err(Refused::Malformed(rule)) => {
                return Heard::Refused(Reason::BadRequest, Some(rule));
            }
            Err(Refused::TargetTooLong) => return Heard::Refused(Reason::TargetTooLong, None),
            Err(Refused::HeadTooLarge) => return Heard::Refused(Reason::HeadersTooLarge, None),
        }
        match timeout_at(deadline, conduit.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) => {}
            Ok(_) => return Heard::Nothing,
            Err(_) => return Heard::Refused(Reason::RequestTimeout, None),
        }
    }
}

/// Waits for the first bytes of a request.
///
/// When the process is told to stop, a client that keeps its connection may be about to send: it is
/// given a moment, and then told to close with the answer.
async fn begins(
    door: &Door,
    conduit: &mut Conduit,
    bytes: &mut BytesMut,
    shutdown: &ShutdownWatch,
) -> bool {
    let mut shutdown = shutdown.clone();
    let ends = async {
        let idle = tokio::time::sleep(seconds(door.bounds.idle_timeout_seconds));
        let stops = async {
            // The sender lives as long as the server; if it is gone, so is the server.
            let _ = shutdown.wait_for(|stop| *stop).await;
            tokio::time::sleep(door.bounds.drain_idle()).await;
        };
        tokio::select! { () = idle => {}, () = stops => {} }
    };
    tokio::select! {
        biased;
        read = conduit.read_buf(bytes) => matches!(read, Ok(1..)),
        () = ends => false,
    }
}

/// Answers what never became a request.
async fn refuse(door: &Door, conduit: &mut Conduit, reason: Reason, detail: Option<&'static str>) {
    let answer = door.refused(reason, detail, conduit.connection());
    conduit.allow_all();
    let told = async {
        conduit.write_all(&answer).await?;
        AsyncWriteExt::shutdown(conduit).await
    };
    if timeout(Duration::from_secs(5), told).await.is_ok_and(|told| told.is_ok()) {
        linger(conduit).await;
    }
}

/// Closing with unread bytes makes the kernel reset the connection, and the client may lose the answer:
/// some of them are read and forgotten first.
async fn linger(conduit: &mut Conduit) {
    const MAX_BYTES: usize = 64 * 1024;
    let drained = async {
        let (mut scrap, mut drained) = ([0; 2048], 0);
        while drained < MAX_BYTES {
            match conduit.read(&mut scrap).await {
                Ok(read @ 1..) => drained += read,
                _ => return,
            }
        }
    };
    // Whether the client was done in time makes no difference.
    let _ = timeout(Duration::from_secs(1), drained).await;
}

fn seconds(seconds: std::num::NonZeroU64) -> Duration {
    Duration::from_secs(seconds.get())
}
