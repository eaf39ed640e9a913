//! The machine's clocks, read once per request and passed on.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tenantry_engine::Now;
use tenantry_model::Timestamp;

/// The clocks, with the origin of the monotonic one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that is passed in everywhere else"
)]
impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The clock that never goes back, alone.
    pub(crate) fn monotonic(self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Now { unix: Timestamp::from_unix_ms(unix_ms), monotonic: self.origin.elapsed() }
    }
}
