//! What a state hashes to, kept up to date in O(1) per change.
//!
//! The hash of a state is the wrapping sum of the hashes of its resources, so it does not depend on
//! order and one change costs one subtraction and one addition. A sum of 128-bit hashes finds every
//! lost, repeated or damaged change by accident; it is no proof against somebody who may choose the
//! resources and has 2^40 or more hashes to spend. It need not be: who may write to the stream is the
//! business of the connection.
//!
//! Only hashes are kept: 16 bytes of key and 16 of value for each resource, about 130 bytes for a
//! tenant with a domain and a key. The key is a truncated SHA-256 over kind and identifier. Among ten
//! million resources two meet by chance with a probability near 10^-25; if they do, both ends run
//! this same code over the same changes and still agree, and enforcement never looks here.
//!
//! Rejected: XOR in place of the sum (a resource sent twice vanishes), and a Merkle tree (it would
//! name the resource that differs, at many times the memory, when the answer is a resync either way).

use std::collections::{HashMap, hash_map::Entry};

use sha2::{Digest, Sha256};
use tenantry_model::ResourceKind;

use crate::{Change, Overlay, ResourceJson, StateHash};

/// The hashes of all resources of one state, their sum, and the number of tenants.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    hashes: HashMap<u128, u128>,
    sum: u128,
    tenants: u64,
}

impl Ledger {
    /// Of the empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of the empty state, with room for this many resources.
    #[must_use]
    pub fn with_capacity(resources: usize) -> Self {
        Self { hashes: HashMap::with_capacity(resources), ..Self::default() }
    }

    /// Takes in one change.
    pub fn apply(&mut self, change: &Change) {
        match change.json() {
            Some(json) => self.put(change.kind(), change.id(), json.as_bytes()),
            None => self.delete(change.kind(), change.id()),
        }
    }

    /// The resource is now this JSON, byte for byte.
    pub fn put(&mut self, kind: &str, id: &str, json: &[u8]) {
        let hash = digest([kind.as_bytes(), id.as_bytes(), json]);
        match self.hashes.entry(key(kind, id)) {
            Entry::Occupied(mut held) => {
                self.sum = self.sum.wrapping_sub(*held.get());
                held.insert(hash);
            }
            Entry::Vacant(free) => {
                free.insert(hash);
                self.tenants = self.tenants.saturating_add(tenants_in(kind));
            }
        }
        self.sum = self.sum.wrapping_add(hash);
    }

    /// The resource is gone. One that is not held is gone already.
    pub fn delete(&mut self, kind: &str, id: &str) {
        if let Some(hash) = self.hashes.remove(&key(kind, id)) {
            self.sum = self.sum.wrapping_sub(hash);
            self.tenants = self.tenants.saturating_sub(tenants_in(kind));
        }
    }

    /// Whether it holds this resource.
    #[must_use]
    pub fn holds(&self, kind: &str, id: &str) -> bool {
        self.hashes.contains_key(&key(kind, id))
    }

    /// The hash of the state.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        StateHash::from_u128(self.sum)
    }

    /// How many resources it holds.
    #[must_use]
    pub fn resources(&self) -> usize {
        self.hashes.len()
    }

    /// The hash of the state with an overlay on it, and how many resources that has.
    #[must_use]
    pub fn under(&self, overlay: &Overlay) -> (StateHash, usize) {
        let (mut sum, mut resources) = (self.sum, self.resources());
        for Fingerprint { key, hash } in overlay.fingerprints() {
            if let Some(covered) = self.hashes.get(key) {
                sum = sum.wrapping_sub(*covered);
                resources = resources.saturating_sub(1);
            }
            if let Some(hash) = hash {
                sum = sum.wrapping_add(*hash);
                resources = resources.saturating_add(1);
            }
        }
        (StateHash::from_u128(sum), resources)
    }

    /// How many of them are tenants.
    #[must_use]
    pub fn tenants(&self) -> u64 {
        self.tenants
    }
}

/// What a ledger would hold of a resource: where, and its hash, unless it is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint {
    key: u128,
    hash: Option<u128>,
}

impl Fingerprint {
    pub(crate) fn of(change: &Change) -> Self {
        let (kind, id) = (change.kind(), change.id());
        let hash = |json: &ResourceJson| digest([kind.as_bytes(), id.as_bytes(), json.as_bytes()]);
        Self { key: key(kind, id), hash: change.json().map(hash) }
    }
}

fn key(kind: &str, id: &str) -> u128 {
    digest([kind.as_bytes(), id.as_bytes()])
}

fn tenants_in(kind: &str) -> u64 {
    u64::from(kind == ResourceKind::Tenant.as_str())
}

/// The first 16 bytes, big-endian, of SHA-256 over the parts, each after its length as eight
/// big-endian bytes, so that no two lists of parts run together.
fn digest<const N: usize>(parts: [&[u8]; N]) -> u128 {
    let mut sha256 = Sha256::new();
    for part in parts {
        sha256.update((part.len() as u64).to_be_bytes());
        sha256.update(part);
    }
    let digest: [u8; 32] = sha256.finalize().into();
    digest.iter().take(16).fold(0, |bits, byte| (bits << 8) | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash is part of the protocol: a change of these values cuts every older proxy off.
    #[test]
    fn the_hash_never_changes() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.hash().to_string(), "00000000000000000000000000000000");
        ledger.put("tenant", "ten_1", br#"{"id":"ten_1"}"#);
        assert_eq!(ledger.hash().to_string(), "24b34348981d71b4ffeb0efd0222518d");
        ledger.put("plan", "pro", b"{}");
        assert_eq!(ledger.hash().to_string(), "5a71c040806e4043a3c0076cbcf45a19");
    }

    #[test]
    fn parts_do_not_run_together() {
        let hash_of = |kind, id, json: &str| {
            let mut ledger = Ledger::new();
            ledger.put(kind, id, json.as_bytes());
            ledger.hash()
        };
        assert_ne!(hash_of("plan", "ab", "1"), hash_of("plana", "b", "1"));
        assert_ne!(hash_of("plan", "a", "11"), hash_of("plan", "a1", "1"));
        assert_ne!(hash_of("plan", "a", "1"), hash_of("plan", "a", " 1"));
    }

    #[test]
    fn tenants_are_counted_once() {
        let mut ledger = Ledger::new();
        ledger.put("tenant", "a", b"1");
        ledger.put("tenant", "a", b"2");
        ledger.put("plan", "a", b"1");
        assert_eq!((ledger.tenants(), ledger.resources()), (1, 2));
        ledger.delete("tenant", "b");
        ledger.delete("tenant", "a");
        ledger.delete("tenant", "a");
        assert_eq!((ledger.tenants(), ledger.resources()), (0, 1));
    }
}
