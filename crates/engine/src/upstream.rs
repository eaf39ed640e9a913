//! Upstreams: which endpoint a request goes to.
//!
//! An upstream is compiled anew when it is changed, and what is known of its endpoints goes on: their
//! health, ejections and requests in progress are behind `Arc`s that are found again by address.
//!
//! If no endpoint can be used, nothing is picked and the request is refused. Sending it to an
//! endpoint that is known to be down ("panic mode") was rejected: it holds the client up to be told
//! the same, and it hits the endpoint while it comes back.

mod endpoint;
mod load;
mod ring;
mod rotation;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

pub use endpoint::{Checked, EndpointReading, EndpointState, Picked, Standing};
pub use load::{Held, Outcome, UpstreamCounts, UpstreamNames};
pub use tls::{CompiledTls, TlsFault};

use load::UpstreamLoad;
use ring::Ring;
use rotation::{Draw, rotation};
use tenantry_model::{
    Bounded, Endpoint, Upstream,
    upstream::{HashOn, Policy, Retries},
};

/// Requests that may be tried again at once, however few are in progress.
const LEAST_RETRIES: u64 = 10;

/// What a pick depends on besides the upstream.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// The monotonic clock.
    pub now: Duration,
    /// The hash of the caller, by [`CompiledUpstream::hash`]; only looked at if there is a
    /// [`CompiledUpstream::hash_on`].
    pub hash: u64,
    /// Any random number.
    pub random: u64,
    /// Indexes of endpoints that were tried already; taken again only if there is no other.
    pub avoid: &'a [usize],
}

/// An upstream with what is needed to pick an endpoint.
#[derive(Debug)]
pub struct CompiledUpstream {
    spec: Upstream,
    states: Vec<Arc<EndpointState>>,
    chooser: Chooser,
    /// Where the rotation stands; handed on from snapshot to snapshot.
    next: Arc<AtomicUsize>,
    load: Arc<UpstreamLoad>,
    tls: Option<Arc<CompiledTls>>,
    pool: u64,
}

#[derive(Debug)]
enum Chooser {
    /// Indexes of endpoints, each as often as its weight says, spread out.
    Rotation(Vec<usize>),
    Draw(Draw),
    Ring(Ring),
}

impl CompiledUpstream {
    pub(crate) fn new(
        spec: Upstream,
        previous: Option<&Self>,
        names: &Arc<UpstreamNames>,
    ) -> Result<Self, TlsFault> {
        let tls = spec.tls.as_deref().map(CompiledTls::new).transpose()?.map(Arc::new);
        let endpoints = spec.endpoints.as_slice();
        let known = |endpoint: &Endpoint| {
            let previous = previous?;
            let place = previous
                .spec
                .endpoints
                .as_slice()
                .iter()
                .position(|known| known.address == endpoint.address)?;
            previous.states.get(place).cloned()
        };
        let states = endpoints.iter().map(|endpoint| known(endpoint).unwrap_or_default()).collect();
        let weights: Vec<usize> =
            endpoints.iter().map(|endpoint| usize::from(endpoint.weight.get())).collect();
        let chooser = match spec.balance.policy() {
            Policy::RoundRobin => Chooser::Rotation(rotation(&weights)),
            Policy::LeastRequests => Chooser::Draw(Draw::new(&weights)),
            Policy::ConsistentHash => Chooser::Ring(Ring::new(endpoints)),
        };
        Ok(Self {
            states,
            chooser,
            next: previous.map(|previous| Arc::clone(&previous.next)).unwrap_or_default(),
            load: previous.map_or_else(
                || Arc::new(UpstreamLoad::new(names)),
                |previous| Arc::clone(&previous.load),
            ),
            pool: pool(&spec, tls.as_deref()),
            tls,
            spec,
        })
    }

    /// The upstream as it was written.
    #[must_use]
    pub fn spec(&self) -> &Upstream {
        &self.spec
    }

