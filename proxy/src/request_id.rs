//! Request ids: unique, cheap, and never the client's own.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use tenantry_wire::hexadecimal::digits;

/// The identity of one request in answers, logs and towards the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId(u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl RequestId {
    /// As it is written everywhere.
    pub(crate) fn text(self) -> [u8; 32] {
        digits(self.0)
    }

    /// The trace that begins with this request; never zero.
    pub(crate) fn trace_id(self) -> u128 {
        self.0.max(1)
    }

    /// What this request's own part of a trace is called; never zero.
    pub(crate) fn span_id(self) -> u64 {
        self.draw().max(1)
    }

    /// A number that looks as if it was drawn, and is another one for each request of a process: the
    /// finaliser of SplitMix64 over the half that counts. One part of requests is taken by it.
    pub(crate) fn draw(self) -> u64 {
        let [process, count] = [self.0 >> 64, self.0 & u128::from(u64::MAX)]
            .map(|half| u64::try_from(half).unwrap_or(0));
        let mut number = count.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ process;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
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

    #[test]
    fn no_two_requests_draw_the_same() {
        let ids = RequestIds::new(3 << 64);
        let drawn: std::collections::BTreeSet<u64> =
            (0..10_000).map(|_| ids.next().draw()).collect();
        assert_eq!(drawn.len(), 10_000);
    }
}
