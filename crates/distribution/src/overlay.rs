//! What some proxies are sent in another form than all others: a change that is being released to them first.
//!
//! The state with an overlay is never kept: its hash is that of the state below, less what is covered there and with
//! what covers it, and its deltas are those of the state below. So an overlay costs what itself is large, however
//! large the state. What changes below is covered no longer: a tenant that is suspended is suspended for all.

use std::collections::BTreeMap;

use crate::{Change, ResourceName, ledger::Fingerprint};

/// Resources in the form, or the absence, in which some proxies are sent them.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    resources: BTreeMap<ResourceName, Covering>,
}

#[derive(Debug, Clone)]
struct Covering {
    change: Change,
    fingerprint: Fingerprint,
}

impl Overlay {
    /// Of these changes; of several of one resource the last.
    #[must_use]
    pub fn new(changes: impl IntoIterator<Item = Change>) -> Self {
        let cover = |change: Change| {
            let (name, _) = change.clone().into_parts();
            let fingerprint = Fingerprint::of(&change);
            (name, Covering { change, fingerprint })
        };
        Self { resources: changes.into_iter().map(cover).collect() }
    }

    /// Whether a resource below is not seen.
    pub(crate) fn covers(&self, name: &ResourceName) -> bool {
        self.resources.contains_key(name)
    }

    /// What of a whole state below is seen.
    #[must_use]
    pub fn uncovered(&self, changes: Vec<Change>) -> Vec<Change> {
        let is_seen = |change: &Change| !self.covers(&change.clone().into_parts().0);
        changes.into_iter().filter(is_seen).collect()
    }

    /// Covers nothing any more that has changed below: whatever has made it so is for all, and at once.
    pub(crate) fn give_way_to(&mut self, changes: &[Change]) {
        for change in changes {
            let (name, _) = change.clone().into_parts();
            self.resources.remove(&name);
        }
    }

    /// How many resources lie above.
    #[must_use]
    pub fn resources(&self) -> usize {
        self.resources.len()
    }

    /// What lies above, in the order of kind and identifier.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.resources.values().map(|covering| &covering.change)
    }

    /// Which resources lie above.
    pub fn names(&self) -> impl Iterator<Item = &ResourceName> {
        self.resources.keys()
    }

    pub(crate) fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        self.resources.values().map(|covering| &covering.fingerprint)
    }

    /// Without the removal of what is not there below.
    pub(crate) fn on(mut self, is_there: impl Fn(&ResourceName) -> bool) -> Self {
        self.resources.retain(|name, covering| covering.change.json().is_some() || is_there(name));
        self
    }
}
