//! Asks endpoints how they are.
//!
//! One task keeps a queue of checks by the time they are due. Checks run side by side up to a bound,
//! first ones and repeated ones are spread by chance, and a check that finds no room waits in the
//! queue: ten thousand upstreams make a longer round, not a storm.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use pingora::{connectors::http::Connector as HttpConnector, http::RequestHeader};
use tenantry_engine::{Checked, CompiledUpstream, EndpointState};
use tenantry_model::{
    EndpointAddress, UpstreamId,
    upstream::{CheckKind, HealthCheck, Protocol},
};
use tokio::{net::TcpStream, sync::Semaphore};

use super::{Connector, Resolver};
use crate::{
    active::{Active, ActiveState},
    clock::Clock,
};

/// How often due checks and changed upstreams are looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The first check of an endpoint comes within this time.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// Runs the checks of all upstreams.
pub(crate) struct Prober {
    connector: Arc<Connector>,
    resolver: Arc<Resolver>,
    active: Arc<Active>,
    clock: Clock,
    http: HttpConnector,
    room: Arc<Semaphore>,
}

type Key = (UpstreamId, EndpointAddress);

/// Checks by the time they are due; the number keeps those of one time apart.
#[derive(Default)]
struct Queue {
    due: BTreeMap<(Duration, u64), Key>,
    known: HashMap<Key, Check>,
    number: u64,
}

#[derive(Clone)]
struct Check {
    upstream: Arc<CompiledUpstream>,
    state: Arc<EndpointState>,
}

impl Prober {
    pub(crate) fn new(
        connector: Arc<Connector>,
        resolver: Arc<Resolver>,
        active: Arc<Active>,
        clock: Clock,
        at_once: usize,
    ) -> Self {
        let (http, room) = (HttpConnector::new(None), Arc::new(Semaphore::new(at_once)));
        Self { connector, resolver, active, clock, http, room }
    }

    /// Checks for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut queue = Queue::default();
        let mut seen: Option<Arc<ActiveState>> = None;
        let mut interval = tokio::time::interval(LOOK_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let Some(state) = self.active.load() else { continue };
            let now = self.clock.now().monotonic;
            let is_same = |seen: &Arc<ActiveState>| seen.table.has_upstreams_of(&state.table);
            if !seen.as_ref().is_some_and(is_same) {
                queue.follow(state.table.upstreams(), now);
                seen = Some(state);
            }
            self.start_due(&mut queue, now);
        }
    }

    fn start_due(self: &Arc<Self>, queue: &mut Queue, now: Duration) {
        while let Some(entry) = queue.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else { return };
            let key = entry.remove();
            let Some(check) = queue.known.get(&key).cloned() else { continue };
            let Some(spec) = check.upstream.spec().health_check.clone() else { continue };
            queue.push(now.saturating_add(spread(spec.interval())), key.clone());
            let prober = Arc::clone(self);
            tokio::spawn(async move {
                prober.check(&key.1, &spec, &check).await;
                drop(place);
            });
        }
    }

    async fn check(&self, endpoint: &EndpointAddress, spec: &HealthCheck, check: &Check) {
        let found = tokio::time::timeout(spec.timeout(), self.ask(endpoint, spec, &check.upstream));
        let checked = match found.await {
            Ok(Ok(())) => Checked::Good,
            Ok(Err(error)) => Checked::Bad(error),
            Err(_) => Checked::Bad(format!("no answer within {} ms", spec.timeout().as_millis())),
        };
        let why = format!("{checked:?}");
        if let Some(standing) = check.upstream.checked(&check.state, checked) {
            tracing::warn!(
                upstream = %check.upstream.spec().id,
                endpoint = %endpoint,
                standing = standing.as_str(),
                last_check = why,
                "endpoint changed"
            );
        }
    }

    async fn ask(
        &self,
        endpoint: &EndpointAddress,
        spec: &HealthCheck,
        upstream: &CompiledUpstream,
    ) -> Result<(), String> {
        let text = |error: pingora::BError| error.to_string();
        let address = self.resolver.address(endpoint).await.map_err(text)?;
        if spec.kind() == CheckKind::Tcp {
            let connected = TcpStream::connect(address).await;
            return connected.map(drop).map_err(|error| error.to_string());
        }
        let mut peer = self.connector.plain_peer(upstream, endpoint, address);
        peer.options.connection_timeout = Some(spec.timeout());
        let (mut session, _) = self.http.get_http_session(&*peer).await.map_err(text)?;
        session.set_read_timeout(Some(spec.timeout()));
        let request = request(endpoint, spec, upstream).map_err(text)?;
        session.write_request_header(Box::new(request)).await.map_err(text)?;
        session.finish_request_body().await.map_err(text)?;
        loop {
            session.read_response_header().await.map_err(text)?;
            let status = session.response_header().map_or(0, |header| header.status.as_u16());
            match status {
                100..=199 if status != 101 => {}
                _ if spec.expects(status) => return Ok(()),
                _ => return Err(format!("the answer was {status}")),
            }
        }
    }
}

fn request(
    endpoint: &EndpointAddress,
    spec: &HealthCheck,
    upstream: &CompiledUpstream,
) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build("GET", spec.path().as_bytes(), Some(4))?;
    let host = spec.host().map_or_else(|| endpoint.to_string(), ToString::to_string);
    if upstream.spec().protocol == Protocol::Http2 {
        let scheme = if upstream.tls().is_some() { "https" } else { "http" };
        let uri = http::Uri::builder().scheme(scheme).authority(host).path_and_query(spec.path());
        request.set_version(http::Version::HTTP_2);
        request.set_uri(uri.build().unwrap_or_default());
    } else {
        request.insert_header("host", host)?;
        request.insert_header("connection", "close")?;
    }
    request.insert_header("user-agent", "tenantry-health-check")?;
    Ok(request)
}

impl Queue {
    /// Takes over what the snapshot asks for. What was asked for before keeps its time.
    fn follow<'a>(
        &mut self,
        upstreams: impl Iterator<Item = &'a Arc<CompiledUpstream>>,
        now: Duration,
    ) {
        let (mut wanted, mut changed) = (HashSet::new(), HashSet::new());
        for upstream in upstreams.filter(|upstream| upstream.spec().health_check.is_some()) {
            let endpoints = upstream.spec().endpoints.as_slice().iter().zip(upstream.states());
            for (endpoint, state) in endpoints {
                let key = (upstream.spec().id.clone(), endpoint.address.clone());
                let check = Check { upstream: Arc::clone(upstream), state: Arc::clone(state) };
                wanted.insert(key.clone());
                let before = self.known.insert(key.clone(), check);
                let same_check = before.is_some_and(|before| {
                    before.upstream.spec().health_check == upstream.spec().health_check
                });
                if !same_check {
                    changed.insert(key);
                }
            }
        }
        self.known.retain(|key, _| wanted.contains(key));
        self.due.retain(|_, key| wanted.contains(key) && !changed.contains(key));
        for key in changed {
            self.push(now.saturating_add(FIRST_WITHIN.mul_f64(rand::random())), key);
        }
    }

    fn push(&mut self, at: Duration, key: Key) {
        self.number = self.number.wrapping_add(1);
        self.due.insert((at, self.number), key);
    }
}

/// An interval, a tenth longer or shorter, by chance.
fn spread(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}

#[cfg(test)]
mod tests;
