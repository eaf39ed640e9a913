//! What is counted of each request, per tenant, in bounded memory.
//!
//! A set number of tenants is counted by name; all others are counted together. Whether a tenant is
//! named is settled by its first request and holds until the process ends: each count goes to exactly
//! one place, so sums are exact, and no counter ever goes back, which a ranking that is made anew at
//! each scrape could not promise.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tenantry_model::TenantId;

use crate::Reason;

/// Upper bounds of the latency histogram's buckets, in microseconds; the last bucket has no bound.
pub const LATENCY_BOUNDS_US: [u64; 12] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 2_500_000,
    10_000_000,
];

const BUCKETS: usize = LATENCY_BOUNDS_US.len() + 1;

/// How requests ended: the first digit of the status, or without an answer, because the client went
/// away or broke the connection.
pub const STATUS_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// Counters of one tenant, or of several together.
#[derive(Debug, Default)]
pub struct Usage {
    by_status_class: [AtomicU64; STATUS_CLASSES.len()],
    by_reason: [AtomicU64; Reason::ALL.len()],
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    started: AtomicU64,
    latency: [AtomicU64; BUCKETS],
    latency_sum_us: AtomicU64,
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// The status that was answered; 0 if none was.
    pub status: u16,
    /// Why it was refused, if it was.
    pub reason: Option<Reason>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// From the first header byte to the last byte of the answer.
    pub duration: Duration,
}

impl Usage {
    /// Counts a request that begins.
    pub fn start(&self) {
        self.started.fetch_add(1, Relaxed);
    }

    /// Counts a request that has ended.
    pub fn finish(&self, finished: &Finished) {
        let class = usize::from(finished.status / 100).wrapping_sub(1);
        add(self.by_status_class.get(class).or_else(|| self.by_status_class.last()), 1);
        if let Some(reason) = finished.reason {
            add(self.by_reason.get(reason as usize), 1);
        }
        add(Some(&self.request_bytes), finished.request_bytes);
        add(Some(&self.response_bytes), finished.response_bytes);
        let micros = u64::try_from(finished.duration.as_micros()).unwrap_or(u64::MAX);
        add(self.latency.get(LATENCY_BOUNDS_US.partition_point(|bound| *bound < micros)), 1);
        add(Some(&self.latency_sum_us), micros);
    }

    /// The counters at one moment. Requests that end meanwhile are in all of them or in some: each
    /// counter alone is exact.
    #[must_use]
    pub fn read(&self) -> UsageReading {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        let by_status_class = self.by_status_class.each_ref().map(load);
        let finished: u64 = by_status_class.iter().sum();
        UsageReading {
            by_status_class,
            by_reason: self.by_reason.each_ref().map(load),
            request_bytes: load(&self.request_bytes),
            response_bytes: load(&self.response_bytes),
            in_flight: load(&self.started).saturating_sub(finished),
            latency: self.latency.each_ref().map(load),
            latency_sum_us: load(&self.latency_sum_us),
        }
    }
}

fn add(counter: Option<&AtomicU64>, count: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(count, Relaxed);
    }
}

/// The values of a [`Usage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReading {
    /// Requests by how they ended, in the order of [`STATUS_CLASSES`].
    pub by_status_class: [u64; STATUS_CLASSES.len()],
    /// Requests refused, in the order of [`Reason::ALL`].
    pub by_reason: [u64; Reason::ALL.len()],
    /// Bytes of request bodies.
    pub request_bytes: u64,
    /// Bytes of answer bodies.
    pub response_bytes: u64,
    /// Requests begun and not ended.
    pub in_flight: u64,
    /// Requests by duration, one count per bucket (not cumulative).
    pub latency: [u64; BUCKETS],
    /// The sum of all durations, in microseconds.
    pub latency_sum_us: u64,
}

/// Whose requests a [`Usage`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageOwner {
    /// One tenant.
    Tenant(TenantId),
    /// All tenants that are not counted by name.
    Other,
    /// Requests that no tenant was found for.
    Unresolved,
}

/// All requests together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many have ended.
    pub requests: u64,
    /// How many of them were answered 5xx.
    pub server_errors: u64,
    /// How many of them were [denied](Reason::is_denial).
    pub denied: u64,
}

