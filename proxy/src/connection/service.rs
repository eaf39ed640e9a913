//! Accepts connections and opens them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::BytesMut;
use parking_lot::Mutex;
use pingora::{
    apps::ServerApp as _,
    proxy::HttpProxy,
    server::{ListenFds, ShutdownWatch},
    services::{ServiceReadyNotifier, ServiceWithDependents},
};
use tenantry_engine::Reason;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    Begun, Connection,
    conduit::{Conduit, Transport},
    http1, http2, opening,
    places::{Place, Places},
    refusals::Refusals,
    rewound::Rewound,
    trust::Trust,
    workers::{Seat, Workers},
};
use crate::{
    bootstrap::{ConnectionBounds, Http2Bounds},
    clock::Clock,
    gateway::{Gateway, Phases},
    lifecycle::Lifecycle,
    listener::Bound,
    respond::{self, Refusal},
    tls::{Protocol, TlsAcceptor},
};

/// What all connections share.
pub(crate) struct Door {
    pub(crate) proxy: Arc<HttpProxy<Phases>>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) refusals: Refusals,
    pub(crate) places: Arc<Places>,
    pub(crate) trust: Trust,
    pub(crate) bounds: ConnectionBounds,
    pub(crate) http2: Http2Bounds,
    pub(crate) clock: Clock,
    pub(crate) tls: TlsAcceptor,
}

/// What is spoken on a listener from the first byte on, after a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Plain,
    Tls,
}

/// The service that clients connect to.
pub(crate) struct DoorService {
    door: Arc<Door>,
    listeners: Vec<(Bound, Speaks)>,
    workers: Arc<Workers>,
    lifecycle: Lifecycle,
}

impl DoorService {
    pub(crate) fn new(
        door: Door,
        listeners: Vec<(Bound, Speaks)>,
        workers: Workers,
        lifecycle: Lifecycle,
    ) -> Self {
        Self { door: Arc::new(door), listeners, workers: Arc::new(workers), lifecycle }
    }
}

#[async_trait]
impl ServiceWithDependents for DoorService {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        _: ShutdownWatch,
        _: usize,
        ready: ServiceReadyNotifier,
    ) {
        ready.notify_ready();
        // Fails only if the process is at its end.
        let _ = self.lifecycle.opening_clients().wait_for(|open| *open).await;
        let accepting = TaskTracker::new();
        for (bound, speaks) in self.listeners.drain(..) {
            let accepts = Accepts {
                door: Arc::clone(&self.door),
                speaks,
                workers: Arc::clone(&self.workers),
                connections: self.lifecycle.connections().clone(),
                shutdown: self.lifecycle.closing_clients(),
            };
            if let Some(runtime) = self.workers.accepting() {
                accepting.spawn_on(accepts.all_of(bound), runtime);
            }
        }
        accepting.close();
        accepting.wait().await;
        self.door.proxy.cleanup().await;
    }

    fn name(&self) -> &'static str {
        "proxy"
    }

    /// It only waits: connections have threads of their own.
    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

/// Accepts what comes to one listener.
struct Accepts {
    door: Arc<Door>,
    speaks: Speaks,
    workers: Arc<Workers>,
    connections: TaskTracker,
    shutdown: ShutdownWatch,
}

impl Accepts {
    /// Accepts until the process is told to stop.
    async fn all_of(self, bound: Bound) {
        let address = bound.address();
        let listener = match TcpListener::from_std(bound.into_listener()) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%address, %error, "cannot accept connections"),
        };
        let mut stop = self.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(accepted) => self.seat(accepted),
                Err(error) => pause(&error).await,
            }
        }
    }

    /// Gives a connection to a thread, if there is a place for it.
    fn seat(&self, (stream, peer): (TcpStream, SocketAddr)) {
        // Each thread hears of its own connections; fails only if the process is at its end.
        let Ok(stream) = stream.into_std() else { return };
        let Ok(place) = self.door.places.enter() else { return };
        let Some((runtime, seat)) = self.workers.seat() else { return };
        let (door, speaks, shutdown) = (Arc::clone(&self.door), self.speaks, self.shutdown.clone());
        let served = async move {
            door.open((stream, speaks), peer, (place, seat), &shutdown).await;
        };
        self.connections.spawn_on(served, runtime);
    }
}

