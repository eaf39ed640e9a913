//! Whether the tree found at open continues the history that was promised to clients.
//!
//! The engine can lose the newest commits without an error (a tail cut off by a damaged disk or by a
//! restore looks like a clean end), and can open an emptied file as an empty store. So a witness
//! beside it remembers the identity and a head that was durable, and the two are compared here.
//!
//! A store that went back gets a new identity, and its revisions go on far beyond any that the lost
//! history gave out. Without that jump, a revision a client holds (an `ETag`, a check) could come to
//! mean another state, and a lost update would pass its check. A missing witness is treated the same:
//! this makes "copy everything but the witness" the way to restore a backup.

use crate::{Revision, StoreId};

/// Larger than what a history could have committed between a backup or a witness and its end, and
/// small enough for two million restores within the integers that JSON can carry exactly.
pub(super) const GAP: u64 = 1 << 32;

/// Identity and head of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: StoreId,
    pub(super) head: Revision,
}

/// What to do with the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There have never been any commits here.
    Create,
    /// All is there.
    Continue,
    /// The rows are kept, under a new identity and from this revision on.
    Restart { head: Revision, reason: Reason },
    /// There was a store here, and now there is nothing.
    Emptied,
}

/// Why a history could not be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    NoWitness,
    OtherStore,
    WentBack,
}

impl Reason {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NoWitness => "there is no witness beside the data",
            Self::OtherStore => "the witness is of another store",
            Self::WentBack => "commits are missing that were durable",
        }
    }
}

pub(super) fn judge(tree: Option<Mark>, witness: Option<Mark>) -> Verdict {
    let (tree, witness) = match (tree, witness) {
        (None, None) => return Verdict::Create,
        // Interrupted while it was created: no revision was ever given out.
        (Some(tree), None) if tree.head == Revision::ZERO => return Verdict::Create,
        (None, Some(_)) => return Verdict::Emptied,
        (Some(tree), None) => return restart(tree.head, Reason::NoWitness),
        (Some(tree), Some(witness)) => (tree, witness),
    };
    let newest = tree.head.max(witness.head);
    if tree.id != witness.id {
        restart(newest, Reason::OtherStore)
    } else if tree.head < witness.head {
        restart(newest, Reason::WentBack)
    } else {
        Verdict::Continue
    }
}

fn restart(newest: Revision, reason: Reason) -> Verdict {
    Verdict::Restart { head: newest.plus(GAP), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mark(id: u8, head: u64) -> Option<Mark> {
        Some(Mark { id: StoreId::from_bytes([id; 16]), head: Revision::new(head) })
    }

    const fn restart_at(head: u64, reason: Reason) -> Verdict {
        Verdict::Restart { head: Revision::new(head), reason }
    }

    #[test]
    fn verdicts() {
        let table = [
            (None, None, Verdict::Create),
            (mark(1, 0), None, Verdict::Create),
            (None, mark(1, 0), Verdict::Emptied),
            (mark(1, 5), mark(1, 5), Verdict::Continue),
            (mark(1, 6), mark(1, 5), Verdict::Continue),
            (mark(1, 4), mark(1, 5), restart_at(GAP + 5, Reason::WentBack)),
            (mark(1, 5), None, restart_at(GAP + 5, Reason::NoWitness)),
            (mark(1, 9), mark(2, 5), restart_at(GAP + 9, Reason::OtherStore)),
            (mark(1, 5), mark(2, 9), restart_at(GAP + 9, Reason::OtherStore)),
        ];
        for (tree, witness, verdict) in table {
            assert_eq!(judge(tree, witness), verdict, "{tree:?} {witness:?}");
        }
    }
}