/// The counters of all tenants.
#[derive(Debug)]
pub struct Usages {
    named_at_most: usize,
    named: Mutex<Vec<(TenantId, Arc<Usage>)>>,
    other: Arc<Usage>,
    unresolved: Arc<Usage>,
}

impl Usages {
    /// Counts `named_at_most` tenants by name.
    #[must_use]
    pub fn new(named_at_most: usize) -> Self {
        Self {
            named_at_most,
            named: Mutex::default(),
            other: Arc::default(),
            unresolved: Arc::default(),
        }
    }

    /// The counters for a tenant that is seen for the first time.
    pub(crate) fn admit(&self, tenant: TenantId) -> Arc<Usage> {
        let mut named = self.named.lock();
        // A tenant that was removed and brought back finds the counters it had.
        if let Some((_, usage)) = named.iter().find(|(id, _)| *id == tenant) {
            return Arc::clone(usage);
        }
        if named.len() >= self.named_at_most {
            return Arc::clone(&self.other);
        }
        let usage = Arc::<Usage>::default();
        named.push((tenant, Arc::clone(&usage)));
        usage
    }

    /// The counters for requests that no tenant was found for.
    #[must_use]
    pub fn unresolved(&self) -> &Arc<Usage> {
        &self.unresolved
    }

    /// All requests that have ended, whosever they were.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (_, usage) in self.read() {
            let [_, _, _, _, server_errors, _] = usage.by_status_class;
            totals.requests += usage.by_status_class.iter().sum::<u64>();
            totals.server_errors += server_errors;
            let denied = Reason::ALL.iter().zip(usage.by_reason);
            totals.denied +=
                denied.filter(|(reason, _)| reason.is_denial()).map(|(_, n)| n).sum::<u64>();
        }
        totals
    }

    /// All counters, for a scrape.
    #[must_use]
    pub fn read(&self) -> Vec<(UsageOwner, UsageReading)> {
        let named = self.named.lock().clone();
        let named = named.iter().map(|(id, usage)| (UsageOwner::Tenant(*id), usage.read()));
        let rest = [
            (UsageOwner::Other, self.other.read()),
            (UsageOwner::Unresolved, self.unresolved.read()),
        ];
        named.chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_on_names_and_an_exact_rest() {
        let usages = Usages::new(2);
        for round in 0..3 {
            for tenant in 0..5_u128 {
                let usage = usages.admit(TenantId::from_parts(0, tenant));
                usage.start();
                if round < 2 {
                    usage.finish(&Finished {
                        status: if tenant == 0 { 0 } else { 204 },
                        reason: (tenant == 1).then_some(Reason::Overloaded),
                        request_bytes: 10,
                        response_bytes: 1,
                        duration: Duration::from_millis(1),
                    });
                }
            }
        }
        let readings = usages.read();
        let owners: Vec<_> = readings.iter().map(|(owner, _)| *owner).collect();
        let named = |tenant| UsageOwner::Tenant(TenantId::from_parts(0, tenant));
        assert_eq!(owners, [named(0), named(1), UsageOwner::Other, UsageOwner::Unresolved]);
        let (first, second, other) = (&readings[0].1, &readings[1].1, &readings[2].1);
        assert_eq!(first.by_status_class, [0, 0, 0, 0, 0, 2]);
        assert_eq!(second.by_reason[Reason::Overloaded as usize], 2);
        assert_eq!(other.by_status_class, [0, 6, 0, 0, 0, 0]);
        assert_eq!((other.request_bytes, other.response_bytes, other.in_flight), (60, 6, 3));
        assert_eq!(usages.totals(), Totals { requests: 10, server_errors: 0, denied: 0 });
        let end = |status, reason| Finished {
            status,
            reason: Some(reason),
            request_bytes: 0,
            response_bytes: 0,
            duration: Duration::ZERO,
        };
        usages.unresolved().finish(&end(404, Reason::UnknownHost));
        usages.unresolved().finish(&end(400, Reason::BadRequest));
        usages.unresolved().finish(&end(503, Reason::Overloaded));
        assert_eq!(usages.totals(), Totals { requests: 13, server_errors: 1, denied: 1 });
        // A duration on a bucket's bound belongs to that bucket, as Prometheus has it.
        assert_eq!(other.latency[1], 6);
    }
}
