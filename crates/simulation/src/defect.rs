//! Ways to break one of the two ends, so that the simulation can be seen to notice.

/// One thing that is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The control plane leaves a delta out of a stream.
    LoseDelta,
    /// When commits are put together, the first form of a resource wins.
    FirstFormWins,
    /// A whole state is read as it is now, and not at the revision it is sent as.
    UnpinnedFull,
    /// What is put together from the log lacks its first commit.
    CatchUpMissesOne,
    /// A proxy is not told that the state it holds has another number now.
    IgnoreRename,
    /// Any number of expensive sends go on at once.
    IgnorePlaces,
    /// A stream is given more whether or not its proxy has taken the last.
    BufferWithoutBound,
    /// The proxy believes every hash.
    SkipHashCheck,
    /// The proxy applies changes before their transaction is whole.
    ApplyEarly,
    /// The proxy does not record every update.
    ForgetToRecord,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::LoseDelta,
        Self::FirstFormWins,
        Self::UnpinnedFull,
        Self::CatchUpMissesOne,
        Self::IgnoreRename,
        Self::IgnorePlaces,
        Self::BufferWithoutBound,
        Self::SkipHashCheck,
        Self::ApplyEarly,
        Self::ForgetToRecord,
    ];
}
