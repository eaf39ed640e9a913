//! One whole transaction.

use bytes::Bytes;

use crate::{
    Begin, Change, EncodeError, Epoch, Frame, Mark, Position, Removal, Revision, StateHash,
    UpdateKind, frame::encode_change,
};

/// One transaction, whole: what a stream brings, a file records, and a target applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The history it belongs to.
    pub epoch: Epoch,
    /// Everything, or a difference.
    pub kind: UpdateKind,
    /// The revision a delta stands on; of no meaning for a full state.
    pub from: Revision,
    /// The revision after it.
    pub to: Revision,
    /// Whether a large removal of tenants is meant.
    pub removal: Removal,
    /// What changes, in order.
    pub changes: Vec<Change>,
    /// The hash of the whole state after it.
    pub hash: StateHash,
}

impl Update {
    /// Where the state stands after it.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, revision: self.to, hash: self.hash }
    }

    /// The lines of the transaction, `begin` to `commit`, encoded one at a time so that a full state
    /// of a million tenants is never in memory twice.
    pub fn lines(&self) -> impl Iterator<Item = Result<Bytes, EncodeError>> + '_ {
        let begin = Frame::Begin(Begin {
            kind: self.kind,
            from: self.from,
            to: self.to,
            removal: self.removal,
        });
        let commit = Frame::Commit(Mark { revision: self.to, hash: self.hash });
        std::iter::once_with(move || begin.encode())
            .chain(self.changes.iter().map(encode_change))
            .chain(std::iter::once_with(move || commit.encode()))
    }
}