    /// Its TLS material.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<CompiledTls>> {
        self.tls.as_ref()
    }

    /// A number that differs where connections must not be shared: between upstreams, and between
    /// forms of one upstream that trust, show or speak something else.
    #[must_use]
    pub fn pool(&self) -> u64 {
        self.pool
    }

    /// What of a request is to be hashed; none if nothing is.
    #[must_use]
    pub fn hash_on(&self) -> Option<HashOn> {
        self.spec.balance.hash_on()
    }

    /// The hash for a [`Pick`]: the same in every proxy.
    #[must_use]
    pub fn hash(bytes: &[u8]) -> u64 {
        ring::hash(bytes)
    }

    /// The state of each endpoint, in the order of the endpoints.
    #[must_use]
    pub fn states(&self) -> &[Arc<EndpointState>] {
        &self.states
    }

    /// Picks an endpoint that can be used; none if there is none. The endpoint counts the request as
    /// in progress until what is returned is dropped.
    #[must_use]
    pub fn pick(&self, pick: &Pick<'_>) -> Option<Picked> {
        let index = self
            .choose(pick, pick.avoid)
            .or_else(|| if pick.avoid.is_empty() { None } else { self.choose(pick, &[]) })?;
        self.states.get(index).map(|state| Picked::new(index, state))
    }

    fn choose(&self, pick: &Pick<'_>, avoid: &[usize]) -> Option<usize> {
        let usable = |index: usize| !avoid.contains(&index) && self.is_usable(index, pick.now);
        match &self.chooser {
            Chooser::Rotation(rotation) => {
                let turns = || rotation.iter().map(|_| self.next.fetch_add(1, Relaxed));
                let at = |turn: usize| rotation.get(turn % rotation.len().max(1)).copied();
                // A turn that nobody can take is used up, so that those who can keep their shares.
                // Others take turns at the same time, and one request may be dealt only such turns: then
                // it takes the first that it can.
                turns()
                    .find_map(|turn| at(turn).filter(|index| usable(*index)))
                    .or_else(|| rotation.iter().copied().find(|index| usable(*index)))
            }
            Chooser::Draw(draw) => draw
                .two(pick.random, usable)
                .map(|(first, second)| if self.is_busier(first, second) { second } else { first }),
            Chooser::Ring(ring) => ring.walk(pick.hash).find(|index| usable(*index)),
        }
    }

    /// Whether the first has more in progress for its weight than the second.
    fn is_busier(&self, first: usize, second: usize) -> bool {
        let load = |index: usize| {
            let in_flight = self.states.get(index).map_or(0, |state| state.in_flight());
            let weight = self.spec.endpoints.as_slice().get(index).map_or(1, |it| it.weight.get());
            (u64::from(in_flight), u64::from(weight))
        };
        let ((first, first_weight), (second, second_weight)) = (load(first), load(second));
        first * second_weight > second * first_weight
    }

    fn is_usable(&self, index: usize, now: Duration) -> bool {
        self.states.get(index).is_some_and(|state| self.standing(state, now) == Standing::Healthy)
    }

    /// How an endpoint stands. What was found out by a check or an ejection that is not asked for any
    /// more does not count.
    fn standing(&self, state: &EndpointState, now: Duration) -> Standing {
        if self.spec.health_check.is_some() && state.is_unhealthy() {
            Standing::Unhealthy
        } else if self.spec.outlier.is_some() && state.is_ejected(now) {
            Standing::Ejected
        } else {
            Standing::Healthy
        }
    }

    /// Counts how a try ended, and leaves the endpoint out for a while if it failed too often.
    /// Returns for how long, if so.
    pub fn report(&self, picked: &Picked, outcome: Outcome, now: Duration) -> Option<Duration> {
        self.load.counts().add(outcome);
        let state = picked.state();
        let outlier = self.spec.outlier.as_ref()?;
        match outcome {
            Outcome::Answered => state.succeeded(),
            Outcome::OverCap => {}
            // An error that the application made itself says nothing about the server.
            Outcome::ServerError => {}
            Outcome::GatewayError
            | Outcome::ConnectFailed
            | Outcome::Broken
            | Outcome::TimedOut => {
                if state.failed() >= outlier.consecutive_failures.get() {
                    return self.eject(state, now);
                }
            }
        }
        None
    }

    fn eject(&self, state: &EndpointState, now: Duration) -> Option<Duration> {
        let outlier = self.spec.outlier.as_ref()?;
        let _one_at_a_time = self.load.ejecting();
        let ejected = self.states.iter().filter(|state| state.is_ejected(now)).count() as u64;
        let endpoints = self.states.len() as u64;
        let share = endpoints * outlier.max_ejected_percent.get() / 100;
        let most = if endpoints > 1 { share.max(1) } else { share };
        if state.is_ejected(now) || ejected >= most {
            return None;
        }
        Some(state.eject(outlier.eject_ms.as_millis(), now))
    }

    /// Counts what an active check found. Returns how the endpoint stands now if that has changed.
    pub fn checked(&self, state: &EndpointState, checked: Checked) -> Option<Standing> {
        let check = self.spec.health_check.as_ref()?;
        state.checked(checked, check.healthy_after(), check.unhealthy_after())
    }

    /// A place among the upstream's requests in progress; none if there is none left.
    #[must_use]
    pub fn enter(&self) -> Option<Held> {
        let place = self.load.requests.hold(self.spec.max_requests.map(Bounded::get));
        if place.is_none() {
            self.load.counts().add(Outcome::OverCap);
        }
        place
    }

    /// A place among the upstream's connections; none if there is none left.
    #[must_use]
    pub fn connect(&self) -> Option<Held> {
        let place = self.load.connections.hold(self.spec.max_connections.map(Bounded::get));
        if place.is_none() {
            self.load.counts().add(Outcome::OverCap);
        }
        place
    }

    /// A place among the requests that are tried again; none if the budget is used up.
    #[must_use]
    pub fn retry(&self, retries: &Retries) -> Option<Held> {
        let share = self.load.requests.count() * retries.budget_percent.get() / 100;
        self.load.retries.hold(Some(share.max(LEAST_RETRIES)))
    }

    /// Requests in progress.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.load.requests.count()
    }

    /// Connections, as far as they are counted: only where there is a cap.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.load.connections.count()
    }

    /// How tries ended; none if the upstream is counted with others.
    #[must_use]
    pub fn named_counts(&self) -> Option<&UpstreamCounts> {
        self.load.named_counts()
    }

    /// Every endpoint as it stands.
    pub fn readings(&self, now: Duration) -> impl Iterator<Item = EndpointReading<'_>> {
        let endpoints = self.spec.endpoints.as_slice().iter();
        endpoints.zip(&self.states).map(move |(endpoint, state)| {
            state.reading(&endpoint.address, self.standing(state, now), now)
        })
    }
}

fn pool(spec: &Upstream, tls: Option<&CompiledTls>) -> u64 {
    let identity = tls.map(|tls| tls.identity);
    let counted = spec.max_connections.is_some();
    ring::hash(format!("{} {:?} {counted} {identity:?}", spec.id, spec.protocol).as_bytes())
}

#[cfg(test)]
mod tests;
