//! HTTP/2: many requests on one connection, each handed to pingora as it begins.

use std::{sync::Arc, time::Duration};

use pingora::{
    apps::HttpServerApp as _,
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

use super::{conduit::Conduit, service::Door};

/// Requests that break the protocol and are answered one by one; past this the connection goes.
const MAX_MALFORMED: u32 = 100;

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
    let stream: Stream = conduit;
    let Ok(mut connection) = handshake(stream, Some(options(door))).await else { return };
    let requests = TaskTracker::new();
    // Closed only says that waiting may end; more can be added.
    requests.close();
    let mut left = door.bounds.requests_per_connection.get();
    let (mut malformed, mut is_ending) = (0, false);
    let mut stop = shutdown.clone();
    loop {
        let idle = async {
            requests.wait().await;
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
                let (door, shutdown) = (Arc::clone(door), shutdown.clone());
                requests.spawn(async move {
                    let session = ServerSession::new_http2(session);
                    door.proxy.process_new_http(session, &shutdown).await;
                });
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

/// Built on pingora's own, whose bounds are safe where ours say nothing.
fn options(door: &Door) -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(door.http2.concurrent_streams.get())
        .max_header_list_size(door.http2.header_list_bytes.get())
        .max_pending_accept_reset_streams(door.http2.pending_resets.get());
    options
}
