//! The last-known-good file: a recorded stream.
//!
//! It starts with a hello and a full state and goes on with the deltas as they came. The base is
//! written aside, synced and renamed, so there is always one whole base; a delta is appended and
//! `fdatasync`ed. The file is a cache of a store that is durable elsewhere, so a lost tail would only
//! mean an older start, healed by the first delta. It is synced all the same, because an unsynced tail
//! may come back from a power cut as garbage in the *middle*, which is indistinguishable from damage
//! and costs the whole file. The cost is one sync for each batch of updates, in the recorder's own
//! thread, where nothing waits for it.
//!
//! What a crash can leave is a transaction without its commit at the end; it is cut off. Anything else
//! is damage: the file is set aside for whoever wants to look, and the proxy starts without it. Using
//! the part before the damage was rejected: a proxy would serve a state that is older than the file
//! claims, and nobody would look.
//!
//! One process at a time writes it, the one that holds the lock of a file beside it: while a proxy
//! hands over to its successor there are two that follow the same stream. The successor reads the file
//! all the same, and takes it up where its predecessor left it.

mod compact;
mod read;
mod write;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use tenantry_distribution::{Assembler, EncodeError, Position, Recorded, Update};
use tenantry_model::Timestamp;

use read::ReadError;

/// The file, open for appending if it holds a state.
#[derive(Debug)]
pub(crate) struct LastKnownGood {
    path: PathBuf,
    compact_above_bytes: u64,
    /// Locked for as long as it is open; none while another process holds it.
    lock: Option<File>,
    tail: Option<Tail>,
}

/// Where the next delta goes.
#[derive(Debug)]
struct Tail {
    file: File,
    /// The state the file holds.
    position: Position,
    /// How many bytes the base has, the hello included.
    base_bytes: u64,
    /// How many bytes are whole transactions; what follows them is left from a failed write.
    whole_bytes: u64,
}

/// Why an update could not be recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Encode(#[from] EncodeError),
    #[error("it does not continue what the file holds")]
    Gap,
    #[error("it cannot be folded: {0}")]
    Fold(ReadError),
    #[error("another process writes it")]
    Locked,
}

impl LastKnownGood {
    /// Opens the file and reads the state it holds, if it holds one.
    pub(crate) fn open(
        path: &Path,
        compact_above_bytes: u64,
        now: Timestamp,
    ) -> (Self, Option<(Update, Assembler)>) {
        let mut file = Self { path: path.to_owned(), compact_above_bytes, lock: None, tail: None };
        let is_locked = file.lock();
        if let Err(error) = &is_locked {
            let path = path.display();
            tracing::warn!(%path, %error, "the last-known-good file cannot be locked yet");
        }
        let recording = match read::read(path) {
            Ok(recording) => recording,
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                return (file, None);
            }
            Err(ReadError::Io(error)) => {
                let path = path.display();
                tracing::error!(%path, %error, "the last-known-good file cannot be read; starting without it");
                return (file, None);
            }
            Err(error) => {
                if is_locked.is_ok() {
                    file.set_aside(&error, now);
                }
                return (file, None);
            }
        };
        if is_locked.is_err() {
            return (file, Some((recording.update, recording.assembler)));
        }
        match file.take_up(&recording) {
            Ok(tail) => file.tail = Some(tail),
            Err(error) => {
                let path = path.display();
                tracing::error!(%path, %error, "the last-known-good file is used but cannot be written");
            }
        }
        (file, Some((recording.update, recording.assembler)))
    }

    /// Makes this the process that writes the file, if no other one is.
    fn lock(&mut self) -> Result<(), RecordError> {
        let lock =
            OpenOptions::new().create(true).append(true).open(suffixed(&self.path, ".lock"))?;
        match lock.try_lock() {
            Ok(()) => self.lock = Some(lock),
            Err(TryLockError::WouldBlock) => return Err(RecordError::Locked),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// Sees to it that this process may write. If another one could until now, the file is taken up
    /// where that one left it.
    pub(crate) fn hold(&mut self) -> Result<(), RecordError> {
        if self.lock.is_some() {
            return Ok(());
        }
        self.lock()?;
        // What cannot be read is written anew with the next full state.
        if let Ok(recording) = read::read(&self.path) {
            self.tail = Some(self.take_up(&recording)?);
        }
        Ok(())
    }

    /// The state the file holds.
    pub(crate) fn position(&self) -> Option<Position> {
        self.tail.as_ref().map(|tail| tail.position)
    }

    fn take_up(&self, recording: &Recorded) -> io::Result<Tail> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        let length = file.metadata()?.len();
        if length > recording.whole_bytes {
            let path = self.path.display();
            let cut_bytes = length - recording.whole_bytes;
            tracing::warn!(%path, cut_bytes, "the last-known-good file ends in an unfinished update, which is cut off");
            file.set_len(recording.whole_bytes)?;
            file.sync_data()?;
        }
        Ok(Tail {
            file,
            position: recording.update.position(),
            base_bytes: recording.base_bytes,
            whole_bytes: recording.whole_bytes,
        })
    }

    fn set_aside(&self, damage: &ReadError, now: Timestamp) {
        let path = self.path.display();
        let prefix = suffixed(&self.path, ".corrupt-");
        let aside = suffixed(&prefix, &now.unix_ms().to_string());
        match fs::rename(&self.path, &aside) {
            Ok(()) => {
                let aside_path = aside.display();
                tracing::error!(%path, %damage, aside = %aside_path, "the last-known-good file is damaged; it was set aside and the start goes on without it");
                remove_others(&prefix, &aside);
            }
            Err(error) => {
                tracing::error!(%path, %damage, %error, "the last-known-good file is damaged and could not be set aside; the start goes on without it");
            }
        }
    }
}

/// Removes what was set aside before: one damaged file is evidence, a pile of them a full disk.
fn remove_others(prefix: &Path, keep: &Path) {
    let (Some(directory), Some(prefix)) = (prefix.parent(), prefix.file_name()) else {
        return;
    };
    for entry in fs::read_dir(directory_of(directory)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let older = name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes())
            && Some(name.as_os_str()) != keep.file_name();
        if older && let Err(error) = fs::remove_file(entry.path()) {
            let path = entry.path();
            tracing::warn!(path = %path.display(), %error, "an older damaged file could not be removed");
        }
    }
}

/// The path with more text at the end of its name.
fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A parent as a path that can be opened: that of a bare file name is empty.
fn directory_of(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}
