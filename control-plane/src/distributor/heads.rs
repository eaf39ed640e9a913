//! Which states the platform was in, and since when: what a proxy ought to hold, and for how long what it
//! enforces has been out of date.

use std::collections::VecDeque;

use tenantry_distribution::{Epoch, Position, StateHash};
use tenantry_model::{Revision, Timestamp};

/// The most states that are remembered.
const MAX_HEADS: usize = 16_384;

/// The latest states of one history, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads(VecDeque<Head>);

#[derive(Debug, Clone, Copy)]
struct Head {
    position: Position,
    since: Timestamp,
}

impl Heads {
    /// From now on this is the state.
    pub(super) fn note(&mut self, position: Position, now: Timestamp) {
        if let Some(last) = self.0.back() {
            if last.position == position {
                return;
            }
            // Another history, or the same one told otherwise: what was known of it says nothing any more.
            let goes_on =
                last.position.epoch == position.epoch && last.position.revision < position.revision;
            if !goes_on {
                self.0.clear();
            }
        }
        self.0.push_back(Head { position, since: now });
        if self.0.len() > MAX_HEADS {
            self.0.pop_front();
        }
    }

    /// The hash of the state at a revision, if that is remembered.
    pub(super) fn hash_at(&self, epoch: Epoch, revision: Revision) -> Option<StateHash> {
        let head = self.0.get(self.behind(epoch, revision)?.checked_sub(1)?)?;
        (head.position.revision == revision).then_some(head.position.hash)
    }

    /// Since when there is a newer state than that at a revision; none, if there is no newer one. It may have been
    /// longer where that is not remembered any more.
    pub(super) fn superseded_at(&self, epoch: Epoch, revision: Revision) -> Option<Timestamp> {
        self.0.get(self.behind(epoch, revision)?).map(|head| head.since)
    }

    /// The place of the first state after a revision.
    fn behind(&self, epoch: Epoch, revision: Revision) -> Option<usize> {
        self.0.back().filter(|last| last.position.epoch == epoch)?;
        Some(self.0.partition_point(|head| head.position.revision <= revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u128, revision: u64) -> Position {
        Position {
            epoch: Epoch::from_u128(epoch),
            revision: Revision::new(revision),
            hash: StateHash::from_u128(u128::from(revision) * 7),
        }
    }

    #[test]
    fn it_is_known_what_was_and_since_when_it_is_not() {
        let mut heads = Heads::default();
        for (revision, now) in [(4, 100), (6, 200), (6, 250), (9, 300)] {
            heads.note(at(1, revision), Timestamp::from_unix_ms(now));
        }
        let check = |epoch, revision, hash: Option<u64>, superseded: Option<u64>| {
            let (epoch, revision) = (Epoch::from_u128(epoch), Revision::new(revision));
            let hash = hash.map(|revision| at(1, revision).hash);
            assert_eq!(heads.hash_at(epoch, revision), hash, "{revision}");
            let superseded = superseded.map(Timestamp::from_unix_ms);
            assert_eq!(heads.superseded_at(epoch, revision), superseded, "{revision}");
        };
        check(1, 9, Some(9), None);
        check(1, 6, Some(6), Some(300));
        check(1, 4, Some(4), Some(200));
        // It was behind when this was first looked at.
        check(1, 2, None, Some(100));
        // No state of its own: nothing that concerns proxies happened then.
        check(1, 7, None, Some(300));
        check(1, 12, None, None);
        check(2, 9, None, None);
        heads.note(at(2, 1), Timestamp::from_unix_ms(400));
        assert_eq!(heads.hash_at(Epoch::from_u128(1), Revision::new(9)), None);
        assert_eq!(heads.hash_at(Epoch::from_u128(2), Revision::new(1)), Some(at(2, 1).hash));
    }

    #[test]
    fn they_are_bounded() {
        let mut heads = Heads::default();
        for revision in 1..=MAX_HEADS as u64 + 5 {
            heads.note(at(1, revision), Timestamp::from_unix_ms(revision));
        }
        assert_eq!(heads.0.len(), MAX_HEADS);
        let oldest = heads.superseded_at(Epoch::from_u128(1), Revision::new(1));
        assert_eq!(oldest, Some(Timestamp::from_unix_ms(6)));
    }
}
