//! Reading a recorded stream.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use tenantry_distribution::{
    Assembler, ContinuityError, DecodeError, Decoder, Event, RemovalBrake, Update, fold,
};

/// What a file holds, verified from end to end.
pub(super) struct Recording {
    /// The last state, as one full update.
    pub(super) update: Update,
    /// The assembler that read it, with its ledger.
    pub(super) assembler: Assembler,
    /// Up to the commit of the full state.
    pub(super) base_bytes: u64,
    /// Up to the last commit.
    pub(super) whole_bytes: u64,
}

/// Why a file gives no state. All but `Io` mean that its content is damaged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0}")]
    Io(io::Error),
    #[error("{error}: {}", std::error::Error::source(.error).map_or_else(String::new, ToString::to_string))]
    Decode { error: DecodeError },
    #[error("before byte {offset}: {error}")]
    Continuity { offset: u64, error: ContinuityError },
    #[error("it holds no whole state")]
    Empty,
}

const CHUNK_BYTES: usize = 256 * 1024;

/// Reads to the last whole update; nothing is used before all of it is verified. The deltas are
/// folded into the base, so that a start costs one apply however long the tail is.
pub(super) fn read(path: &Path) -> Result<Recording, ReadError> {
    let mut file = File::open(path).map_err(ReadError::Io)?;
    let mut decoder = Decoder::new();
    // Its updates passed the brake when they came.
    let mut assembler = Assembler::new(RemovalBrake::OFF);
    let mut updates = Vec::new();
    let (mut base_bytes, mut whole_bytes) = (0, 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ReadError::Io(error)),
        };
        decoder.push(chunk.get(..length).unwrap_or_default());
        while let Some(frame) = decoder.next() {
            let frame = frame.map_err(|error| ReadError::Decode { error })?;
            let event = assembler.push(frame).map_err(|error| {
                let offset = decoder.consumed();
                ReadError::Continuity { offset, error }
            })?;
            if let Event::Update(update) = event {
                whole_bytes = decoder.consumed();
                if updates.is_empty() {
                    base_bytes = whole_bytes;
                }
                updates.push(update);
            }
        }
    }
    let mut updates = updates.into_iter();
    let base = updates.next().ok_or(ReadError::Empty)?;
    Ok(Recording { update: fold(base, updates), assembler, base_bytes, whole_bytes })
}
