//! What is known of one endpoint, whatever snapshot it is in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tenantry_model::EndpointAddress;

/// An ejection is never longer.
const LONGEST_EJECTION: Duration = Duration::from_hours(1);
/// How often an ejection is doubled at most.
const MOST_DOUBLINGS: u32 = 12;

/// What is known of an endpoint; shared by all snapshots that have it.
#[derive(Debug, Default)]
pub struct EndpointState {
    in_flight: AtomicU32,
    unhealthy: AtomicBool,
    /// Failed tries in a row.
    failures: AtomicU64,
    /// Milliseconds of the monotonic clock; 0 if it was never left out.
    ejected_until_ms: AtomicU64,
    checks: Mutex<Checks>,
    ejections: Mutex<Ejections>,
}

#[derive(Debug, Default)]
struct Checks {
    good: u64,
    bad: u64,
    last_error: Option<String>,
}

#[derive(Debug, Default)]
struct Ejections {
    in_a_row: u32,
    last: Duration,
}

/// What an active check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The answer was as expected.
    Good,
    /// It was not, or there was none; why, for operators.
    Bad(String),
}

/// Whether an endpoint is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is.
    Healthy,
    /// Its checks failed.
    Unhealthy,
    /// It failed requests, and is left out for a while.
    Ejected,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Unhealthy, Self::Ejected];

    /// The name, for metrics and people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
        }
    }
}

/// An endpoint as it stands.
#[derive(Debug)]
pub struct EndpointReading<'a> {
    /// Where it listens.
    pub address: &'a EndpointAddress,
    /// Whether it is used.
    pub standing: Standing,
    /// Requests in progress.
    pub in_flight: u32,
    /// Failed tries in a row.
    pub failures: u64,
    /// How long it is left out from now.
    pub ejected_for: Option<Duration>,
    /// Why its last check failed, if it did.
    pub check_error: Option<String>,
}

impl EndpointState {
    /// Requests in progress.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    pub(super) fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Relaxed)
    }

    pub(super) fn is_ejected(&self, now: Duration) -> bool {
        let until = self.ejected_until_ms.load(Relaxed);
        until != 0 && millis(now) < until
    }

    /// An answer ends a row of failures.
    pub(super) fn succeeded(&self) {
        // Looked at first: writing would make every request take the cache line from the others.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// One more failure; returns how many there are in a row.
    pub(super) fn failed(&self) -> u64 {
        self.failures.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Leaves the endpoint out: twice as long each time, as long as it fails again before it has
    /// worked for as long as it was last left out.
    pub(super) fn eject(&self, first: Duration, now: Duration) -> Duration {
        let mut ejections = self.ejections.lock();
        let last_end = Duration::from_millis(self.ejected_until_ms.load(Relaxed));
        if now > last_end.saturating_add(ejections.last) {
            ejections.in_a_row = 0;
        }
        let doubled = first.saturating_mul(1 << ejections.in_a_row.min(MOST_DOUBLINGS));
        ejections.last = doubled.min(LONGEST_EJECTION.max(first));
        ejections.in_a_row = ejections.in_a_row.saturating_add(1);
        self.failures.store(0, Relaxed);
        self.ejected_until_ms.store(millis(now.saturating_add(ejections.last)).max(1), Relaxed);
        ejections.last
    }

    pub(super) fn checked(
        &self,
        checked: Checked,
        healthy_after: u64,
        unhealthy_after: u64,
    ) -> Option<Standing> {
        let mut checks = self.checks.lock();
        let (row, needed, standing) = match checked {
            Checked::Good => {
                (checks.bad, checks.last_error) = (0, None);
                checks.good = checks.good.saturating_add(1);
                (checks.good, healthy_after, Standing::Healthy)
            }
            Checked::Bad(error) => {
                (checks.good, checks.last_error) = (0, Some(error));
                checks.bad = checks.bad.saturating_add(1);
                (checks.bad, unhealthy_after, Standing::Unhealthy)
            }
        };
        let unhealthy = standing == Standing::Unhealthy;
        let changes = row >= needed && self.unhealthy.swap(unhealthy, Relaxed) != unhealthy;
        changes.then_some(standing)
    }

    pub(super) fn reading<'a>(
        &self,
        address: &'a EndpointAddress,
        standing: Standing,
        now: Duration,
    ) -> EndpointReading<'a> {
        let left = self.ejected_until_ms.load(Relaxed).saturating_sub(millis(now));
        EndpointReading {
            address,
            standing,
            in_flight: self.in_flight(),
            failures: self.failures.load(Relaxed),
            ejected_for: (standing == Standing::Ejected).then(|| Duration::from_millis(left)),
            check_error: self.checks.lock().last_error.clone(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A picked endpoint. It counts the request as in progress until this is dropped.
#[derive(Debug)]
pub struct Picked {
    index: usize,
    state: Arc<EndpointState>,
}

impl Picked {
    pub(super) fn new(index: usize, state: &Arc<EndpointState>) -> Self {
        state.in_flight.fetch_add(1, Relaxed);
        Self { index, state: Arc::clone(state) }
    }

    /// Its place in the upstream's list.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// What is known of it.
    #[must_use]
    pub fn state(&self) -> &EndpointState {
        &self.state
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Relaxed);
    }
}
