//! What the control plane sends, and when: commits in, deltas out.
//!
//! The first commit after quiet is a delta at once. Those that come while it is made, or soon after it,
//! wait for one another and become one delta, in which the last form of each resource wins: ten edits of a
//! tenant in a burst cost every proxy one change. So a proxy only ever stands at the end of a delta, and
//! never at a commit in the middle of one.
//!
//! Commits are put together within bounds: of size, so that no delta grows without end, and of tenants
//! removed, so that the brake of a proxy, which judges a delta as a whole, does not take an hour's honest
//! work for a fault.

mod staging;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::BytesMut;
use tenantry_model::ResourceKind;

use crate::{
    Change, EncodeError, Encoded, Ledger, Position, Removal, ResourceName, Revision, Update,
    UpdateKind, latest::Latest,
};
use staging::Staged;

/// The most resources that commits are put together to.
const MAX_RESOURCES: usize = 5_000;
/// The most bytes that commits are put together to.
const MAX_BYTES: usize = 4 << 20;
/// Of so many tenants, one may be removed by commits that are put together.
const TENANTS_PER_REMOVAL: u64 = 10;

/// A difference between two states, encoded for all who are to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The state it stands on.
    pub from: Position,
    /// The state it leads to.
    pub to: Position,
    /// How many resources that state has.
    pub resources: usize,
    /// Its lines.
    pub lines: Encoded,
}

impl Delta {
    /// Encodes these changes.
    ///
    /// # Errors
    /// If one of them is too large to be sent.
    pub fn new(
        from: Position,
        to: Position,
        resources: usize,
        changes: Vec<Change>,
    ) -> Result<Self, EncodeError> {
        Self::marked(from, to, resources, changes, Removal::Guarded)
    }

    /// The same, marked as meant, or not, if it takes most tenants away.
    ///
    /// # Errors
    /// If one of them is too large to be sent.
    pub fn marked(
        from: Position,
        to: Position,
        resources: usize,
        changes: Vec<Change>,
        removal: Removal,
    ) -> Result<Self, EncodeError> {
        let update = Update {
            epoch: to.epoch,
            kind: UpdateKind::Delta,
            from: from.revision,
            to: to.revision,
            removal,
            changes,
            hash: to.hash,
        };
        let mut lines = BytesMut::new();
        for line in update.lines() {
            lines.extend_from_slice(&line?);
        }
        Ok(Self { from, to, resources, lines: Encoded::new(lines.freeze())? })
    }
}

/// The state that was sent last, and the commits after it that wait.
#[derive(Debug)]
pub struct Publication {
    head: Position,
    ledger: Ledger,
    debounce: Duration,
    /// Groups of commits, each of which becomes one delta. Only the last one is open for more.
    waiting: VecDeque<Group>,
    /// Up to here every commit was taken in.
    seen: Revision,
    /// Up to here nothing has happened that is not sent.
    settled: Revision,
    /// When the last delta was made.
    published_at: Option<Duration>,
    /// How deltas are marked.
    removal: Removal,
    staged: Option<Staged>,
}

/// A step from one state to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// For all proxies that see no overlay.
    pub all: Delta,
    /// For those that see one, if there is one.
    pub staged: Option<Delta>,
}

#[derive(Debug, Default)]
struct Group {
    to: Revision,
    changes: Latest,
    removed_tenants: u64,
}

impl Publication {
    /// Of a state that was read whole, with its ledger. Times are counted from any start, the same for all
    /// calls.
    #[must_use]
    pub fn new(head: Position, ledger: Ledger, debounce: Duration) -> Self {
        let (seen, settled) = (head.revision, head.revision);
        let (waiting, published_at) = (VecDeque::new(), None);
        let removal = Removal::Guarded;
        let staged = None;
        Self { head, ledger, debounce, waiting, seen, settled, published_at, removal, staged }
    }

    /// From now on deltas are marked so.
    pub fn mark(&mut self, removal: Removal) {
        self.removal = removal;
    }

    /// The state that was sent last.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// How many resources it has.
    #[must_use]
    pub fn resources(&self) -> usize {
        self.ledger.resources()
    }

    /// Up to here every commit was taken in.
    #[must_use]
    pub fn seen(&self) -> Revision {
        self.seen
    }

    /// Up to here nothing has happened that is not sent.
    #[must_use]
    pub fn settled(&self) -> Revision {
        self.settled
    }

