//! Where in a history a state stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of one committed state. Within one history it only ever rises, and it is not dense: the
/// next state may be any greater number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// Before the first commit; as the revision of a row, "the key is absent".
    pub const ZERO: Self = Self(0);

    /// Revision number `number`.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The plain number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number after this one, which is where a watch resumes.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The number before this one; zero has none and stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The number so many steps later; the last one stays.
    #[must_use]
    pub const fn plus(self, steps: u64) -> Self {
        Self(self.0.saturating_add(steps))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Self(number)
    }
}
