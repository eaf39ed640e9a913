//! Bandwidth: how long to wait before the next bytes.

use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Unused bandwidth is saved up for this long.
const SAVED_NS: u64 = 250_000_000;

/// When the bytes that were let through so far will have had their time, in nanoseconds of the engine's
/// monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Pacer(AtomicU64);

impl Pacer {
    /// Lets bytes through after the time that is returned. Many may ask at once: each is given its turn.
    pub(crate) fn delay(&self, bytes: u64, per_second: NonZeroU64, now: Duration) -> Duration {
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let cost_ns = u128::from(bytes) * 1_000_000_000 / u128::from(per_second.get());
        let cost_ns = u64::try_from(cost_ns).unwrap_or(u64::MAX);
        let earliest = now_ns.saturating_sub(SAVED_NS);
        let mut due_ns = 0;
        // The closure always answers, so the update always succeeds.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |due| {
            due_ns = due.max(earliest).saturating_add(cost_ns);
            Some(due_ns)
        });
        Duration::from_nanos(due_ns.saturating_sub(now_ns))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_more_passes_than_the_rate_and_what_was_saved(
            pieces in prop::collection::vec((1_u64..100_000, 0_u64..50), 1..200),
        ) {
            let (pacer, rate) = (Pacer::default(), NonZeroU64::new(1_000_000).unwrap());
            let start = Duration::from_secs(1000);
            let (mut now, mut passed) = (start, 0);
            for (bytes, idle_ms) in pieces {
                now += Duration::from_millis(idle_ms) + pacer.delay(bytes, rate, now);
                passed += bytes;
                let allowed = 250_000 + u64::try_from((now - start).as_micros()).unwrap();
                prop_assert!(passed <= allowed + 1_000, "{passed} of {allowed}");
            }
        }
    }

    #[test]
    fn a_small_answer_does_not_wait() {
        let (pacer, rate) = (Pacer::default(), NonZeroU64::new(1_000).unwrap());
        let now = Duration::from_secs(1000);
        assert_eq!(pacer.delay(200, rate, now), Duration::ZERO);
        assert_eq!(pacer.delay(1_000, rate, now), Duration::from_millis(950));
    }
}
