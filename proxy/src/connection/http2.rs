//! HTTP/2: many requests on one connection, each with a task of its own. What is plain is relayed; the rest is handed to
//! pingora.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use parking_lot::Mutex;
use pingora::{
    apps::HttpServerApp as _,
    http::RequestHeader,
    protocols::{
        Digest, GetProxyDigest as _, GetSocketDigest as _, GetTimingDigest as _, Stream,
        http::{
            ServerSession,
            v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake},
        },
    },
    server::ShutdownWatch,
};
use tenantry_wire::http2::Meter;
use tokio_util::task::TaskTracker;

use super::{Begun, Connection, conduit::Conduit, service::Door};
use crate::gateway::{Alarm, Http2Client, Plain, Relayed};

/// Requests that break the protocol and are answered one by one; past this the connection goes.
const MAX_MALFORMED: u32 = 100;

/// Bytes of a body that pingora keeps so that it can be sent again.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// Serves a connection until it is closed.
pub(super) async fn serve(door: &Arc<Door>, mut conduit: Box<Conduit>, shutdown: &ShutdownWatch) {
    let meter = Meter::new(door.http2.frames(), door.clock.now().monotonic);
    let head_timeout = Duration::from_secs(door.bounds.head_timeout_seconds.get());
    conduit.watch(meter, door.clock, head_timeout);
    let digest = Arc::new(Digest {
        ssl_digest: None,
        timing_digest: conduit.get_timing_digest(),
        proxy_digest: conduit.get_proxy_digest(),
        socket_digest: conduit.get_socket_digest(),
    });
    let requests = Arc::new(Requests {
        door: Arc::clone(door),
        connection: Arc::clone(conduit.connection()),
        alarms: Mutex::default(),
        shutdown: shutdown.clone(),
    });
    let stream: Stream = conduit;
    let Ok(mut connection) = handshake(stream, Some(options(door))).await else { return };
    let tasks = TaskTracker::new();
    // Closed only says that waiting may end; more can be added.
    tasks.close();
    let mut left = door.bounds.requests_per_connection.get();
    let (mut malformed, mut is_ending) = (0, false);
    let mut stop = shutdown.clone();
    loop {
        let idle = async {
            tasks.wait().await;
            tokio::time::sleep(Duration::from_secs(door.bounds.idle_timeout_seconds.get())).await;
        };
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop), if !is_ending => {
                connection.graceful_shutdown();
                is_ending = true;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => accepted,
            () = idle => return,
        };
        match accepted {
            Ok(Some(H2Accept::Session(session))) => {
                tasks.spawn(Arc::clone(&requests).answer(Box::new(session)));
                left = left.saturating_sub(1);
                if left == 0 && !is_ending {
                    connection.graceful_shutdown();
                    is_ending = true;
                }
            }
            Ok(Some(H2Accept::Rejected)) if malformed < MAX_MALFORMED => malformed += 1,
            // Broken off, or done.
            _ => return,
        }
    }
}

/// What the requests of a connection share.
struct Requests {
    door: Arc<Door>,
    connection: Arc<Connection>,
    /// Of requests that are over, for those that follow: to set one anew costs more than to go on with it.
    alarms: Mutex<Vec<Alarm>>,
    shutdown: ShutdownWatch,
}

impl Requests {
    /// What is large of it is on the heap from the beginning: a task is moved several times before it runs.
    async fn answer(self: Arc<Self>, mut stream: Box<HttpSession>) {
        let relayed = Box::pin(self.relay(&mut stream)).await;
        let Relayed::HandedOver(begun) = relayed else { return };
        if let Some(passage) = begun {
            let place = Begun::default();
            place.leave(passage);
            stream.req_header_mut().extensions_mut().insert(place);
        }
        let session = ServerSession::new_http2(*stream);
        Box::pin(self.door.proxy.process_new_http(session, &self.shutdown)).await;
    }

    /// Passes a request on if it is plain.
    async fn relay(&self, stream: &mut HttpSession) -> Relayed {
        let Some(body) = body(stream).await else { return Relayed::HandedOver(None) };
        let head = take_head(stream);
        let relayed = match Plain::of_head(&head, &body, &self.door.bounds) {
            Some(plain) => {
                let mut alarm = self.alarm();
                let mut client = Http2Client { stream, alarm: &mut alarm };
                let gateway = &self.door.gateway;
                let relayed = gateway.relay(&mut client, &self.connection, &plain).await;
                self.alarms.lock().push(alarm);
                relayed
            }
            None => Relayed::HandedOver(None),
        };
        *stream.req_header_mut() = head;
        relayed
    }

    fn alarm(&self) -> Alarm {
        let idle = Duration::from_secs(self.door.bounds.idle_timeout_seconds.get());
        self.alarms.lock().pop().unwrap_or_else(|| Alarm::new(idle))
    }
}

/// The body of a request, if it is short and all of it is here. What is only here in part is not lost: the stream keeps
/// it for whoever reads it next.
async fn body(stream: &mut HttpSession) -> Option<Bytes> {
    if stream.is_body_empty() {
        return Some(Bytes::new());
    }
    let length = stream.req_header().headers.get(CONTENT_LENGTH)?;
    let length: usize = length.to_str().ok()?.parse().ok()?;
    if length > MAX_KEPT_BYTES {
        return None;
    }
    stream.enable_retry_buffering();
    while !stream.is_body_done() {
        let read = at_once(stream.read_body_bytes()).await?;
        if read.ok()?.is_none() {
            break;
        }
    }
    stream.get_retry_buffer()
}

/// What comes of a future if it need not be waited for.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The head of a request, so that it can be read while the answer is written.
fn take_head(stream: &mut HttpSession) -> RequestHeader {
    let (nothing, ()) = http::Request::new(()).into_parts();
    std::mem::replace(stream.req_header_mut(), nothing.into())
}

/// Built on pingora's own, whose bounds are safe where ours say nothing.
fn options(door: &Door) -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(door.http2.concurrent_streams.get())
        .max_header_list_size(door.http2.header_list_bytes.get())
        .max_pending_accept_reset_streams(door.http2.pending_resets.get());
    options
}
