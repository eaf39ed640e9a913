//! Request ids: unique, cheap, and never the client's own.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// The identity of one request in answers, logs and towards the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId(u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Gives out ids: the upper half is drawn when the process starts, the lower half counts from a drawn
/// number on. A random draw per request would cost more and promise no more.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(random: u128) -> Self {
        let [process, next] = [random >> 64, random]
            .map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        Self { process, next: AtomicU64::new(next) }
    }

    pub(crate) fn next(&self) -> RequestId {
        RequestId(
            u128::from(self.process) << 64 | u128::from(self.next.fetch_add(1, Ordering::Relaxed)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_on_from_a_random_start() {
        let ids = RequestIds::new(0xfe << 64 | u128::from(u64::MAX));
        assert_eq!(ids.next().to_string(), "00000000000000feffffffffffffffff");
        assert_eq!(ids.next().to_string(), "00000000000000fe0000000000000000");
    }
}
