//! How an endpoint is reached.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::RawFd,
    sync::Arc,
    time::Duration,
};

use pingora::{
    Error, ErrorType, Result,
    proxy::Session,
    upstreams::peer::{ALPN, HttpPeer},
    utils::tls::{CertKey, WrappedX509, parse_x509},
};
use tenantry_engine::{CompiledTls, CompiledUpstream, Forward, HeaderLookup, Outcome, Picked};
use tenantry_model::{
    Bounded, EndpointAddress,
    route::RouteTimeouts,
    upstream::{Protocol, Retries, Timeouts},
};

use super::{
    attempts::{Attempts, Patience, upstream_error},
    caller::Caller,
    handshake::Dialer,
    line::{Lines, Purpose},
    resolver::Resolver,
    shelf::Shelf,
};
use crate::{bootstrap::UpstreamBounds, clock::Clock, connection::workers::WorkerId};

/// Connections that wait are looked after this often.
const SWEEP: Duration = Duration::from_secs(1);
/// Streams that share an HTTP/2 connection.
const MAX_H2_STREAMS: usize = 100;

/// Makes peers for requests and checks.
#[derive(Debug)]
pub(crate) struct Connector {
    bounds: UpstreamBounds,
    clock: Clock,
    resolver: Arc<Resolver>,
    lines: Arc<Lines>,
    dialer: Dialer,
    shelf: Shelf,
}

impl Connector {
    /// For so many threads.
    pub(crate) fn new(
        bounds: UpstreamBounds,
        threads: usize,
        clock: Clock,
        resolver: Arc<Resolver>,
    ) -> Self {
        let idle = Duration::from_secs(bounds.idle_timeout_seconds.get());
        let shelf = Shelf::new(bounds.idle_connections.get().saturating_mul(threads), idle);
        Self { bounds, clock, resolver, lines: Arc::default(), dialer: Dialer::new(), shelf }
    }

