//! A hash map that is cheap to copy and to change a little.
//!
//! The map is a persistent hash trie with wide nodes: 64 children each, and leaves of a few entries that lie side by
//! side. Cloning it copies one pointer; changing one entry of a clone copies the node of each level on the way and one
//! leaf, and shares everything else with the original. A one-tenant change therefore costs nearly the same with a
//! thousand tenants (two nodes) as with a million (three).
//!
//! What a look-up costs is waiting for memory. Each node is one place to wait for and each leaf another, so there are
//! three at a million entries, of which the first is always in the cache. Two levels of pointers over small hash
//! tables, which stood here before, needed five: a pointer to each level's vector, one to the table, one to its control
//! bytes, and the entry.

use std::{array, borrow::Borrow, hash::BuildHasher, hash::Hash, sync::Arc};

use foldhash::fast::FixedState;

/// Children of a node, and how many bits of a hash choose one.
const FAN_OUT: usize = 64;
const FAN_OUT_BITS: u32 = FAN_OUT.trailing_zeros();

/// Entries of a leaf; with more it becomes a node.
const LEAF: usize = 8;

/// Levels of nodes that the bits of a hash can choose from. What is the same in all of them stays in one leaf.
const LEVELS: u32 = u64::BITS / FAN_OUT_BITS;

type Node<K, V> = [Child<K, V>; FAN_OUT];

#[derive(Debug)]
enum Child<K, V> {
    Empty,
    Leaf(Arc<[(K, V)]>),
    Node(Arc<Node<K, V>>),
}

impl<K, V> Clone for Child<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Leaf(entries) => Self::Leaf(Arc::clone(entries)),
            Self::Node(node) => Self::Node(Arc::clone(node)),
        }
    }
}

/// A map with structural sharing; see the module's page.
#[derive(Debug)]
pub struct ShardedMap<K, V> {
    root: Child<K, V>,
    hasher: FixedState,
    len: usize,
}

impl<K, V> Clone for ShardedMap<K, V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), hasher: self.hasher.clone(), len: self.len }
    }
}

/// Which child of a node a hash leads to. The topmost bits choose first.
fn choose(hash: u64, level: u32) -> usize {
    let bits = hash.rotate_left((level + 1) * FAN_OUT_BITS);
    usize::try_from(bits).unwrap_or(usize::MAX) % FAN_OUT
}

impl<K: Clone + Eq + Hash, V: Clone> ShardedMap<K, V> {
    /// An empty map. The seed is secret where keys come from clients.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { root: Child::Empty, hasher: FixedState::with_seed(seed), len: 0 }
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
        let (mut child, mut level) = (&self.root, 0);
        loop {
            match child {
                Child::Node(node) => child = node.get(choose(hash, level))?,
                Child::Leaf(entries) => {
                    let found = entries.iter().find(|(found, _)| found.borrow() == key);
                    return found.map(|(_, value)| value);
                }
                Child::Empty => return None,
            }
            level += 1;
        }
    }

    /// Sets the value of a key and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hasher.hash_one(&key);
        let hasher = self.hasher.clone();
        let old = self.root.insert((key, value), hash, 0, &|key| hasher.hash_one(key));
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes a key and returns the value it had.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        // A look first: removing what is not there must not copy anything.
        self.get(key)?;
        let old = self.root.remove(key, self.hasher.hash_one(key), 0);
        self.len -= usize::from(old.is_some());
        old
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut waiting = vec![&self.root];
        let leaves = std::iter::from_fn(move || {
            loop {
                match waiting.pop()? {
                    Child::Node(node) => waiting.extend(node.iter()),
                    Child::Leaf(entries) => return Some(entries),
                    Child::Empty => {}
                }
            }
        });
        leaves.flat_map(|entries| entries.iter()).map(|(key, value)| (key, value))
    }
}

