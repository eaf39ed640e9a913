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
        Self { head, ledger, debounce, waiting, seen, settled, published_at, removal }
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

    /// Whether a resource is in what was sent, or in what waits, if only to be removed.
    #[must_use]
    pub fn knows(&self, name: &ResourceName) -> bool {
        self.ledger.holds(&name.kind, &name.id)
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
    pub fn publish(&mut self, now: Duration) -> Result<Option<Delta>, EncodeError> {
        let Some(group) = self.waiting.pop_front() else { return Ok(None) };
        let changes = group.changes.into_changes();
        changes.iter().for_each(|change| self.ledger.apply(change));
        let epoch = self.head.epoch;
        let to = Position { epoch, revision: group.to, hash: self.ledger.hash() };
        let from = std::mem::replace(&mut self.head, to);
        self.settled = if self.waiting.is_empty() { self.seen } else { group.to };
        self.published_at = Some(now);
        Delta::marked(from, to, self.ledger.resources(), changes, self.removal).map(Some)
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
mod tests {
    use super::*;
    use crate::{
        Assembler, Encoding, Epoch, Event, Frame, FrameReader, RemovalBrake, ResourceJson,
        StateHash,
    };

    fn change(kind: &str, id: &str, json: Option<&str>) -> Change {
        let name = ResourceName { kind: kind.to_owned(), id: id.to_owned() };
        Change::new(name, json.map(|json| ResourceJson::from_slice(json.as_bytes()).unwrap()))
    }

    fn publication(debounce_ms: u64) -> Publication {
        let (epoch, hash) = (Epoch::from_u128(1), StateHash::from_u128(0));
        let head = Position { epoch, revision: Revision::new(0), hash };
        Publication::new(head, Ledger::new(), Duration::from_millis(debounce_ms))
    }

    fn take(publication: &mut Publication, revision: u64, changes: &[Change]) {
        publication.take(Revision::new(revision), changes.to_vec());
    }

    fn span(delta: &Delta) -> (u64, u64) {
        (delta.from.revision.as_u64(), delta.to.revision.as_u64())
    }

    /// What a proxy that stands at its start makes of a delta.
    fn read(delta: &Delta, assembler: &mut Assembler) -> Update {
        let mut reader = FrameReader::new(Encoding::Plain).unwrap();
        reader.push(delta.lines.bytes(Encoding::Plain));
        while let Some(frame) = reader.next() {
            if let Event::Update(update) = assembler.push(frame.unwrap()).unwrap() {
                return update;
            }
        }
        panic!("no whole delta");
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_first_goes_at_once_and_a_burst_as_one() {
        let mut publication = publication(5);
        assert_eq!(publication.due(ms(0)), None);
        take(&mut publication, 1, &[change("plan", "a", Some("1"))]);
        assert_eq!(publication.due(ms(100)), Some(ms(0)));
        assert_eq!(span(&publication.publish(ms(100)).unwrap().unwrap()), (0, 1));
        for revision in 2..=5 {
            let json = revision.to_string();
            take(&mut publication, revision, &[change("plan", "a", Some(&json))]);
        }
        take(&mut publication, 6, &[]);
        assert_eq!(publication.settled().as_u64(), 1);
        assert_eq!(publication.due(ms(101)), Some(ms(4)));
        assert_eq!(publication.due(ms(105)), Some(ms(0)));
        let burst = publication.publish(ms(105)).unwrap().unwrap();
        assert_eq!(span(&burst), (1, 5));
        assert_eq!(publication.settled().as_u64(), 6);
        assert_eq!(publication.due(ms(106)), None);
        assert_eq!(publication.publish(ms(106)).unwrap(), None);
        let text = burst.lines.bytes(Encoding::Plain);
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(text.matches("\"put\"").count(), 1, "the last form wins: {text}");
        assert!(text.contains("\"resource\":5"), "{text}");
        // A commit that is seen again changes nothing.
        take(&mut publication, 6, &[change("plan", "a", None)]);
        assert_eq!(publication.due(ms(200)), None);
    }

    #[test]
    fn the_head_is_moved_on_over_what_changed_nothing() {
        let mut publication = publication(5);
        assert_eq!(publication.advance().unwrap(), None);
        take(&mut publication, 1, &[change("plan", "a", Some("1"))]);
        take(&mut publication, 2, &[]);
        assert_eq!(publication.advance().unwrap(), None, "there is something to be sent");
        publication.publish(ms(0)).unwrap();
        let before = publication.head();
        let empty = publication.advance().unwrap().unwrap();
        assert_eq!((span(&empty), empty.resources), ((1, 2), 1));
        assert_eq!((empty.from, empty.to), (before, publication.head()));
        assert_eq!(empty.to.hash, before.hash);
        assert_eq!(publication.advance().unwrap(), None);
        take(&mut publication, 3, &[change("plan", "a", None)]);
        assert_eq!(span(&publication.publish(ms(9)).unwrap().unwrap()), (2, 3));
    }

    #[test]
    fn commits_are_put_together_within_bounds_of_size_and_removals() {
        let mut publication = publication(1000);
        let all: Vec<_> = (0..100)
            .map(|id| change("tenant", &id.to_string(), Some("{}")))
            .chain([change("plan", "a", Some("1"))])
            .collect();
        take(&mut publication, 1, &all);
        publication.publish(ms(0)).unwrap();
        for id in 0..25 {
            take(&mut publication, 2 + id, &[change("tenant", &id.to_string(), None)]);
        }
        let spans: Vec<_> = std::iter::from_fn(|| publication.publish(ms(0)).unwrap())
            .map(|it| span(&it))
            .collect();
        assert_eq!(spans, [(1, 11), (11, 21), (21, 26)], "a tenth of the tenants at a time");
        let large = format!("\"{}\"", "x".repeat(MAX_BYTES / 2));
        for revision in 30..33 {
            let id = revision.to_string();
            take(&mut publication, revision, &[change("plan", &id, Some(&large))]);
        }
        assert_eq!(publication.due(ms(0)), Some(ms(0)), "what is full does not wait");
        assert_eq!(span(&publication.publish(ms(0)).unwrap().unwrap()), (26, 31));
        assert_eq!(publication.settled().as_u64(), 31);
        assert!(publication.due(ms(0)).unwrap() > ms(0));
    }

    #[test]
    fn a_proxy_that_follows_the_deltas_agrees() {
        let mut publication = publication(1);
        let mut assembler = Assembler::new(RemovalBrake::default());
        let hello = Frame::hello(publication.head().epoch);
        assembler.push(hello).unwrap();
        let mark = crate::Mark { revision: Revision::new(0), hash: StateHash::from_u128(0) };
        let begin = crate::Begin {
            kind: UpdateKind::Full,
            from: mark.revision,
            to: mark.revision,
            removal: Removal::Guarded,
        };
        assembler.push(Frame::Begin(begin)).unwrap();
        assembler.push(Frame::Commit(mark)).unwrap();
        for revision in 1..50 {
            let id = (revision * 7 % 11).to_string();
            let json = (revision % 3 != 0).then_some("{}");
            take(&mut publication, revision, &[change("plan", &id, json)]);
            if revision % 4 == 0 {
                let delta = publication.publish(ms(revision)).unwrap().unwrap();
                assert_eq!(read(&delta, &mut assembler).position(), publication.head());
            }
        }
    }
}
