//! Of many changes, the last of each resource.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::{Change, ResourceJson, ResourceName};

/// What a stretch of history leaves of itself: each resource once, in its last form, or gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latest {
    resources: BTreeMap<ResourceName, Option<ResourceJson>>,
    bytes: usize,
}

impl Latest {
    pub(crate) fn take(&mut self, change: Change) {
        let (name, json) = change.into_parts();
        self.bytes += size(json.as_ref());
        match self.resources.entry(name) {
            Entry::Occupied(mut earlier) => {
                self.bytes -= size(earlier.get().as_ref());
                earlier.insert(json);
            }
            Entry::Vacant(free) => {
                self.bytes += free.key().id.len();
                free.insert(json);
            }
        }
    }

    pub(crate) fn names(&self, name: &ResourceName) -> bool {
        self.resources.contains_key(name)
    }

    pub(crate) fn resources(&self) -> usize {
        self.resources.len()
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// As changes, in the order of kind and identifier.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        self.resources.into_iter().map(|(name, json)| Change::new(name, json)).collect()
    }
}

fn size(json: Option<&ResourceJson>) -> usize {
    json.map_or(0, |json| json.as_bytes().len())
}
