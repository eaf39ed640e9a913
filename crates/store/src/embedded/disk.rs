//! The engine, and the only place where it is called.
//!
//! Three things are done around every call. A panic is caught and becomes an error: the engine
//! asserts its way through damaged files. A write ends with `fdatasync` on the data file: the
//! engine's own flush starts writeback and waits for it, which is no promise against a power cut.
//! And errors are sorted into "full", which an operator can mend, and everything else.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sled::IVec;

use super::layout::{HEAD, PART_BYTES, Stored, part};
use crate::Revision;

/// A quarter of this is the size at which a page would leave the data file; see `layout`.
const SEGMENT_BYTES: usize = 1 << 20;

pub(super) const DATA_FILE: &str = "db";

/// Why the storage did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StorageError {
    #[error("no space left: {0}")]
    Full(String),
    #[error("{0}")]
    Fault(String),
}

impl StorageError {
    pub(super) fn unreadable(what: &str) -> Self {
        Self::Fault(format!("{what} is missing or unreadable"))
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full(error.to_string()),
            _ => Self::Fault(error.to_string()),
        }
    }
}

impl From<sled::Error> for StorageError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => error.into(),
            other => Self::Fault(other.to_string()),
        }
    }
}

/// An open tree and its data file.
pub(super) struct Disk {
    /// Declared first, so that it is dropped before the data file waits for that.
    db: sled::Db,
    data_file: DataFile,
}

/// The engine's data file, opened once more to sync it.
///
/// The engine locks the file, and its threads hold on to it a little longer than the tree lives, so
/// a store opened again at once would find it locked. Dropping this waits until they have let go. It
/// does not after a failure, when a thread of the engine may be stuck.
struct DataFile {
    file: File,
    has_failed: AtomicBool,
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if !self.has_failed.load(Ordering::Relaxed) {
            // Without the lock there is nothing to wait for, or no way to.
            let _ = self.file.lock();
        }
    }
}

impl Disk {
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> Result<Self, StorageError> {
        let config = sled::Config::new()
            .path(directory)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES);
        let db = guarded(|| config.open())?;
        let file = File::open(directory.join(DATA_FILE))?;
        let data_file = DataFile { file, has_failed: AtomicBool::new(false) };
        // The directory entry of a data file just made must be as durable as what goes into it.
        File::open(directory)?.sync_all()?;
        Ok(Self { db, data_file })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, StorageError> {
        self.call(|| self.db.get(key))
    }

    /// Entries from `start` up to but without `end`; none if `end` comes first.
    pub(super) fn range(&self, start: Vec<u8>, end: Vec<u8>) -> Entries {
        let end = end.max(start.clone());
        Entries(self.db.range(start..end))
    }

    /// Makes all of the batch durable, or fails; then it may or may not be.
    pub(super) fn write(&self, batch: sled::Batch) -> Result<(), StorageError> {
        self.call(|| self.db.apply_batch(batch))?;
        self.call(|| self.db.flush())?;
        self.call(|| Ok(self.data_file.file.sync_data()?))
    }

    pub(super) fn head(&self) -> Result<Revision, StorageError> {
        self.revision(HEAD)?.ok_or_else(|| StorageError::unreadable("the head revision"))
    }

    pub(super) fn revision(&self, key: &[u8]) -> Result<Option<Revision>, StorageError> {
        let Some(bytes) = self.get(key)? else { return Ok(None) };
        let revision = super::layout::revision(&bytes);
        revision.map(Some).ok_or_else(|| StorageError::unreadable("a revision"))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.call(|| self.db.size_on_disk()).unwrap_or_default()
    }

    fn call<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StorageError> {
        let result = guarded(call);
        if result.is_err() {
            self.data_file.has_failed.store(true, Ordering::Relaxed);
        }
        result
    }

    /// The value of `stored`, which `revision` wrote; none for a tombstone.
    pub(super) fn load(
        &self,
        revision: Revision,
        stored: Stored,
    ) -> Result<Option<bytes::Bytes>, StorageError> {
        let (slot, count) = match stored {
            Stored::Tombstone => return Ok(None),
            Stored::Inline(value) => return Ok(Some(value)),
            Stored::Parts { slot, count } => (slot, count),
        };
        let mut value = Vec::new();
        for index in 0..count {
            let bytes = self.get(&part(revision, slot, index))?;
            value.extend_from_slice(&bytes.ok_or_else(|| StorageError::unreadable("a value"))?);
        }
        Ok(Some(value.into()))
    }
}

/// Adds `value` to the batch, in parts if it is long, and returns what to put in its row.
pub(super) fn store_value(
    batch: &mut sled::Batch,
    revision: Revision,
    slot: u16,
    value: bytes::Bytes,
) -> Stored {
    if value.len() <= PART_BYTES {
        return Stored::Inline(value);
    }
    let mut count = 0;
    for bytes in value.chunks(PART_BYTES) {
        batch.insert(part(revision, slot, count), bytes);
        count += 1;
    }
    Stored::Parts { slot, count }
}

/// Entries of a range, each read when it is asked for.
pub(super) struct Entries(sled::Iter);

impl Iterator for Entries {
    type Item = Result<(IVec, IVec), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        guarded(|| self.0.next().transpose()).transpose()
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Self::Item> {
        guarded(|| self.0.next_back().transpose()).transpose()
    }
}

/// Calls the engine, with its panics as errors. What a panic leaves half done stays inside the
/// engine, and the store takes no more commits after it.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, StorageError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Ok(result?),
        Err(panic) => Err(StorageError::Fault(panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the storage engine gave up: {}", text.unwrap_or("no reason given"))
}
