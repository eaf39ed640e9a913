//! One difference out of many commits: for a proxy that stands where no window reaches, such as after a
//! restart of the control plane.
//!
//! The log of commits says what has changed since; the last form of each resource is what such a proxy
//! lacks. The result ends with the hash of the newest state, so if the proxy did not stand where it said,
//! it finds out and asks for the whole state. That is cheaper in any case once a good part of all resources
//! has changed, and then this gives up.

use crate::{Change, Delta, EncodeError, Position, Revision, latest::Latest};

/// The most that is put together, whatever the size of the state.
const MAX_BYTES: usize = 32 << 20;
/// Of so many resources, one may have changed.
const RESOURCES_PER_CHANGE: usize = 4;
/// So many may always.
const MIN_RESOURCES: usize = 1_000;

/// The changes between an older state and the newest.
#[derive(Debug)]
pub struct CatchUp {
    from: Position,
    to: Position,
    resources: usize,
    changes: Latest,
}

/// So much has changed that the whole state is cheaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much has changed since")]
pub struct TooMuch;

impl CatchUp {
    /// From an older state of the same history to the newest, which has so many resources.
    ///
    /// # Errors
    /// If there are so many commits between them that reading them takes longer than reading the state.
    pub fn new(from: Position, to: Position, resources: usize) -> Result<Self, TooMuch> {
        let commits = to.revision.as_u64().saturating_sub(from.revision.as_u64());
        if from.epoch != to.epoch || commits > resources.max(MIN_RESOURCES) as u64 {
            return Err(TooMuch);
        }
        Ok(Self { from, to, resources, changes: Latest::default() })
    }

    /// The first commit it wants.
    #[must_use]
    pub fn first(&self) -> Revision {
        self.from.revision.next()
    }

    /// The last commit it wants.
    #[must_use]
    pub fn last(&self) -> Revision {
        self.to.revision
    }

    /// Takes in a commit; those outside its span are passed over.
    ///
    /// # Errors
    /// If the whole state is cheaper by now.
    pub fn take(&mut self, revision: Revision, changes: Vec<Change>) -> Result<(), TooMuch> {
        if revision < self.first() || revision > self.last() {
            return Ok(());
        }
        changes.into_iter().for_each(|change| self.changes.take(change));
        let most = (self.resources / RESOURCES_PER_CHANGE).max(MIN_RESOURCES);
        if self.changes.resources() > most || self.changes.bytes() > MAX_BYTES {
            return Err(TooMuch);
        }
        Ok(())
    }

    /// Takes out what there is so far, so that it can be looked at and taken in again.
    pub fn drain(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes).into_changes()
    }

    /// The difference.
    ///
    /// # Errors
    /// If one of the resources is too large to be sent.
    pub fn finish(self) -> Result<Delta, EncodeError> {
        Delta::new(self.from, self.to, self.resources, self.changes.into_changes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoding, Epoch, ResourceJson, ResourceName, StateHash};

    fn at(revision: u64) -> Position {
        let hash = StateHash::from_u128(u128::from(revision));
        Position { epoch: Epoch::from_u128(1), revision: Revision::new(revision), hash }
    }

    fn put(id: u64) -> Change {
        let name = ResourceName { kind: "plan".to_owned(), id: id.to_string() };
        Change::new(name, Some(ResourceJson::from_slice(b"{}").unwrap()))
    }

    #[test]
    fn only_commits_between_the_two_states_count() {
        let mut catch_up = CatchUp::new(at(3), at(6), 10).unwrap();
        assert_eq!((catch_up.first().as_u64(), catch_up.last().as_u64()), (4, 6));
        for revision in 1..=9 {
            catch_up.take(Revision::new(revision), vec![put(revision), put(0)]).unwrap();
        }
        let delta = catch_up.finish().unwrap();
        assert_eq!((delta.from, delta.to), (at(3), at(6)));
        let text = delta.lines.bytes(Encoding::Plain);
        let text = std::str::from_utf8(&text).unwrap();
        let ids: Vec<_> = text.split("\"id\":\"").skip(1).map(|rest| &rest[..1]).collect();
        assert_eq!(ids, ["0", "4", "5", "6"]);
    }

    #[test]
    fn it_gives_up_where_the_whole_state_is_cheaper() {
        assert_eq!(CatchUp::new(at(0), at(1_001), 10).unwrap_err(), TooMuch);
        assert!(CatchUp::new(at(0), at(1_001), 2_000).is_ok());
        let other = Position { epoch: Epoch::from_u128(2), ..at(0) };
        assert_eq!(CatchUp::new(other, at(1), 10).unwrap_err(), TooMuch);
        let mut catch_up = CatchUp::new(at(0), at(1), 8_000).unwrap();
        assert_eq!(catch_up.take(Revision::new(1), (0..2_000).map(put).collect()), Ok(()));
        assert_eq!(catch_up.take(Revision::new(1), vec![put(2_000)]), Err(TooMuch));
    }
}
