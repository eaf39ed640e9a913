//! HTTP/1: request after request, each head read and checked here before anything else sees it. What is plain is
//! relayed; the rest is handed to pingora, byte for byte.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::{Buf as _, BytesMut};
use pingora::{apps::HttpServerApp as _, protocols::http::ServerSession, server::ShutdownWatch};
use tenantry_engine::Reason;
use tenantry_wire::http1::{Body, Head, Refused, Scanner};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::{conduit::Conduit, service::Door};
use crate::gateway::{Alarm, Http1Client, Passage, Plain, Relayed};

/// What came on the connection.
enum Heard {
    Request(Head),
    Refused(Reason, Option<&'static str>),
    /// The client went away, or had nothing to ask.
    Nothing,
}

/// A connection between two requests.
struct Listening<'d> {
    door: &'d Door,
    conduit: Box<Conduit>,
    /// What was read and not yet used.
    bytes: BytesMut,
    alarm: Alarm,
    /// Ready some time after the process was told to stop.
    stops: Pin<Box<dyn Future<Output = ()> + Send + 'd>>,
}

/// Room for most requests.
const ROOM: usize = 2048;

/// Serves a connection until it is closed.
pub(super) async fn serve(door: &Door, conduit: Box<Conduit>, shutdown: &ShutdownWatch) {
    let mut left = door.bounds.requests_per_connection.get();
    let mut listening = Listening::new(door, conduit, shutdown);
    loop {
        let head = match listening.hear().await {
            Heard::Request(head) => head,
            Heard::Refused(reason, detail) => {
                return refuse(door, &mut listening.conduit, reason, detail).await;
            }
            Heard::Nothing => return,
        };
        left = left.saturating_sub(1);
        match listening.relay(&head, left == 0).await {
            Relayed::Next => {}
            Relayed::Last => return,
            Relayed::HandedOver(passage) => {
                match listening.by_pingora(&head, (left == 0, passage), shutdown).await {
                    Some(same) => listening = same,
                    None => return,
                }
            }
        }
    }
}

impl<'d> Listening<'d> {
    fn new(door: &'d Door, conduit: Box<Conduit>, shutdown: &ShutdownWatch) -> Self {
        let mut shutdown = shutdown.clone();
        let grace = door.bounds.drain_idle();
        let stops = Box::pin(async move {
            // The sender lives as long as the server; if it is gone, so is the server.
            let _ = shutdown.wait_for(|stop| *stop).await;
            tokio::time::sleep(grace).await;
        });
        let alarm = Alarm::new(seconds(door.bounds.idle_timeout_seconds));
        Self { door, conduit, bytes: BytesMut::with_capacity(ROOM), alarm, stops }
    }

    /// Waits for a request as long as connections may idle, and from its first byte on as long as a head
    /// may take.
    async fn hear(&mut self) -> Heard {
        if !self.begins().await {
            return Heard::Nothing;
        }
        let mut scanner = Scanner::new(self.door.bounds.head());
        let mut deadline = None;
        loop {
            match scanner.advance(&self.bytes) {
                Ok(Some(head)) => return Heard::Request(head),
                Ok(None) => {}
                Err(Refused::Malformed(rule)) => {
                    return Heard::Refused(Reason::BadRequest, Some(rule));
                }
                Err(Refused::TargetTooLong) => return Heard::Refused(Reason::TargetTooLong, None),
                Err(Refused::HeadTooLarge) => return Heard::Refused(Reason::HeadersTooLarge, None),
            }
            let now = Instant::now();
            let end = *deadline
                .get_or_insert_with(|| now + seconds(self.door.bounds.head_timeout_seconds));
            let read = self.conduit.read_buf(&mut self.bytes);
            match self.alarm.within(end.saturating_duration_since(now), read).await {
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
    async fn begins(&mut self) -> bool {
        if !self.bytes.is_empty() {
            return true;
        }
        self.bytes.reserve(ROOM);
        let idle = seconds(self.door.bounds.idle_timeout_seconds);
        let (mut read, mut end) = (pin!(self.conduit.read_buf(&mut self.bytes)), None);
        poll_fn(|context| {
            if let Poll::Ready(read) = read.as_mut().poll(context) {
                return Poll::Ready(matches!(read, Ok(1..)));
            }
            if self.stops.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            let end = *end.get_or_insert_with(|| Instant::now() + idle);
            self.alarm.poll(context, end).map(|()| false)
        })
        .await
    }

    /// Passes a request on if it is plain.
    async fn relay(&mut self, head: &Head, is_last: bool) -> Relayed {
        let most_body_bytes = self.door.bounds.body_bytes.get();
        let Some((plain, framed)) = Plain::of_bytes(&self.bytes, head, most_body_bytes) else {
            return Relayed::HandedOver(None);
        };
        let connection = Arc::clone(self.conduit.connection());
        let is_last = is_last || framed.closes;
        let (conduit, alarm) = (&mut *self.conduit, &mut self.alarm);
        let mut client = Http1Client { conduit, alarm, is_last };
        let relayed = self.door.gateway.relay(&mut client, &connection, &plain).await;
        if matches!(relayed, Relayed::Next) {
            self.bytes.advance(framed.end);
        }
        relayed
    }

    /// Lets pingora have a request. Returns the connection if it goes on.
    async fn by_pingora(
        mut self,
        head: &Head,
        (is_last, begun): (bool, Option<Box<Passage>>),
        shutdown: &ShutdownWatch,
    ) -> Option<Self> {
        let mut bytes = std::mem::take(&mut self.bytes);
        self.conduit.unread(bytes.split_off(head.end));
        bytes.advance(head.leading);
        match head.body {
            Body::Length(length) if !head.asks_upgrade => self.conduit.allow(length),
            _ => self.conduit.allow_all(),
        }
        let connection = Arc::clone(self.conduit.connection());
        if let Some(passage) = begun {
            connection.begun.leave(passage);
        }
        let mut session = ServerSession::new_http1(self.conduit);
        // Pingora lets the connection go on if the client wants it to, and some reuse remains.
        session.set_keepalive_reuses_remaining(is_last.then_some(0));
        session.set_pipelined_prefix(bytes);
        let reusable = self.door.proxy.process_new_http(session, shutdown).await;
        // What was begun belongs to this request and to no other, whatever became of it.
        drop(connection.begun.take());
        let (stream, _) = reusable?.consume();
        let mut conduit = stream.into_any().downcast::<Conduit>().ok()?;
        conduit.allow_all();
        Some(Self { conduit, ..self })
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
