//! How long to wait before the next attempt.

use std::time::Duration;

use crate::{BackoffBounds, Jitter};

/// Exponential, half of it random, between bounds.
#[derive(Debug)]
pub(crate) struct Backoff {
    bounds: BackoffBounds,
    jitter: Jitter,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(bounds: BackoffBounds, jitter: Jitter) -> Self {
        Self { bounds, jitter, failures: 0 }
    }

    /// The wait after one more failure. Never nothing: a control plane that accepts and at once
    /// closes must not be called in a tight loop.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let doubled = self.bounds.initial.saturating_mul(2u32.saturating_pow(self.failures));
        let half = doubled.min(self.bounds.max) / 2;
        self.failures = self.failures.saturating_add(1);
        half + half.mul_f64(self.jitter.draw())
    }

    /// The other end is well.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_start_over() {
        let bounds =
            BackoffBounds { initial: Duration::from_millis(200), max: Duration::from_secs(1) };
        for (jitter, expected) in
            [(0.0, [100, 200, 400, 500, 500]), (1.0, [200, 400, 800, 1000, 1000])]
        {
            let mut backoff = Backoff::new(bounds, Jitter::new(move || jitter));
            let waits = expected.map(|_| backoff.next_wait().as_millis());
            assert_eq!(waits, expected);
            for _ in 0..100 {
                assert!(backoff.next_wait() <= bounds.max);
            }
            backoff.reset();
            assert_eq!(backoff.next_wait().as_millis(), expected[0]);
        }
    }
}
