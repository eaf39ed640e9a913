//! Rate limiting: the state that outlives a snapshot, and the rule that spends it.
//!
//! The algorithm is GCRA, as `governor` implements it. What is kept per limit is one instant: when
//! everything spent will have been earned back. `governor` binds that state to one quota for life;
//! here the quota belongs to the snapshot and the state to the tenant, so a limiter is put together
//! for each check from the two, with its clock frozen at the request's time.
//!
//! A changed limit keeps what was spent: the state remembers at which interval it was spent, and is
//! converted to the new interval, request for request, when next used. All limits of one tenant are
//! checked under one lock, so that a request is charged to all of them or to none: a refused request
//! costs nothing.

mod subjects;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use subjects::Subjects;
pub(crate) use subjects::{Budget, Subject};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tenantry_model::{LimitName, RateLimit, limits::MAX_RATE_LIMITS};

/// A rate limit with its arithmetic done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledRateLimit {
    spec: RateLimit,
    quota: Quota,
    interval_ns: u64,
}

impl CompiledRateLimit {
    /// Prepares a limit. `None` cannot happen for a validated limit: its interval is never zero.
    pub(crate) fn new(spec: &RateLimit) -> Option<Self> {
        let interval = spec.replenish_interval();
        let quota = Quota::with_period(interval)?.allow_burst(spec.burst());
        Some(Self { spec: spec.clone(), quota, interval_ns: nanoseconds(interval) })
    }

    /// The limit as it was written.
    #[must_use]
    pub fn spec(&self) -> &RateLimit {
        &self.spec
    }
}

/// What is left of one limit after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Requests that would be admitted now.
    pub remaining: u32,
    /// When everything spent will have been earned back.
    pub reset: Duration,
}

/// The levels of a tenant's limits, in the limits' order; none of limits that do not count the request.
pub(crate) type Levels = SmallVec<[Option<Level>; 4]>;

/// Which state of a limit a request is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// None: the limit does not count the request.
    None,
    /// The tenant's.
    Tenant,
    /// One subject's, or the one that newcomers share if there is no place for another.
    Subject { subject: Subject, shared: Subject },
}

/// The limits refuse; nothing was charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limited {
    /// After this time the request would be admitted.
    pub(crate) retry_after: Duration,
    /// What is left of each limit.
    pub(crate) levels: Levels,
}

/// The rate-limit state of one tenant.
#[derive(Debug, Default)]
pub(crate) struct RateLimiters(Mutex<States>);

#[derive(Debug, Default)]
struct States {
    of_tenant: SmallVec<[Spent; 1]>,
    /// Boxed: most tenants have none.
    of_subjects: Option<Box<Subjects>>,
}

/// Where a charge goes once all limits agree.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Tenant(usize),
    Subject(Subject),
}

/// What was spent of one limit.
#[derive(Debug, Clone)]
struct Spent {
    name: LimitName,
    /// Earning one request back took this long when it was spent.
    interval_ns: u64,
    /// When all will have been earned back, in nanoseconds of the engine's monotonic clock.
    earned_back_ns: u64,
}

impl RateLimiters {
    /// Checks one request against all limits, and charges it to all of them if each has room and
    /// `admit` agrees. `admit` is asked last, under the lock, and only if the limits have room.
    ///
    /// The levels are those after this request. With `None` from `admit` nothing is charged, and they
    /// are what they would have been.
    ///
    /// # Errors
    /// A limit has no room; nothing is charged.
    pub(crate) fn charge<'a, T>(
        &self,
        limits: impl Iterator<Item = (&'a CompiledRateLimit, Bucket)>,
        budget: &Arc<Budget>,
        now: Duration,
        admit: impl FnOnce() -> Option<T>,
    ) -> Result<(Option<T>, Levels), Limited> {
        let now_ns = nanoseconds(now);
        let mut states = self.0.lock();
        let mut charged: Charges<'a> = SmallVec::new();
        let mut levels = Levels::new();
        let mut retry_after = None;
        for (limit, bucket) in limits {
            let Some((slot, earned_back_ns)) = states.find(limit, bucket, budget, now_ns, &charged)
            else {
                levels.push(None);
                continue;
            };
            let debt_ns = earned_back_ns.saturating_sub(now_ns);
            let (debt_ns, level) = match check(limit, debt_ns) {
                Ok(admitted) => admitted,
                Err(wait) => {
                    retry_after = retry_after.max(Some(wait));
                    (debt_ns, Level { remaining: 0, reset: Duration::from_nanos(debt_ns) })
                }
            };
            charged.push((slot, limit, now_ns.saturating_add(debt_ns)));
            levels.push(Some(level));
        }
        if let Some(retry_after) = retry_after {
            return Err(Limited { retry_after, levels });
        }
        let Some(admitted) = admit() else { return Ok((None, levels)) };
        for (slot, limit, earned_back_ns) in charged {
            states.spend(slot, limit, earned_back_ns);
        }
        Ok((Some(admitted), levels))
    }
}

/// What is charged if all limits agree: where, for which limit, and until when it is earned back.
type Charges<'a> = SmallVec<[(Slot, &'a CompiledRateLimit, u64); MAX_RATE_LIMITS]>;

