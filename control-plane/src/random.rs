//! Randomness, passed in.

use parking_lot::Mutex;
use rand::{CryptoRng, Rng as _, SeedableRng as _, rngs::StdRng};
use tenantry_model::Timestamp;
use ulid::Ulid;

/// A cryptographically secure source of random bits.
pub struct Random(Mutex<StdRng>);

impl Random {
    /// From a generator that was seeded by whoever starts the process.
    #[must_use]
    pub fn new(generator: StdRng) -> Self {
        Self(Mutex::new(generator))
    }

    /// Random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// A number from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        f64::from(u32::from_be_bytes(self.bytes())) / f64::from(u32::MAX)
    }

    /// A ULID of this time.
    #[must_use]
    pub fn ulid(&self, now: Timestamp) -> Ulid {
        Ulid::from_parts(now.unix_ms(), u128::from_be_bytes(self.bytes()))
    }

    /// Another source, seeded from this one.
    #[must_use]
    pub fn fork(&self) -> Box<dyn CryptoRng + Send> {
        Box::new(StdRng::from_seed(self.bytes()))
    }
}
