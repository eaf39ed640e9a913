//! How long to wait before the next attempt.

use std::time::Duration;

/// The bounds of the wait between two attempts. It doubles from the first to the last; half of each
/// wait is random, so that proxies which lost the control plane together do not return together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffBounds {
    /// The wait after the first failure, at most.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for BackoffBounds {
    fn default() -> Self {
        Self { initial: Duration::from_millis(200), max: Duration::from_secs(15) }
    }
}

/// Exponential, half of it random, between bounds.
#[derive(Debug)]
pub struct Backoff {
    bounds: BackoffBounds,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(bounds: BackoffBounds) -> Self {
        Self { bounds, failures: 0 }
    }

    /// The wait after one more failure, for a random number from 0 to 1. Never nothing: a control plane
    /// that accepts and at once closes must not be called in a tight loop.
    pub fn next_wait(&mut self, draw: f64) -> Duration {
        let doubled = self.bounds.initial.saturating_mul(2u32.saturating_pow(self.failures));
        let half = doubled.min(self.bounds.max) / 2;
        self.failures = self.failures.saturating_add(1);
        half + half.mul_f64(draw.clamp(0.0, 1.0))
    }

    /// The other end is well.
    pub fn reset(&mut self) {
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
        for (draw, expected) in
            [(0.0, [100, 200, 400, 500, 500]), (1.0, [200, 400, 800, 1000, 1000])]
        {
            let mut backoff = Backoff::new(bounds);
            let waits = expected.map(|_| backoff.next_wait(draw).as_millis());
            assert_eq!(waits, expected);
            for _ in 0..100 {
                assert!(backoff.next_wait(draw) <= bounds.max);
            }
            backoff.reset();
            assert_eq!(backoff.next_wait(draw).as_millis(), expected[0]);
        }
    }
}
