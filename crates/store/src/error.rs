//! How each operation can fail, by what the caller should do next.

use bytes::Bytes;

use crate::{Limit, Revision};

/// Why a batch was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A check did not hold; nothing was applied. Read again and decide anew.
    #[error("a check did not hold")]
    Conflict {
        /// The key or prefix of the first check that failed, where it is known.
        key: Option<Bytes>,
    },
    /// The batch breaks a limit; nothing was applied, and trying again is useless.
    #[error("the batch has {0}")]
    Invalid(Limit),
    /// There is no space left. The commit that met the end of the disk is in doubt as with
    /// [`CommitError::Unknown`]; those after it were not applied.
    #[error("the store is full")]
    Full,
    /// Nothing was applied; trying again may help.
    #[error("the store cannot be reached")]
    Unavailable,
    /// The batch may or may not have been applied. Read back a row that only this batch wrote.
    #[error("the outcome of the commit is unknown")]
    Unknown,
    /// Nothing was applied, and the store takes no commits until somebody repairs it.
    #[error("the store has failed")]
    Fatal,
}

/// Why a read was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The revision is older than what is kept. Start again from the present.
    #[error("the revision was compacted; the oldest one kept is {oldest}")]
    Compacted {
        /// The oldest revision that can still be read.
        oldest: Revision,
    },
    /// The revision or cursor belongs to another history: one that was replaced, or one that this
    /// store has not reached, which only a store that went back can have promised. Start again.
    #[error("the revision belongs to another history")]
    StoreChanged,
    /// Trying again may help.
    #[error("the store cannot be reached")]
    Unavailable,
    /// The store cannot read what it wrote, and will not without repair.
    #[error("the store has failed")]
    Fatal,
}

/// Why a watch ended. After the first three, read the whole state again and watch from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The next revision due is older than what is kept.
    #[error("the revision was compacted; the oldest one kept is {oldest}")]
    Compacted {
        /// The oldest revision a watch can still begin at.
        oldest: Revision,
    },
    /// The revision belongs to another history; see [`ReadError::StoreChanged`].
    #[error("the revision belongs to another history")]
    StoreChanged,
    /// The watcher read more slowly than the store committed.
    #[error("the watcher fell too far behind")]
    Lagged,
    /// The store went away. Watch again from the revision after the last one seen.
    #[error("the store cannot be reached")]
    Unavailable,
}
