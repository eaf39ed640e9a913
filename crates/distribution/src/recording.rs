//! Reading a recorded stream.

use crate::{
    Assembler, ContinuityError, DecodeError, Decoder, Event, RemovalBrake, Update, fold::fold,
};

/// A recorded stream that is being read.
#[derive(Debug)]
pub struct Recording {
    decoder: Decoder,
    assembler: Assembler,
    updates: Vec<Update>,
    base_bytes: u64,
    whole_bytes: u64,
}

/// What a recorded stream holds, verified from end to end.
#[derive(Debug)]
pub struct Recorded {
    /// The last state, as one full update.
    pub update: Update,
    /// The assembler that read it, with its ledger.
    pub assembler: Assembler,
    /// Up to the commit of the full state.
    pub base_bytes: u64,
    /// Up to the last commit.
    pub whole_bytes: u64,
}

/// Why a recorded stream is damaged.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It cannot be read.
    #[error("{0}: {source}", source = std::error::Error::source(.0).map_or_else(String::new, ToString::to_string))]
    Decode(DecodeError),
    /// Its frames do not continue one another.
    #[error("before byte {offset}: {error}")]
    Continuity {
        /// Where.
        offset: u64,
        /// How.
        error: ContinuityError,
    },
    /// There is no whole state in it.
    #[error("it holds no whole state")]
    Empty,
}

impl Default for Recording {
    fn default() -> Self {
        Self::new()
    }
}

impl Recording {
    /// Nothing is read yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            // Its updates passed the brake when they came.
            assembler: Assembler::new(RemovalBrake::OFF),
            updates: Vec::new(),
            base_bytes: 0,
            whole_bytes: 0,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Damage> {
        self.decoder.push(chunk);
        while let Some(frame) = self.decoder.next() {
            let frame = frame.map_err(Damage::Decode)?;
            let event = self.assembler.push(frame).map_err(|error| {
                let offset = self.decoder.consumed();
                Damage::Continuity { offset, error }
            })?;
            if let Event::Update(update) = event {
                self.whole_bytes = self.decoder.consumed();
                if self.updates.is_empty() {
                    self.base_bytes = self.whole_bytes;
                }
                self.updates.push(update);
            }
        }
        Ok(())
    }

    /// That was all: the state after the last whole update. The deltas are folded into the base, so that a
    /// start costs one apply however many there are.
    ///
    /// # Errors
    /// If there is no whole state in it.
    pub fn finish(self) -> Result<Recorded, Damage> {
        let Self { assembler, updates, base_bytes, whole_bytes, .. } = self;
        let mut updates = updates.into_iter();
        let base = updates.next().ok_or(Damage::Empty)?;
        Ok(Recorded { update: fold(base, updates), assembler, base_bytes, whole_bytes })
    }
}
