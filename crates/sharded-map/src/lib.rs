//! A hash map that is cheap to copy and to change a little.
//!
//! The map is a fixed two-level spine of small hash tables behind `Arc`s. Cloning it copies one
//! pointer; changing one entry of a clone copies the 64 pointers of each level on the way and the one
//! small table the entry lives in, and shares everything else with the original. A one-tenant change
//! therefore costs the same with a thousand tenants as with a million, up to the size of one small
//! table (about 250 entries at a million).
//!
//! Rejected: a general persistent hash trie. It shares more finely, and costs a dependent cache miss
//! per level on every read; reads are on the request path and changes are not.

use std::{borrow::Borrow, hash::BuildHasher, hash::Hash, sync::Arc};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Entries per level of the spine, and how many bits of a hash choose one.
const FAN_OUT: usize = 64;
const FAN_OUT_BITS: u32 = FAN_OUT.trailing_zeros();

type Shard<K, V> = HashTable<(K, V)>;
type Branch<K, V> = Vec<Arc<Shard<K, V>>>;

/// A map with structural sharing; see the module's page.
#[derive(Debug)]
pub struct ShardedMap<K, V> {
    spine: Arc<Vec<Arc<Branch<K, V>>>>,
    hasher: FixedState,
    len: usize,
}

impl<K, V> Clone for ShardedMap<K, V> {
    fn clone(&self) -> Self {
        Self { spine: Arc::clone(&self.spine), hasher: self.hasher.clone(), len: self.len }
    }
}

/// Where a hash leads. The shard's own table uses the low bits and the topmost seven, so the spine
/// takes bits from between them.
fn path(hash: u64) -> (usize, usize) {
    let chosen = |shift: u32| usize::try_from(hash >> shift).unwrap_or(usize::MAX) % FAN_OUT;
    (chosen(56 - FAN_OUT_BITS), chosen(56 - 2 * FAN_OUT_BITS))
}

impl<K: Clone + Eq + Hash, V: Clone> ShardedMap<K, V> {
    /// An empty map. The seed is secret where keys come from clients.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // All shards of an empty map are the same one; each becomes its own when first written.
        let shard = Arc::new(HashTable::new());
        let branch = Arc::new(std::iter::repeat_n(shard, FAN_OUT).collect());
        let spine = Arc::new(std::iter::repeat_n(branch, FAN_OUT).collect());
        Self { spine, hasher: FixedState::with_seed(seed), len: 0 }
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let (branch, shard) = path(hash);
        let shard = self.spine.get(branch)?.get(shard)?;
        shard.find(hash, |(found, _)| found.borrow() == key).map(|(_, value)| value)
    }

    /// Sets the value of a key and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hasher.hash_one(&key);
        let hasher = self.hasher.clone();
        let shard = self.shard_mut(hash)?;
        if let Some((_, old)) = shard.find_mut(hash, |(found, _)| *found == key) {
            return Some(std::mem::replace(old, value));
        }
        shard.insert_unique(hash, (key, value), |(key, _)| hasher.hash_one(key));
        self.len += 1;
        None
    }

    /// Removes a key and returns the value it had.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        // A look first: removing what is not there must not copy a shard.
        self.get(key)?;
        let hash = self.hasher.hash_one(key);
        let entry =
            self.shard_mut(hash)?.find_entry(hash, |(found, _)| found.borrow() == key).ok()?;
        let ((_, value), _) = entry.remove();
        self.len -= 1;
        Some(value)
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.spine
            .iter()
            .flat_map(|branch| branch.iter())
            .flat_map(|shard| shard.iter())
            .map(|(key, value)| (key, value))
    }

    /// The shard of a hash, copied first if a clone of this map shares it. Always `Some`: the spine's
    /// size is fixed, and `path` stays within it.
    fn shard_mut(&mut self, hash: u64) -> Option<&mut Shard<K, V>> {
        let (branch, shard) = path(hash);
        let branch = Arc::make_mut(&mut self.spine).get_mut(branch)?;
        let shard = Arc::make_mut(branch).get_mut(shard)?;
        Some(Arc::make_mut(shard))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_and_clones_do_not_see_later_changes(
            operations in proptest::collection::vec((0_u16..500, proptest::option::of(0_u32..9)), 1..400),
            cut in 0_usize..400,
        ) {
            let mut map = ShardedMap::new(7);
            let mut model = HashMap::new();
            let mut earlier = None;
            for (index, (key, value)) in operations.into_iter().enumerate() {
                if index == cut {
                    earlier = Some((map.clone(), model.clone()));
                }
                match value {
                    Some(value) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                    None => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                }
            }
            for (map, model) in earlier.into_iter().chain([(map, model)]) {
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.iter().map(|(k, v)| (*k, *v)).collect::<HashMap<_, _>>(), model.clone());
                for key in 0..500 {
                    prop_assert_eq!(map.get(&key), model.get(&key));
                }
            }
        }
    }

    #[test]
    fn a_change_shares_what_it_does_not_touch() {
        let mut map = ShardedMap::new(7);
        for key in 0..10_000_u32 {
            map.insert(key, key);
        }
        let mut changed = map.clone();
        changed.insert(1, 2);
        let shards = |map: &ShardedMap<u32, u32>| -> Vec<_> {
            map.spine
                .iter()
                .flat_map(|branch| branch.iter().map(Arc::as_ptr).collect::<Vec<_>>())
                .collect()
        };
        let differing =
            shards(&map).iter().zip(shards(&changed)).filter(|(a, b)| **a != *b).count();
        assert_eq!(differing, 1);
    }
}