impl States {
    /// The state that a request is charged to, and when what was spent of it will have been earned back.
    fn find(
        &mut self,
        limit: &CompiledRateLimit,
        bucket: Bucket,
        budget: &Arc<Budget>,
        now_ns: u64,
        in_use: &Charges<'_>,
    ) -> Option<(Slot, u64)> {
        match bucket {
            Bucket::None => None,
            Bucket::Tenant => {
                let index = position(&mut self.of_tenant, limit, now_ns, in_use);
                let earned_back_ns =
                    self.of_tenant.get(index).map_or(now_ns, |spent| spent.earned_back_ns);
                Some((Slot::Tenant(index), earned_back_ns))
            }
            Bucket::Subject { subject, shared } => {
                let subjects =
                    self.of_subjects.get_or_insert_with(|| Box::new(Subjects::new(budget)));
                let subject = subjects.place(subject, shared, now_ns);
                Some((Slot::Subject(subject), subjects.earned_back_ns(subject, limit, now_ns)))
            }
        }
    }

    fn spend(&mut self, slot: Slot, limit: &CompiledRateLimit, earned_back_ns: u64) {
        match slot {
            Slot::Tenant(index) => {
                if let Some(spent) = self.of_tenant.get_mut(index) {
                    spent.earned_back_ns = earned_back_ns;
                }
            }
            Slot::Subject(subject) => {
                if let Some(subjects) = &mut self.of_subjects {
                    subjects.spend(subject, limit, earned_back_ns);
                }
            }
        }
    }
}

/// Finds the state of a limit, converts it to the limit's present interval, or makes it.
fn position(
    all_spent: &mut SmallVec<[Spent; 1]>,
    limit: &CompiledRateLimit,
    now_ns: u64,
    in_use: &Charges<'_>,
) -> usize {
    let name = limit.spec.name();
    if let Some(index) = all_spent.iter().position(|spent| spent.name == *name) {
        if let Some(spent) = all_spent.get_mut(index) {
            spent.convert(limit.interval_ns, now_ns);
        }
        return index;
    }
    // State of limits that are gone is dropped once it is all earned back, and not before: a limit
    // that is removed and put back must not be full again. What this request has already looked at
    // stays where it is.
    let is_stale = |(index, spent): &(usize, &Spent)| {
        spent.earned_back_ns <= now_ns
            && !in_use.iter().any(|(slot, ..)| matches!(slot, Slot::Tenant(used) if used == index))
    };
    if all_spent.len() >= 2 * MAX_RATE_LIMITS
        && let Some((stale, _)) = all_spent.iter().enumerate().find(is_stale)
        && let Some(spent) = all_spent.get_mut(stale)
    {
        *spent = Spent::nothing(limit, now_ns);
        return stale;
    }
    all_spent.push(Spent::nothing(limit, now_ns));
    all_spent.len() - 1
}

impl Spent {
    fn nothing(limit: &CompiledRateLimit, now_ns: u64) -> Self {
        Self {
            name: limit.spec.name().clone(),
            interval_ns: limit.interval_ns,
            earned_back_ns: now_ns,
        }
    }

    /// Keeps the number of requests spent when the time that each costs has changed.
    fn convert(&mut self, interval_ns: u64, now_ns: u64) {
        self.earned_back_ns =
            Self::converted(self.interval_ns, self.earned_back_ns, interval_ns, now_ns);
        self.interval_ns = interval_ns;
    }

    fn converted(from_ns: u64, earned_back_ns: u64, to_ns: u64, now_ns: u64) -> u64 {
        if from_ns == to_ns {
            return earned_back_ns;
        }
        let debt_ns = u128::from(earned_back_ns.saturating_sub(now_ns));
        let converted = debt_ns * u128::from(to_ns) / u128::from(from_ns.max(1));
        now_ns.saturating_add(u64::try_from(converted).unwrap_or(u64::MAX))
    }
}

/// One GCRA check at relative time zero: the debt after the request, or how long to wait.
fn check(limit: &CompiledRateLimit, debt_ns: u64) -> Result<(u64, Level), Duration> {
    let debt = Debt(std::cell::Cell::new(debt_ns));
    let limiter: RateLimiter<_, _, _, StateInformationMiddleware> =
        RateLimiter::new(limit.quota, debt, RequestTime);
    match limiter.check() {
        Ok(snapshot) => {
            let remaining = snapshot.remaining_burst_capacity();
            let debt_ns = limiter.into_state_store().0.get();
            Ok((debt_ns, Level { remaining, reset: Duration::from_nanos(debt_ns) }))
        }
        Err(not_until) => Err(Duration::from_nanos(not_until.earliest_possible().as_u64())),
    }
}

/// The time of the request being checked, to which all other times are relative.
#[derive(Debug, Clone, Copy)]
struct RequestTime;

impl Clock for RequestTime {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::new(0)
    }
}

/// How far ahead of the request's time everything spent will have been earned back.
#[derive(Debug)]
struct Debt(std::cell::Cell<u64>);

impl StateStore for Debt {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, debt) = f(Some(Nanos::new(self.0.get())))?;
        self.0.set(debt.as_u64());
        Ok(outcome)
    }
}

/// 64 bits of nanoseconds last for 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether the requests in progress leave room for one more.
pub(crate) fn has_room(in_flight: u32, limit: Option<NonZeroU32>) -> bool {
    limit.is_none_or(|limit| in_flight < limit.get())
}

#[cfg(test)]
mod tests;
