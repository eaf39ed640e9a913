//! Which API keys were used, roughly: for the control plane, which shows when each was used last.
//!
//! A key is told of once an hour, so nothing is sent for the requests after the first. Memory is
//! bounded: past the bound keys are not noted before the next hour.

use std::collections::HashSet;

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tenantry_model::{KeyId, Timestamp};

const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;
/// Locks, so that requests with different keys seldom wait for one another.
const SHARDS: usize = 64;
/// Keys that are remembered for one hour, in each shard.
const MAX_KEYS: usize = 4096;

/// A key, and the minute in which it was used.
pub type KeyUse = (KeyId, Timestamp);

/// Notes uses until they are told.
#[derive(Debug)]
pub struct KeyUses(Box<[Mutex<Shard>]>);

#[derive(Debug, Default)]
struct Shard {
    hour: u64,
    /// The keys that were used in this hour.
    keys: HashSet<KeyId, FixedState>,
    /// What is still to be told.
    waiting: Vec<KeyUse>,
}

impl Default for KeyUses {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl KeyUses {
    /// A key was used.
    pub(crate) fn note(&self, key: KeyId, now: Timestamp) {
        let Some(shard) = self.shard(key) else { return };
        shard.lock().note(key, now.unix_ms());
    }

    /// Some of what is still to be told. Whoever takes it tells it, or [puts it back](Self::put_back).
    #[must_use]
    pub fn take(&self, at_most: usize) -> Vec<KeyUse> {
        let mut taken = Vec::new();
        for shard in &self.0 {
            let mut shard = shard.lock();
            let keep = shard.waiting.len().saturating_sub(at_most.saturating_sub(taken.len()));
            taken.extend(shard.waiting.drain(keep..));
        }
        taken
    }

    /// Takes back what could not be told.
    pub fn put_back(&self, uses: Vec<KeyUse>) {
        for (key, at) in uses {
            let Some(shard) = self.shard(key) else { continue };
            let mut shard = shard.lock();
            if shard.waiting.len() < MAX_KEYS {
                shard.waiting.push((key, at));
            }
        }
    }

    /// The last bits of an identifier are random.
    fn shard(&self, key: KeyId) -> Option<&Mutex<Shard>> {
        let index = usize::try_from(key.to_u128() % SHARDS as u128).unwrap_or_default();
        self.0.get(index)
    }
}

impl Shard {
    fn note(&mut self, key: KeyId, unix_ms: u64) {
        let hour = unix_ms / HOUR_MS;
        if hour > self.hour {
            self.hour = hour;
            self.keys.clear();
        }
        let has_room = self.keys.len() < MAX_KEYS && self.waiting.len() < MAX_KEYS;
        if has_room && self.keys.insert(key) {
            let minute = Timestamp::from_unix_ms(unix_ms - unix_ms % MINUTE_MS);
            self.waiting.push((key, minute));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> KeyId {
        KeyId::from_parts(1, number)
    }

    fn at(unix_ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(unix_ms)
    }

    #[test]
    fn a_key_is_told_of_once_an_hour() {
        let uses = KeyUses::default();
        let began = 1000 * HOUR_MS;
        for offset in [61_000, 62_000, HOUR_MS - 1] {
            uses.note(key(1), at(began + offset));
        }
        assert_eq!(uses.take(10), [(key(1), at(began + 60_000))]);
        uses.note(key(1), at(began + HOUR_MS - 1));
        assert_eq!(uses.take(10), []);
        uses.note(key(1), at(began + HOUR_MS));
        let taken = uses.take(10);
        assert_eq!(taken, [(key(1), at(began + HOUR_MS))]);
        uses.put_back(taken.clone());
        assert_eq!(uses.take(10), taken);
    }

    #[test]
    fn what_is_taken_and_kept_is_bounded() {
        let uses = KeyUses::default();
        let many = (SHARDS * MAX_KEYS * 2) as u128;
        (0..many).for_each(|number| uses.note(key(number), at(HOUR_MS)));
        assert_eq!(uses.take(7).len(), 7);
        assert_eq!(uses.take(usize::MAX).len(), SHARDS * MAX_KEYS - 7);
        assert_eq!(uses.take(usize::MAX), []);
    }
}
