//! What has come of a request's body.

/// Bytes of a body. What is sent again to another endpoint is seen again, and counted once.
#[derive(Debug, Default)]
pub(super) struct Received {
    bytes: u64,
    charged: u64,
}

impl Received {
    /// The body is seen from its beginning.
    pub(super) fn begin(&mut self) {
        self.bytes = 0;
    }

    /// Some more of it is seen. Returns how much of that has never been seen before, which is what a
    /// tenant's bandwidth is charged with.
    pub(super) fn add(&mut self, bytes: usize) -> usize {
        self.bytes += bytes as u64;
        let fresh = self.bytes.saturating_sub(self.charged);
        self.charged += fresh;
        usize::try_from(fresh).unwrap_or(usize::MAX)
    }

    /// How much of it has been seen.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_charged_once() {
        let mut received = Received::default();
        received.begin();
        assert_eq!((received.add(100), received.add(50), received.bytes()), (100, 50, 150));
        // Another try, which sees it in other pieces and then goes on.
        received.begin();
        assert_eq!((received.add(120), received.bytes()), (0, 120));
        assert_eq!((received.add(40), received.add(10), received.bytes()), (10, 10, 170));
    }
}
