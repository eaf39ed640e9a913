//! The latest deltas, encoded.

use std::collections::VecDeque;

use tenantry_model::Revision;

use crate::{Delta, Encoded, Position};

/// The most bytes of deltas that are kept.
const MAX_BYTES: usize = 64 << 20;
/// The most deltas that are kept.
const MAX_DELTAS: usize = 65_536;
/// The most differences to older states that are kept, and their bytes. Proxies that were away together come
/// back from the same state, so a few are enough.
const MAX_OLDER: usize = 16;
const MAX_OLDER_BYTES: usize = 32 << 20;
/// How much a stream is given at a time: what it was given it holds on to, however slow its proxy is.
const PORTION_BYTES: usize = 1 << 20;

/// A stretch of history that ends now.
#[derive(Debug, Clone)]
pub struct Window {
    head: Position,
    /// Up to here nothing more has happened that concerns proxies.
    settled: Revision,
    /// How many resources the newest state has.
    resources: usize,
    deltas: VecDeque<Delta>,
    bytes: usize,
    /// Differences between states from before the window and one within it.
    older: VecDeque<Delta>,
    bounds: Bounds,
}

/// How much a window keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of deltas.
    pub bytes: usize,
    /// Deltas.
    pub deltas: usize,
    /// What a stream is given at a time, if it is more than one delta.
    pub portion_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, deltas: MAX_DELTAS, portion_bytes: PORTION_BYTES }
    }
}

/// What has happened since some position.
#[derive(Debug, PartialEq, Eq)]
pub enum Since {
    /// These deltas, in order, which lead to the position; perhaps none. There may be more after it.
    Deltas(Vec<Encoded>, Position),
    /// Nothing, but the position is called otherwise now.
    Renamed(Position),
    /// It is older than the window, and may be known from the log.
    Older,
    /// It never was a state of this history.
    Unknown,
}

impl Window {
    /// At this state, of so many resources, with nothing before it.
    #[must_use]
    pub fn new(head: Position, resources: usize) -> Self {
        Self::bounded(head, resources, Bounds::default())
    }

    /// The same, keeping so much.
    #[must_use]
    pub fn bounded(head: Position, resources: usize, bounds: Bounds) -> Self {
        let (deltas, older) = (VecDeque::new(), VecDeque::new());
        Self { head, settled: head.revision, resources, deltas, bytes: 0, older, bounds }
    }

    /// The newest state.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// Up to here nothing more has happened that concerns proxies.
    #[must_use]
    pub fn settled(&self) -> Revision {
        self.settled
    }

    /// How many resources the newest state has.
    #[must_use]
    pub fn resources(&self) -> usize {
        self.resources
    }

    /// How many bytes of deltas it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing that concerns proxies has happened up to this revision.
    pub fn settle(&mut self, revision: Revision) {
        self.settled = self.settled.max(revision);
    }