    /// Whether a resource is in what was sent to anybody, or in what waits, if only to be removed.
    #[must_use]
    pub fn knows(&self, name: &ResourceName) -> bool {
        self.ledger.holds(&name.kind, &name.id)
            || self.overlay().is_some_and(|overlay| overlay.covers(name))
            || self.waiting.iter().any(|group| group.changes.names(name))
    }

    /// Takes in a commit with what of it concerns proxies, which may be nothing. One that was taken in
    /// already changes nothing, and neither does the removal of what proxies never had.
    pub fn take(&mut self, revision: Revision, changes: Vec<Change>) {
        if revision <= self.seen {
            return;
        }
        self.seen = revision;
        let changes = self.concerning(changes);
        if changes.is_empty() {
            if self.waiting.is_empty() {
                self.settled = revision;
            }
            return;
        }
        let removed = changes.iter().filter(|change| removes_tenant(change)).count() as u64;
        let most_removed = (self.ledger.tenants() / TENANTS_PER_REMOVAL).max(1);
        let open = self.waiting.pop_back();
        let mut group = match open {
            Some(group) if group.has_room(removed, most_removed) => group,
            closed => {
                self.waiting.extend(closed);
                Group::default()
            }
        };
        group.to = revision;
        group.removed_tenants = group.removed_tenants.saturating_add(removed);
        changes.into_iter().for_each(|change| group.changes.take(change));
        self.waiting.push_back(group);
    }

    /// Without the removals of what proxies never had.
    fn concerning(&self, changes: Vec<Change>) -> Vec<Change> {
        let mut put = BTreeSet::new();
        let mut is_concerning = |change: &Change| {
            let (name, json) = change.clone().into_parts();
            if json.is_some() {
                put.insert(name);
                return true;
            }
            put.contains(&name) || self.knows(&name)
        };
        if changes.iter().all(|change| change.json().is_some()) {
            return changes;
        }
        changes.into_iter().filter(|change| is_concerning(change)).collect()
    }

    /// How long until the next delta is to be made: none if nothing waits.
    #[must_use]
    pub fn due(&self, now: Duration) -> Option<Duration> {
        let first = self.waiting.front()?;
        let is_closed = self.waiting.len() > 1 || first.is_full();
        match self.published_at {
            Some(last) if !is_closed => Some((last + self.debounce).saturating_sub(now)),
            _ => Some(Duration::ZERO),
        }
    }

    /// Makes the next delta of what waits; none if nothing does.
    ///
    /// # Errors
    /// If a resource is too large to be sent. What waited is lost then: the state has to be read again.
    pub fn publish(&mut self, now: Duration) -> Result<Option<Published>, EncodeError> {
        let Some(group) = self.waiting.pop_front() else { return Ok(None) };
        let changes = group.changes.into_changes();
        changes.iter().for_each(|change| self.ledger.apply(change));
        let epoch = self.head.epoch;
        let to = Position { epoch, revision: group.to, hash: self.ledger.hash() };
        let from = std::mem::replace(&mut self.head, to);
        self.settled = if self.waiting.is_empty() { self.seen } else { group.to };
        self.published_at = Some(now);
        let staged = match &mut self.staged {
            Some(staged) => {
                staged.overlay.give_way_to(&changes);
                self.staged_to(group.to, changes.clone())?
            }
            None => None,
        };
        let all = Delta::marked(from, to, self.ledger.resources(), changes, self.removal)?;
        Ok(Some(Published { all, staged }))
    }

    /// Whether there is something to be sent.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Moves the head on over commits that changed nothing here, by a delta of nothing. None if it stands where the
    /// last of them is, or if there is something to be sent, which moves it as well.
    ///
    /// # Errors
    /// None that is known of.
    pub fn advance(&mut self) -> Result<Option<Delta>, EncodeError> {
        if !self.waiting.is_empty() || self.settled <= self.head.revision {
            return Ok(None);
        }
        let to = Position { revision: self.settled, ..self.head };
        let from = std::mem::replace(&mut self.head, to);
        Delta::new(from, to, self.ledger.resources(), Vec::new()).map(Some)
    }
}

impl Group {
    fn has_room(&self, removed: u64, most_removed: u64) -> bool {
        let in_all = self.removed_tenants.saturating_add(removed);
        !self.is_full() && (removed == 0 || in_all <= most_removed)
    }

    fn is_full(&self) -> bool {
        self.changes.resources() >= MAX_RESOURCES || self.changes.bytes() >= MAX_BYTES
    }
}

fn removes_tenant(change: &Change) -> bool {
    change.json().is_none() && change.kind() == ResourceKind::Tenant.as_str()
}

#[cfg(test)]
mod tests;
