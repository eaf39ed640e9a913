//! What single callers, addresses and routes of a tenant have spent, in bounded memory.
//!
//! A limit of a tenant is one state; a limit per client address is as many as there are addresses, and
//! clients choose those. So there is a bound, and what happens at the bound matters: whoever is being
//! limited is never forgotten to make room, or a flood of new addresses would give everybody a full
//! bucket. What may be forgotten is a state that has earned everything back, because it is the same as
//! none. If there is none of those, newcomers share one state until there is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use super::{CompiledRateLimit, Spent};

/// One tenant may have this share of all places, so that its callers cannot take everybody's.
const SHARE_OF_TENANT: usize = 8;

/// States looked at when one is added: more than one, so that the old go faster than new ones come.
const SWEPT: usize = 4;

/// Places for all tenants together.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    taken: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicUsize::new(0) })
    }

    fn take(&self) -> bool {
        let taken = self
            .taken
            .fetch_update(Relaxed, Relaxed, |taken| (taken < self.max).then_some(taken + 1));
        taken.is_ok()
    }

    fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Relaxed);
    }
}

/// Whom a state is of: a keyed hash, so that nobody can make two meet.
pub(crate) type Subject = u128;

/// The states of one tenant's subjects.
#[derive(Debug)]
pub(super) struct Subjects {
    states: IndexMap<Subject, State, FixedState>,
    /// Where the next sweep begins.
    swept: usize,
    budget: Arc<Budget>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    interval_ns: u64,
    earned_back_ns: u64,
    /// Whether it takes a place of the budget; what newcomers share does not.
    is_placed: bool,
}

impl Subjects {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { states: IndexMap::default(), swept: 0, budget: Arc::clone(budget) }
    }

    /// When all that the subject has spent will have been earned back.
    pub(super) fn earned_back_ns(
        &self,
        subject: Subject,
        limit: &CompiledRateLimit,
        now_ns: u64,
    ) -> u64 {
        self.states.get(&subject).map_or(now_ns, |state| {
            Spent::converted(state.interval_ns, state.earned_back_ns, limit.interval_ns, now_ns)
        })
    }

    /// The subject itself if it has a state or can have one, else the one that newcomers share.
    pub(super) fn place(&mut self, subject: Subject, shared: Subject, now_ns: u64) -> Subject {
        if self.states.contains_key(&subject) {
            return subject;
        }
        self.sweep(SWEPT, now_ns);
        if self.has_room() {
            return subject;
        }
        // Rare, and worth a longer look.
        self.sweep(16 * SWEPT, now_ns);
        if self.has_room() { subject } else { shared }
    }

    fn has_room(&self) -> bool {
        self.states.len() < (self.budget.max / SHARE_OF_TENANT).max(1)
            && self.budget.taken.load(Relaxed) < self.budget.max
    }

    pub(super) fn spend(
        &mut self,
        subject: Subject,
        limit: &CompiledRateLimit,
        earned_back_ns: u64,
    ) {
        let state = self.states.entry(subject).or_insert_with(|| State {
            interval_ns: 0,
            earned_back_ns: 0,
            // Another tenant may have been faster: the bound gives by as many as race for it.
            is_placed: self.budget.take(),
        });
        (state.interval_ns, state.earned_back_ns) = (limit.interval_ns, earned_back_ns);
    }

    /// Forgets what has earned everything back, among the next few.
    fn sweep(&mut self, states: usize, now_ns: u64) {
        for _ in 0..states.min(self.states.len()) {
            if self.swept >= self.states.len() {
                self.swept = 0;
            }
            let is_over = self
                .states
                .get_index(self.swept)
                .is_some_and(|(_, it)| it.earned_back_ns <= now_ns);
            if is_over {
                // The last takes its place, and is looked at next.
                if let Some((_, state)) = self.states.swap_remove_index(self.swept) {
                    self.budget.give_back(usize::from(state.is_placed));
                }
            } else {
                self.swept += 1;
            }
        }
    }
}

impl Drop for Subjects {
    fn drop(&mut self) {
        self.budget.give_back(self.states.values().filter(|state| state.is_placed).count());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limiter::{Bucket, RateLimiters};

    fn limit() -> CompiledRateLimit {
        let json = serde_json::json!({"name": "a", "quota": 1, "window_seconds": 10, "burst": 2, "per": "client"});
        CompiledRateLimit::new(&serde_json::from_value(json).unwrap()).unwrap()
    }

    fn is_admitted(
        limiters: &RateLimiters,
        budget: &Arc<Budget>,
        subject: u128,
        at_s: u64,
    ) -> bool {
        let limit = limit();
        let bucket = Bucket::Subject { subject, shared: u128::MAX };
        let charged = limiters.charge(
            std::iter::once((&limit, bucket)),
            budget,
            Duration::from_secs(1000 + at_s),
            || Some(()),
        );
        charged.is_ok()
    }

    #[test]
    fn each_subject_has_its_own() {
        let (limiters, budget) = (RateLimiters::default(), Budget::new(1000));
        for subject in 0..50 {
            assert!(is_admitted(&limiters, &budget, subject, 0));
            assert!(is_admitted(&limiters, &budget, subject, 0));
            assert!(!is_admitted(&limiters, &budget, subject, 0));
        }
        assert!(is_admitted(&limiters, &budget, 7, 10) && !is_admitted(&limiters, &budget, 7, 10));
    }

    #[test]
    fn who_is_limited_is_never_forgotten_for_newcomers() {
        let (limiters, budget) = (RateLimiters::default(), Budget::new(80));
        for subject in 0..10 {
            assert!(is_admitted(&limiters, &budget, subject, 0));
            assert!(is_admitted(&limiters, &budget, subject, 0));
        }
        // There is no place: they share one bucket, which is soon empty.
        let newcomers =
            (100..10_000).filter(|subject| is_admitted(&limiters, &budget, *subject, 0));
        assert_eq!(newcomers.count(), 2);
        for subject in 0..10 {
            assert!(!is_admitted(&limiters, &budget, subject, 0), "{subject} was forgotten");
        }
        assert_eq!(budget.taken.load(Relaxed), 11);
        // Once all is earned back, everything may be forgotten.
        for subject in 20_000..20_010 {
            assert!(is_admitted(&limiters, &budget, subject, 100));
        }
        assert!(budget.taken.load(Relaxed) <= 11);
        drop(limiters);
        assert_eq!(budget.taken.load(Relaxed), 0);
    }

    #[test]
    fn tenants_do_not_take_each_others_places() {
        let budget = Budget::new(80);
        let (loud, quiet) = (RateLimiters::default(), RateLimiters::default());
        for subject in 0..10_000 {
            is_admitted(&loud, &budget, subject, 0);
        }
        for subject in 0..10 {
            assert!(is_admitted(&quiet, &budget, subject, 0), "{subject}");
            assert!(is_admitted(&quiet, &budget, subject, 0));
        }
    }
}
