//! A state, named exactly.

use serde::{Deserialize, Serialize};

use tenantry_model::Revision;

use crate::{Epoch, StateHash};

/// A state, named exactly: the history, the number in it, and the hash of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The history.
    pub epoch: Epoch,
    /// The number within it.
    pub revision: Revision,
    /// The hash of the whole state.
    pub hash: StateHash,
}
