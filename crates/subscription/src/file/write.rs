//! Writing a base, and appending to it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use tenantry_distribution::{Frame, Update};

use super::{LastKnownGood, RecordError, Tail, directory_of, suffixed};

impl LastKnownGood {
    /// Makes a full state the new base. The old file stays until the new one is whole and on disk.
    pub(crate) fn write_base(&mut self, update: &Update) -> Result<(), RecordError> {
        let written = suffixed(&self.path, ".tmp");
        // Removed and created anew, so that no mode, link or content of an old one is inherited.
        match fs::remove_file(&written) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        // The state names tenants and digests of keys: nobody else's business.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written)?;
        let mut writer = BufWriter::with_capacity(256 * 1024, file);
        let hello = Frame::hello(update.epoch).encode()?;
        writer.write_all(&hello)?;
        let mut bytes = hello.len() as u64;
        for line in update.lines() {
            let line = line?;
            writer.write_all(&line)?;
            bytes += line.len() as u64;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&written, &self.path)?;
        // From here on the name leads to the new file, whatever becomes of the sync.
        let position = update.position();
        self.tail = Some(Tail { file, position, base_bytes: bytes, whole_bytes: bytes });
        sync_directory(&self.path)?;
        Ok(())
    }

    /// Appends deltas, with one sync for all of them. After an error none of them is held.
    pub(crate) fn append<'a>(
        &mut self,
        updates: impl IntoIterator<Item = &'a Update>,
    ) -> Result<(), RecordError> {
        let tail = self.tail.as_mut().ok_or(RecordError::Gap)?;
        let mut position = tail.position;
        let mut bytes = Vec::new();
        for update in updates {
            if update.epoch != position.epoch || update.from != position.revision {
                return Err(RecordError::Gap);
            }
            for line in update.lines() {
                bytes.extend_from_slice(&line?);
            }
            position = update.position();
        }
        // An earlier failure may have left part of a transaction behind.
        tail.file.set_len(tail.whole_bytes)?;
        tail.file.seek(SeekFrom::Start(tail.whole_bytes))?;
        tail.file.write_all(&bytes)?;
        tail.file.sync_data()?;
        tail.whole_bytes += bytes.len() as u64;
        tail.position = position;
        Ok(())
    }
}

/// Makes a rename in the directory of this path durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(directory_of(parent))?.sync_all(),
        None => Ok(()),
    }
}
