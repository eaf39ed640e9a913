//! Reading a recorded stream from disk.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use tenantry_distribution::{Damage, Recorded, Recording};

/// Why a file gives no state. All but `Io` mean that its content is damaged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Damage(Damage),
}

const CHUNK_BYTES: usize = 256 * 1024;

/// Reads to the last whole update; nothing is used before all of it is verified.
pub(super) fn read(path: &Path) -> Result<Recorded, ReadError> {
    let mut file = File::open(path).map_err(ReadError::Io)?;
    let mut recording = Recording::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ReadError::Io(error)),
        };
        recording.push(chunk.get(..length).unwrap_or_default()).map_err(ReadError::Damage)?;
    }
    recording.finish().map_err(ReadError::Damage)
}