    /// The relay's connections that wait for their next request.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// How long an upstream may take to accept what is written.
    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.bounds.write_timeout_seconds.get())
    }

    /// Whether the relay can speak with an upstream: HTTP/1.1 without TLS, over connections that nobody counts.
    pub(crate) fn is_relayed(upstream: &CompiledUpstream) -> bool {
        let spec = upstream.spec();
        upstream.tls().is_none()
            && spec.protocol != Protocol::Http2
            && spec.max_connections.is_none()
    }

    /// Looks after connections that wait, for ever.
    pub(crate) async fn keep_swept(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.shelf.sweep(self.clock.monotonic());
        }
    }

    /// Takes a place in the upstream; none if it has as many requests as it may have.
    pub(crate) fn begin(
        &self,
        forward: &Forward,
        headers: &dyn HeaderLookup,
        (client, worker): (IpAddr, WorkerId),
        started: Duration,
    ) -> Option<Attempts> {
        let upstream = &forward.upstream;
        let place = upstream.enter()?;
        let timeouts = of_route(forward.route.timeouts()).or(upstream.spec().timeouts);
        let patience = self.patience(timeouts, started);
        let retries = upstream.spec().retries.as_deref().cloned().unwrap_or_else(|| self.retries());
        let mut attempts =
            Attempts::new(upstream, place, (patience, retries), rand::random(), worker);
        if let Some(on) = upstream.hash_on() {
            let caller = Caller {
                tenant: forward.tenant().map(|tenant| tenant.id()),
                key: forward
                    .identity()
                    .and_then(|identity| identity.key.as_ref())
                    .map(|key| key.id),
                client,
            };
            attempts.hash = caller.hash(&on, headers);
        }
        Some(attempts)
    }

    fn retries(&self) -> Retries {
        let attempts = self.bounds.connect_attempts.get().saturating_sub(1);
        Retries { attempts: Bounded::clamped(attempts as u64), ..Retries::default() }
    }

    fn patience(&self, timeouts: Timeouts, started: Duration) -> Patience {
        let read = Duration::from_secs(self.bounds.read_timeout_seconds.get());
        let connect = Duration::from_secs(self.bounds.connect_timeout_seconds.get());
        Patience {
            connect: timeouts.connect_ms.map_or(connect, Bounded::as_millis),
            first_byte: timeouts.first_byte_ms.map_or(read, Bounded::as_millis),
            idle: timeouts.idle_ms.map_or(read, Bounded::as_millis),
            deadline: timeouts.total_ms.map(|total| started.saturating_add(total.as_millis())),
        }
    }

    /// Says that the client asks for another protocol, if it does.
    pub(crate) fn heed_upgrade(&self, attempts: &mut Attempts, session: &mut Session) {
        attempts.wants_upgrade = session.is_upgrade_req();
        attempts.keeps_order = is_bare_handshake(session);
    }

    /// The endpoint for the next try.
    pub(crate) async fn endpoint(&self, attempts: &mut Attempts) -> Result<SocketAddr> {
        let now = self.clock.monotonic();
        if attempts.is_over(now) {
            return upstream_error(ErrorType::ReadTimedout, "the time for the request is over");
        }
        let Some(index) = attempts.pick(now).map(Picked::index) else {
            return Err(Error::explain(ErrorType::ConnectNoRoute, "no endpoint can be used"));
        };
        let upstream = Arc::clone(&attempts.upstream);
        let endpoints = upstream.spec().endpoints.as_slice();
        let Some(endpoint) = endpoints.get(index) else {
            return Err(Error::explain(ErrorType::ConnectNoRoute, "no such endpoint"));
        };
        match self.resolver.address(&endpoint.address).await {
            Ok(address) => Ok(address),
            Err(mut error) => {
                attempts.report(Outcome::ConnectFailed, now);
                error.set_retry(attempts.may_retry(now));
                Err(error)
            }
        }
    }

    /// The peer for the next try.
    pub(crate) async fn peer(&self, attempts: &mut Attempts) -> Result<Box<HttpPeer>> {
        let address = self.endpoint(attempts).await?;
        let now = self.clock.monotonic();
        let upstream = Arc::clone(&attempts.upstream);
        let index = attempts.picked.as_ref().map_or(0, Picked::index);
        let Some(endpoint) = upstream.spec().endpoints.as_slice().get(index) else {
            return Err(Error::explain(ErrorType::ConnectNoRoute, "no such endpoint"));
        };
        let mut peer = self.plain_peer(&upstream, &endpoint.address, address);
        if attempts.wants_upgrade && upstream.spec().protocol == Protocol::Auto {
            peer.options.alpn = ALPN::H1;
        }
        // Pingora lets a connection that waits be taken by one thread alone without losing it. Where connections are
        // counted, others' are better than none.
        if upstream.spec().max_connections.is_none() {
            peer.group_key = attempts.worker.own(peer.group_key);
        }
        self.bound(&mut peer, attempts, now);
        if attempts.keeps_order && upstream.spec().protocol != Protocol::Http2 {
            attempts.handshake = Some(self.dialer.keep_order(&mut peer));
        }
        Ok(peer)
    }

    /// A peer with the upstream's identity, without the times of a request.
    pub(super) fn plain_peer(
        &self,
        upstream: &CompiledUpstream,
        endpoint: &EndpointAddress,
        address: SocketAddr,
    ) -> Box<HttpPeer> {
        let mut peer = Box::new(HttpPeer::new(address, upstream.tls().is_some(), String::new()));
        peer.group_key = upstream.pool();
        let spec = upstream.spec();
        if let (Some(tls), Some(written)) = (upstream.tls(), &spec.tls) {
            // Without a name pingora would not check the certificate at all, so there is always one.
            peer.sni = match (&written.server_name, endpoint) {
                (Some(name), _) => name.as_str().to_owned(),
                (None, EndpointAddress::Name { host, .. }) => host.clone(),
                (None, EndpointAddress::Socket(address)) => address.ip().to_string(),
            };
            let prepared = tls.prepared(Prepared::new);
            peer.options.ca.clone_from(&prepared.authorities);
            peer.client_cert_key.clone_from(&prepared.client);
            peer.options.verify_cert = written.verify;
        }
        peer.options.alpn = match spec.protocol {
            Protocol::Http1 => ALPN::H1,
            Protocol::Http2 => ALPN::H2,
            Protocol::Auto => ALPN::H2H1,
        };
        peer.options.max_h2_streams = MAX_H2_STREAMS;
        let seconds = |seconds: std::num::NonZeroU64| Some(Duration::from_secs(seconds.get()));
        peer.options.write_timeout = seconds(self.bounds.write_timeout_seconds);
        peer.options.idle_timeout = seconds(self.bounds.idle_timeout_seconds);
        peer
    }

    /// Sets the times of a request, and has the connection watched where pingora's own time-out does
    /// not do. An HTTP/2 connection serves others too and cannot be cut.
    fn bound(&self, peer: &mut HttpPeer, attempts: &mut Attempts, now: Duration) {
        let patience = attempts.patience;
        let spec = attempts.upstream.spec();
        let left = patience.deadline.map(|deadline| deadline.saturating_sub(now));
        let within = |time: Duration| Some(left.map_or(time, |left| left.min(time)));
        peer.options.connection_timeout = within(patience.connect);
        peer.options.total_connection_timeout = within(patience.connect);
        let longest = patience.first_byte.max(patience.idle);
        let is_http1 = spec.protocol == Protocol::Http1;
        let purpose = Purpose {
            counted: spec.max_connections.is_some(),
            watched: is_http1 && (left.is_some() || patience.first_byte != patience.idle),
        };
        peer.options.read_timeout = if is_http1 { Some(longest) } else { within(longest) };
        if purpose.watched {
            // Connections that cannot be cut stay among themselves.
            peer.group_key ^= 1;
        }
        if purpose.watched || purpose.counted {
            attempts.line = Some(self.lines.attach(peer, &attempts.upstream, purpose));
            attempts.is_watched = purpose.watched;
        }
    }

    /// A connection is there, new or used before.
    pub(crate) fn connected(&self, attempts: &mut Attempts, was_reused: bool, descriptor: RawFd) {
        if let Some(handshake) = &attempts.handshake {
            handshake.begin();
        }
        if !attempts.is_watched {
            return;
        }
        let line = if was_reused { self.lines.find(descriptor) } else { attempts.line.clone() };
        attempts.connected(line, self.clock);
    }
}