    /// Adds the delta that leads on from the head.
    pub fn push(&mut self, delta: Delta) {
        self.bytes = self.bytes.saturating_add(delta.lines.size());
        self.head = delta.to;
        self.resources = delta.resources;
        self.settle(delta.to.revision);
        self.deltas.push_back(delta);
        while self.bytes > self.bounds.bytes || self.deltas.len() > self.bounds.deltas {
            let Some(oldest) = self.deltas.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.lines.size());
        }
    }

    /// Keeps the difference between an older state and one of the window for others who stand there.
    pub fn remember(&mut self, delta: Delta) {
        self.older.push_back(delta);
        let bytes = |older: &VecDeque<Delta>| -> usize {
            older.iter().map(|delta| delta.lines.size()).sum()
        };
        while self.older.len() > 1
            && (self.older.len() > MAX_OLDER || bytes(&self.older) > MAX_OLDER_BYTES)
        {
            self.older.pop_front();
        }
    }

    /// What has happened since a position.
    #[must_use]
    pub fn since(&self, position: Position) -> Since {
        if position == self.head {
            return Since::Deltas(Vec::new(), self.head);
        }
        if position.epoch != self.head.epoch || position.revision >= self.head.revision {
            return Since::Unknown;
        }
        let start = self.deltas.partition_point(|delta| delta.from.revision < position.revision);
        match self.deltas.get(start) {
            Some(first) if first.from == position => return self.portion(start, position),
            // Another state under the same number.
            Some(first) if first.from.revision == position.revision => return Since::Unknown,
            _ => {}
        }
        if position.hash == self.head.hash {
            // What came between changed nothing, or was undone. The same hash is the same state.
            return Since::Renamed(self.head);
        }
        // One that leads to a state which has left the window leads nowhere.
        let known = self.older.iter().find(|older| older.from == position && self.holds(older.to));
        match known {
            Some(older) => Since::Deltas(vec![older.lines.clone()], older.to),
            None => Since::Older,
        }
    }

    fn portion(&self, start: usize, from: Position) -> Since {
        let (mut lines, mut to, mut bytes) = (Vec::new(), from, 0);
        for delta in self.deltas.range(start..) {
            bytes += delta.lines.size();
            if bytes > self.bounds.portion_bytes && !lines.is_empty() {
                break;
            }
            lines.push(delta.lines.clone());
            to = delta.to;
        }
        Since::Deltas(lines, to)
    }

    fn holds(&self, position: Position) -> bool {
        let start = self.deltas.partition_point(|delta| delta.from.revision < position.revision);
        position == self.head || self.deltas.get(start).is_some_and(|delta| delta.from == position)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Epoch, StateHash};

    use super::*;

    fn at(epoch: u128, revision: u64) -> Position {
        Position {
            epoch: Epoch::from_u128(epoch),
            revision: Revision::new(revision),
            hash: StateHash::from_u128(u128::from(revision) * 7),
        }
    }

    fn delta(from: u64, to: u64) -> Delta {
        Delta::new(at(1, from), at(1, to), 0, Vec::new()).unwrap()
    }

    fn lines(spans: &[(u64, u64)], to: u64) -> Since {
        let lines = spans.iter().map(|(from, to)| delta(*from, *to).lines);
        Since::Deltas(lines.collect(), at(1, to))
    }

    fn window() -> Window {
        let mut window = Window::new(at(1, 4), 0);
        for (from, to) in [(4, 5), (5, 8), (8, 9)] {
            window.push(delta(from, to));
        }
        window
    }

    #[test]
    fn only_a_known_position_is_continued() {
        let window = window();
        assert_eq!(window.since(at(1, 9)), lines(&[], 9));
        assert_eq!(window.since(at(1, 5)), lines(&[(5, 8), (8, 9)], 9));
        assert_eq!(window.since(at(1, 4)), lines(&[(4, 5), (5, 8), (8, 9)], 9));
        for older in [at(1, 3), at(1, 7)] {
            assert_eq!(window.since(older), Since::Older, "{older:?}");
        }
        let other_hash = |revision| Position { hash: StateHash::from_u128(1), ..at(1, revision) };
        for unknown in [at(1, 10), at(2, 5), at(2, 9), other_hash(5), other_hash(9)] {
            assert_eq!(window.since(unknown), Since::Unknown, "{unknown:?}");
        }
        let renamed = |revision| Position { revision: Revision::new(revision), ..at(1, 9) };
        assert_eq!(window.since(renamed(2)), Since::Renamed(at(1, 9)));
        assert_eq!(window.since(renamed(10)), Since::Unknown);
    }

    #[test]
    fn what_was_made_for_one_serves_all_who_stand_there() {
        let mut window = window();
        window.remember(delta(2, 5));
        assert_eq!(window.since(at(1, 2)), lines(&[(2, 5)], 5));
        assert_eq!(window.since(at(1, 3)), Since::Older);
        window.remember(delta(3, 6));
        assert_eq!(window.since(at(1, 3)), Since::Older, "it leads nowhere");
        for from in 100..200 {
            window.remember(delta(from, from + 1));
        }
        assert!(window.older.len() <= MAX_OLDER);
    }

    #[test]
    fn the_window_and_what_it_gives_at_a_time_are_bounded() {
        let size = delta(10, 11).lines.size();
        let size = size + 20;
        let bounds = Bounds { bytes: size * 5, deltas: 4, portion_bytes: size * 2 };
        let mut window = Window::bounded(at(1, 10), 0, bounds);
        for revision in 10..30 {
            window.push(delta(revision, revision + 1));
            assert!(window.bytes() <= bounds.bytes && window.deltas.len() <= 4);
        }
        assert_eq!(window.since(at(1, 25)), Since::Older);
        assert_eq!(window.since(at(1, 26)), lines(&[(26, 27), (27, 28)], 28));
        let mut narrow = Window::bounded(at(1, 10), 0, Bounds { portion_bytes: 1, ..bounds });
        narrow.push(delta(10, 11));
        assert_eq!(narrow.since(at(1, 10)), lines(&[(10, 11)], 11), "one at least");
    }
}