impl<K: Clone + Eq, V: Clone> Child<K, V> {
    fn insert(
        &mut self,
        entry: (K, V),
        hash: u64,
        level: u32,
        rehash: &impl Fn(&K) -> u64,
    ) -> Option<V> {
        match self {
            Self::Empty => {
                *self = Self::Leaf(Arc::new([entry]));
                None
            }
            Self::Node(node) => {
                let child = Arc::make_mut(node).get_mut(choose(hash, level))?;
                child.insert(entry, hash, level + 1, rehash)
            }
            Self::Leaf(entries) => {
                if let Some(place) = entries.iter().position(|(key, _)| *key == entry.0) {
                    let (_, value) = Arc::make_mut(entries).get_mut(place)?;
                    return Some(std::mem::replace(value, entry.1));
                }
                if entries.len() < LEAF || level >= LEVELS {
                    *entries = entries.iter().cloned().chain([entry]).collect();
                    return None;
                }
                let mut node = Self::Node(Arc::new(array::from_fn(|_| Self::Empty)));
                for known in entries.iter().cloned() {
                    let hash = rehash(&known.0);
                    node.insert(known, hash, level, rehash);
                }
                node.insert(entry, hash, level, rehash);
                *self = node;
                None
            }
        }
    }

    fn remove<Q>(&mut self, key: &Q, hash: u64, level: u32) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self {
            Self::Empty => None,
            Self::Node(node) => {
                let node = Arc::make_mut(node);
                let old = node.get_mut(choose(hash, level))?.remove(key, hash, level + 1);
                if node.iter().all(|child| matches!(child, Self::Empty)) {
                    *self = Self::Empty;
                }
                old
            }
            Self::Leaf(entries) => {
                let (_, old) = entries.iter().find(|(found, _)| found.borrow() == key).cloned()?;
                let left = entries.iter().filter(|(found, _)| found.borrow() != key);
                let left: Arc<[_]> = left.cloned().collect();
                *self = if left.is_empty() { Self::Empty } else { Self::Leaf(left) };
                Some(old)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

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

    fn leaves(map: &ShardedMap<u32, u32>) -> BTreeSet<*const (u32, u32)> {
        fn collect(child: &Child<u32, u32>, leaves: &mut BTreeSet<*const (u32, u32)>) {
            match child {
                Child::Empty => {}
                Child::Leaf(entries) => assert!(leaves.insert(entries.as_ptr())),
                Child::Node(node) => node.iter().for_each(|child| collect(child, leaves)),
            }
        }
        let mut leaves = BTreeSet::new();
        collect(&map.root, &mut leaves);
        leaves
    }

    #[test]
    fn a_change_shares_what_it_does_not_touch() {
        let mut map = ShardedMap::new(7);
        for key in 0..10_000_u32 {
            map.insert(key, key);
        }
        let mut changed = map.clone();
        assert_eq!(changed.insert(1, 2), Some(1));
        assert_eq!(leaves(&map).difference(&leaves(&changed)).count(), 1);
        assert_eq!(leaves(&changed).difference(&leaves(&map)).count(), 1);
    }

    #[test]
    fn nothing_is_left_of_what_was_removed() {
        let mut map = ShardedMap::new(7);
        for key in 0..10_000_u32 {
            map.insert(key, key);
        }
        for key in 0..10_000 {
            assert_eq!(map.remove(&key), Some(key));
        }
        assert!(map.is_empty() && matches!(map.root, Child::Empty));
    }

    #[test]
    fn keys_with_the_same_hash_are_told_apart() {
        let mut root = Child::Empty;
        for key in 0..100_u32 {
            assert_eq!(root.insert((key, key), 5, 0, &|_| 5), None);
        }
        assert_eq!(root.insert((50, 1), 5, 0, &|_| 5), Some(50));
        for key in 0..100_u32 {
            let value = if key == 50 { 1 } else { key };
            assert_eq!(root.remove(&key, 5, 0), Some(value));
        }
        assert!(matches!(root, Child::Empty));
    }
}
