//! Who is refused when there is more to do than can be done.
//!
//! Refusing everybody alike lets the one who asks most have most. Instead there is a level: a tenant
//! with more requests in progress than that is refused. While there is too much in progress the level
//! falls, so whoever is furthest above its share meets it first; it never falls below an equal share.
//! A tenant within its share is always let in, so what is in progress may exceed the bound by what the
//! small ones have, and not by more than the bound again.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// The level falls and rises by this part of itself.
const STEP: u32 = 16;

/// Counts requests in progress, of all tenants.
#[derive(Debug)]
pub(crate) struct Overload {
    max: u32,
    total: AtomicU32,
    /// Tenants with a request in progress.
    tenants: AtomicUsize,
    level: AtomicU32,
}

impl Overload {
    pub(crate) fn new(max: u32) -> Self {
        Self {
            max: max.max(1),
            total: AtomicU32::new(0),
            tenants: AtomicUsize::new(0),
            level: AtomicU32::new(u32::MAX),
        }
    }

    /// Takes a place for a request of a tenant that has `own` in progress, this one included.
    pub(crate) fn enter(&self, own: u32) -> bool {
        if own == 1 {
            self.tenants.fetch_add(1, Relaxed);
        }
        let total = self.total.fetch_add(1, Relaxed).saturating_add(1);
        if total <= self.max {
            if total <= self.max - self.max / 8 && self.level.load(Relaxed) < self.max {
                self.move_level(|level| level.saturating_add(1 + level / STEP));
            }
            return true;
        }
        if own > self.level.load(Relaxed).clamp(self.share(), self.max) {
            self.leave(own);
            return false;
        }
        self.move_level(|level| {
            let level = level.min(self.max);
            level.saturating_sub(1 + level / STEP).max(self.share())
        });
        true
    }

    /// Whether a request would get a place.
    pub(crate) fn has_room(&self, own: u32) -> bool {
        self.total.load(Relaxed) < self.max
            || own < self.level.load(Relaxed).clamp(self.share(), self.max)
    }

    /// Gives the place back; `own` as it was with the request.
    pub(crate) fn leave(&self, own: u32) {
        self.total.fetch_sub(1, Relaxed);
        if own == 1 {
            self.tenants.fetch_sub(1, Relaxed);
        }
    }

    fn share(&self) -> u32 {
        let tenants = u32::try_from(self.tenants.load(Relaxed)).unwrap_or(u32::MAX);
        (self.max / tenants.max(1)).max(1)
    }

    /// A move that another one overtakes is lost, and the next request makes it again.
    fn move_level(&self, to: impl Fn(u32) -> u32) {
        let level = self.level.load(Relaxed);
        self.level.store(to(level), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Requests in progress per tenant.
    struct Tenants<'a>(&'a Overload, Vec<u32>);

    impl Tenants<'_> {
        fn ask(&mut self, tenant: usize) -> bool {
            let own = self.1[tenant] + 1;
            let admitted = self.0.enter(own);
            self.1[tenant] += u32::from(admitted);
            admitted
        }

        fn finish(&mut self, tenant: usize) {
            if self.1[tenant] > 0 {
                self.0.leave(self.1[tenant]);
                self.1[tenant] -= 1;
            }
        }
    }

    #[test]
    fn the_loud_one_is_refused_and_the_others_are_not() {
        let overload = Overload::new(100);
        let mut tenants = Tenants(&overload, vec![0; 10]);
        for _ in 0..1000 {
            tenants.ask(0);
        }
        assert_eq!(tenants.1[0], 100);
        for round in 0..1000 {
            assert!(!tenants.ask(0), "round {round}");
            for quiet in 1..10 {
                assert!(tenants.ask(quiet), "round {round}");
                if round > 3 {
                    tenants.finish(quiet);
                }
            }
        }
    }

    #[test]
    fn the_furthest_above_its_share_is_refused_first() {
        let overload = Overload::new(100);
        let mut tenants = Tenants(&overload, vec![0; 4]);
        (0..60).for_each(|_| assert!(tenants.ask(0)));
        (0..40).for_each(|_| assert!(tenants.ask(1)));
        // Both are above a third; the larger meets the falling level first.
        let mut refused = None;
        while refused.is_none() {
            refused = [2, 1, 0].into_iter().find(|tenant| !tenants.ask(*tenant));
        }
        assert_eq!(refused, Some(0));
    }

    #[test]
    fn when_it_is_over_everybody_is_let_in_again() {
        let overload = Overload::new(100);
        let mut tenants = Tenants(&overload, vec![0; 2]);
        for _ in 0..500 {
            tenants.ask(0);
            tenants.ask(1);
        }
        for tenant in [0, 1].repeat(500) {
            tenants.finish(tenant);
        }
        (0..90).for_each(|request| assert!(tenants.ask(0), "{request}"));
    }

    proptest! {
        #[test]
        fn counts_come_back_and_the_bound_holds(
            steps in prop::collection::vec((0_usize..6, any::<bool>()), 0..600),
        ) {
            let overload = Overload::new(20);
            let mut tenants = Tenants(&overload, vec![0; 6]);
            for (tenant, asks) in steps {
                if asks { tenants.ask(tenant); } else { tenants.finish(tenant); }
                prop_assert!(tenants.1.iter().sum::<u32>() <= 40);
                prop_assert_eq!(overload.total.load(Relaxed), tenants.1.iter().sum::<u32>());
                prop_assert_eq!(
                    overload.tenants.load(Relaxed),
                    tenants.1.iter().filter(|own| **own > 0).count()
                );
            }
        }
    }
}
