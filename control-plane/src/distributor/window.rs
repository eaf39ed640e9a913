//! The latest deltas, encoded.

use std::collections::VecDeque;

use bytes::Bytes;
use tenantry_distribution::Position;
use tenantry_model::Revision;

/// The most bytes of deltas that are kept.
const MAX_BYTES: usize = 64 << 20;
/// The most deltas that are kept.
const MAX_DELTAS: usize = 65_536;

/// A stretch of history that ends now.
#[derive(Debug)]
pub(super) struct Window {
    head: Position,
    /// Up to here nothing more has happened that concerns proxies.
    seen: Revision,
    deltas: VecDeque<Delta>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Delta {
    from: Position,
    lines: Bytes,
}

/// What has happened since some position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// These deltas, in order, which lead to the position; perhaps none.
    Deltas(Vec<Bytes>, Position),
    /// Nothing, but the position is called otherwise now.
    Nothing(Position),
    /// It is not in the window, or never was a state of this history.
    Unknown,
}

impl Window {
    pub(super) fn new(head: Position) -> Self {
        Self { head, seen: head.revision, deltas: VecDeque::new(), bytes: 0, max_bytes: MAX_BYTES }
    }

    pub(super) fn position(&self) -> Position {
        self.head
    }

    pub(super) fn seen(&self) -> Revision {
        self.seen
    }

    pub(super) fn see(&mut self, revision: Revision) {
        self.seen = self.seen.max(revision);
    }

    /// Adds the delta that leads from the head to `to`.
    pub(super) fn push(&mut self, to: Position, lines: Bytes) {
        self.bytes += lines.len();
        self.deltas.push_back(Delta { from: self.head, lines });
        self.head = to;
        self.see(to.revision);
        while self.bytes > self.max_bytes || self.deltas.len() > MAX_DELTAS {
            let Some(oldest) = self.deltas.pop_front() else { break };
            self.bytes -= oldest.lines.len();
        }
    }

    pub(super) fn since(&self, position: Position) -> Since {
        if position == self.head {
            return Since::Deltas(Vec::new(), self.head);
        }
        let start = self.deltas.partition_point(|delta| delta.from.revision < position.revision);
        match self.deltas.get(start) {
            Some(first) if first.from == position => {
                let lines = self.deltas.range(start..).map(|delta| delta.lines.clone());
                Since::Deltas(lines.collect(), self.head)
            }
            // What came before the window was read again. The same hash is the same state.
            _ if position.epoch == self.head.epoch
                && position.hash == self.head.hash
                && position.revision < self.head.revision =>
            {
                Since::Nothing(self.head)
            }
            _ => Since::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_distribution::{Epoch, StateHash};

    use super::*;

    fn at(epoch: u128, revision: u64) -> Position {
        Position {
            epoch: Epoch::from_u128(epoch),
            revision: Revision::new(revision),
            hash: StateHash::from_u128(u128::from(revision) * 7),
        }
    }

    #[test]
    fn only_a_known_position_is_continued() {
        let mut window = Window::new(at(1, 4));
        for revision in 5..=7 {
            window.push(at(1, revision), Bytes::from(format!("{revision}")));
        }
        let lines = |texts: &[&'static str]| {
            Since::Deltas(texts.iter().map(|text| Bytes::from(*text)).collect(), at(1, 7))
        };
        assert_eq!(window.since(at(1, 7)), lines(&[]));
        assert_eq!(window.since(at(1, 5)), lines(&["6", "7"]));
        assert_eq!(window.since(at(1, 4)), lines(&["5", "6", "7"]));
        for unknown in [at(1, 3), at(1, 8), at(2, 5), at(2, 7)] {
            assert_eq!(window.since(unknown), Since::Unknown, "{unknown:?}");
        }
        let renamed = Position { revision: Revision::new(2), ..at(1, 7) };
        assert_eq!(window.since(renamed), Since::Nothing(at(1, 7)));
        let future = Position { revision: Revision::new(8), ..at(1, 7) };
        assert_eq!(window.since(future), Since::Unknown);
        let other_hash = Position { hash: StateHash::from_u128(0), ..at(1, 5) };
        assert_eq!(window.since(other_hash), Since::Unknown);
    }

    #[test]
    fn the_window_is_bounded() {
        let mut window = Window { max_bytes: 10, ..Window::new(at(1, 0)) };
        for revision in 1..=20 {
            window.push(at(1, revision), Bytes::from_static(b"four"));
        }
        assert!(window.bytes <= 10);
        assert_eq!(window.since(at(1, 17)), Since::Unknown);
        assert!(matches!(window.since(at(1, 18)), Since::Deltas(lines, _) if lines.len() == 2));
    }
}