/// Whether pingora passes on that a WebSocket is asked for, without a body. What has one is let be: the
/// server may have to speak before the body is there, and knows of its end only when pingora does.
fn is_bare_handshake(session: &mut Session) -> bool {
    let upgrade = session.req_header().headers.get(http::header::UPGRADE);
    let is_websocket = upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    is_websocket && session.is_upgrade_req() && session.is_body_empty()
}

/// TLS material as pingora wants it.
#[derive(Debug)]
struct Prepared {
    authorities: Option<Arc<[WrappedX509]>>,
    client: Option<Arc<CertKey>>,
}

impl Prepared {
    /// The parser panics on damaged certificates; these were parsed before.
    fn new(tls: &CompiledTls) -> Self {
        let authorities =
            tls.authorities.iter().map(|der| WrappedX509::new(der.clone(), parse_x509));
        let authorities: Vec<_> = authorities.collect();
        Self {
            authorities: (!authorities.is_empty()).then(|| authorities.into()),
            client: tls
                .client
                .as_ref()
                .map(|client| Arc::new(CertKey::new(client.chain.clone(), client.key.clone()))),
        }
    }
}

/// What a route says goes before what its upstream says.
fn of_route(timeouts: RouteTimeouts) -> Timeouts {
    let RouteTimeouts { first_byte_ms, idle_ms, total_ms } = timeouts;
    Timeouts {
        connect_ms: None,
        first_byte_ms: first_byte_ms.map(|ms| Bounded::clamped(ms.get().into())),
        idle_ms: idle_ms.map(|ms| Bounded::clamped(ms.get().into())),
        total_ms: total_ms.map(|ms| Bounded::clamped(ms.get().into())),
    }
}