/// A connection that was broken off before it was accepted is nothing. Anything else, such as no more
/// file descriptors, comes again at once: a moment's rest lets others give theirs back.
pub(crate) async fn pause(error: &io::Error) {
    if !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    ) {
        tracing::warn!(%error, "connections cannot be accepted");
        sleep(Duration::from_millis(100)).await;
    }
}

impl Door {
    /// Opens a connection and serves it. What fails before the first request has nobody to be told.
    async fn open(
        self: &Arc<Self>,
        stream: (std::net::TcpStream, Speaks),
        peer: SocketAddr,
        places: (Place, Seat),
        shutdown: &ShutdownWatch,
    ) {
        let opening = Duration::from_secs(self.bounds.opening_timeout_seconds.get());
        match timeout(opening, self.prepare(stream, peer, places)).await {
            Ok(Ok((conduit, Protocol::Http1))) => http1::serve(self, conduit, shutdown).await,
            Ok(Ok((conduit, Protocol::Http2))) => http2::serve(self, conduit, shutdown).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection was not opened"),
            Err(_) => tracing::debug!(%peer, "a connection was not opened in time"),
        }
    }

    async fn prepare(
        &self,
        (stream, speaks): (std::net::TcpStream, Speaks),
        peer: SocketAddr,
        (place, seat): (Place, Seat),
    ) -> io::Result<(Box<Conduit>, Protocol)> {
        let stream = TcpStream::from_std(stream)?;
        // An answer is sent when it is ready, not when the client has acknowledged the one before.
        stream.set_nodelay(true)?;
        let (stream, client) = if self.trust.sends_proxy_header(peer.ip()) {
            opening::read_proxy_header(stream, peer).await?
        } else {
            (Rewound::new(BytesMut::new(), stream), peer)
        };
        // All that a proxy in front passes on comes from one address.
        let place = if self.trust.forwards(client.ip()) {
            place
        } else {
            place.of_client(client.ip()).map_err(|full| io::Error::other(format!("{full:?}")))?
        };
        let (transport, tls) = match speaks {
            Speaks::Plain => (Transport::Plain(stream), None),
            Speaks::Tls => {
                let (stream, facts) = self.tls.accept(stream).await.map_err(io::Error::other)?;
                (Transport::Tls(Box::new(stream)), Some(facts))
            }
        };
        let agreed = tls.as_ref().map(|facts| facts.protocol);
        let connection = Arc::new(Connection {
            client,
            tls,
            tenants: Mutex::default(),
            begun: Begun::default(),
            seat,
            _place: place,
        });
        let conduit = Conduit::new(transport, &connection).map_err(io::Error::other)?;
        let mut conduit = Box::new(conduit);
        let protocol = match agreed {
            Some(protocol) => protocol,
            None if self.http2.plaintext => detect(&mut conduit).await?,
            None => Protocol::Http1,
        };
        Ok((conduit, protocol))
    }

    /// The answer to what never became a request; it is counted and logged.
    pub(super) fn refused(
        &self,
        reason: Reason,
        detail: Option<&'static str>,
        connection: &Connection,
    ) -> Vec<u8> {
        let request_id = self.refusals.record(reason, connection);
        respond::unparsed(&Refusal::new(reason, detail), request_id)
    }
}

/// HTTP/2 with prior knowledge begins with bytes that no HTTP/1 request begins with (RFC 9113,
/// section 3.4).
async fn detect(conduit: &mut Conduit) -> io::Result<Protocol> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut bytes = BytesMut::with_capacity(PREFACE.len());
    while bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) {
        if conduit.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    let is_http2 = bytes.starts_with(PREFACE);
    conduit.unread(bytes);
    Ok(if is_http2 { Protocol::Http2 } else { Protocol::Http1 })
}
