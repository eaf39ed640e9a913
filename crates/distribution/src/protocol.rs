//! Which protocol two ends speak with each other.
//!
//! Every build speaks its newest protocol and the one before it, so either end can be upgraded first. A
//! proxy names its newest when it subscribes, and the control plane answers in the highest that both
//! speak, which its hello repeats. One that is more than one step away is refused before a stream opens:
//! frames that either end takes for something else are worse than none.

use std::fmt;

/// The protocol this build speaks. The number rises only for a change that an older reader must not
/// ignore; what it may ignore (a field, a frame, a resource kind) is added without.
pub const PROTOCOL: u32 = 1;

/// The protocols that one end speaks: its newest and the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    newest: u32,
}

/// There is no protocol that both ends speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the proxy speaks protocol {theirs} and the control plane {ours}; they must not be more than one \
     apart: upgrade the {}", if *.theirs < .ours.newest { "proxy" } else { "control plane" }
)]
pub struct NoCommonProtocol {
    /// What the control plane speaks.
    pub ours: Protocols,
    /// The newest that the proxy speaks.
    pub theirs: u32,
}

impl Protocols {
    /// What this build speaks.
    pub const OURS: Self = Self::up_to(PROTOCOL);

    /// The first protocol there was, which is what speaks who names none.
    pub const FIRST: u32 = 1;

    /// This protocol and the one before.
    #[must_use]
    pub const fn up_to(newest: u32) -> Self {
        Self { newest }
    }

    /// The newest.
    #[must_use]
    pub const fn newest(self) -> u32 {
        self.newest
    }

    /// The oldest.
    #[must_use]
    pub const fn oldest(self) -> u32 {
        let before = self.newest.saturating_sub(1);
        if before < Self::FIRST { Self::FIRST } else { before }
    }

    /// Whether it is one of these.
    #[must_use]
    pub const fn contains(self, protocol: u32) -> bool {
        self.oldest() <= protocol && protocol <= self.newest
    }

    /// What to speak with a proxy whose newest protocol is this.
    ///
    /// # Errors
    /// If it is more than one step away.
    pub fn with(self, theirs: u32) -> Result<u32, NoCommonProtocol> {
        let common = self.newest.min(theirs);
        if self.contains(common) && Self::up_to(theirs).contains(common) {
            Ok(common)
        } else {
            Err(NoCommonProtocol { ours: self, theirs })
        }
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oldest() == self.newest {
            write!(f, "{}", self.newest)
        } else {
            write!(f, "{} and {}", self.oldest(), self.newest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_speak_the_older_of_their_newest() {
        for (ours, theirs, expected) in [
            (1, 1, Some(1)),
            (1, 2, Some(1)),
            (2, 1, Some(1)),
            (2, 2, Some(2)),
            (3, 2, Some(2)),
            (2, 3, Some(2)),
            (3, 1, None),
            (1, 3, None),
            (1, 0, None),
            (7, u32::MAX, None),
        ] {
            assert_eq!(Protocols::up_to(ours).with(theirs).ok(), expected, "{ours} {theirs}");
        }
    }

    #[test]
    fn the_refusal_says_who_is_to_be_upgraded() {
        let refusal = |ours, theirs| Protocols::up_to(ours).with(theirs).unwrap_err().to_string();
        assert!(refusal(3, 1).contains("speaks protocol 1 and the control plane 2 and 3"));
        assert!(refusal(3, 1).ends_with("upgrade the proxy"));
        assert!(refusal(1, 3).ends_with("upgrade the control plane"));
    }
}
