//! What the committer writes and everybody reads.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::disk::{Disk, StorageError};
use super::space::Space;
use super::stage::Commit;
use crate::{CommitError, ReadError, ReadOnly, Revision, StoreId};

/// The open store, without the means to write to it.
pub(super) struct Shared {
    pub(super) disk: Disk,
    pub(super) space: Space,
    pub(super) id: StoreId,
    /// The first revision of this history; those below it were given out by another one.
    pub(super) first: Revision,
    head: AtomicU64,
    oldest: AtomicU64,
    /// Why no commits are taken any more, whatever room there is.
    sealed: Mutex<Option<ReadOnly>>,
    /// The committer holds the sender, so that watches end when it does.
    feed: broadcast::WeakSender<Arc<Commit>>,
    /// Declared after the disk, so that it is released after the engine has let go of its files.
    _lock: File,
}

/// The revisions at which a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: Revision,
    pub(super) oldest: Revision,
    pub(super) head: Revision,
}

impl Shared {
    pub(super) fn new(
        disk: Disk,
        space: Space,
        id: StoreId,
        extent: Extent,
        feed: broadcast::WeakSender<Arc<Commit>>,
        lock: File,
    ) -> Self {
        Self {
            disk,
            space,
            id,
            first: extent.first,
            head: AtomicU64::new(extent.head.as_u64()),
            oldest: AtomicU64::new(extent.oldest.as_u64()),
            sealed: Mutex::new(None),
            feed,
            _lock: lock,
        }
    }

    /// The newest revision that is durable. Nothing behind it is ever shown.
    pub(super) fn head(&self) -> Revision {
        Revision::new(self.head.load(Ordering::Acquire))
    }

    pub(super) fn oldest(&self) -> Revision {
        Revision::new(self.oldest.load(Ordering::Acquire))
    }

    pub(super) fn publish_head(&self, head: Revision) {
        self.head.store(head.as_u64(), Ordering::Release);
    }

    pub(super) fn publish_oldest(&self, oldest: Revision) {
        self.oldest.store(oldest.as_u64(), Ordering::Release);
    }

    pub(super) fn subscribe(&self) -> Option<broadcast::Receiver<Arc<Commit>>> {
        Some(self.feed.upgrade()?.subscribe())
    }

    /// Why no commits are taken now. It can pass, unless the store [is sealed](Self::is_sealed).
    pub(super) fn read_only(&self) -> Option<ReadOnly> {
        self.read_only_for(0)
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.lock().is_some()
    }

    /// How commits of so many bytes are refused now, without having been looked at; none if they may
    /// go ahead.
    pub(super) fn refusal(&self, bytes: usize) -> Option<CommitError> {
        Some(match self.read_only_for(bytes)? {
            ReadOnly::Full => CommitError::Full,
            ReadOnly::Failed(_) => CommitError::Fatal,
            ReadOnly::Interrupted | ReadOnly::Closed => CommitError::Unavailable,
        })
    }

    /// An interrupted store shows as full for as long as opening it again would meet a full disk.
    fn read_only_for(&self, bytes: usize) -> Option<ReadOnly> {
        let sealed = self.sealed.lock().clone();
        match sealed {
            None | Some(ReadOnly::Interrupted) if !self.space.has_room_for(bytes) => {
                Some(ReadOnly::Full)
            }
            sealed => sealed,
        }
    }

    /// Takes no more commits, for the first reason given.
    pub(super) fn seal(&self, reason: ReadOnly) {
        let mut sealed = self.sealed.lock();
        if sealed.is_none() {
            *sealed = Some(reason);
        }
    }

    /// Takes no more commits because of `error`, which is logged here and nowhere else.
    pub(super) fn fail(&self, error: &StorageError) {
        if !self.is_sealed() {
            tracing::error!(%error, "the store is read-only until it is opened again");
        }
        self.seal(match error {
            StorageError::Full(_) => ReadOnly::Interrupted,
            StorageError::Fault(text) => ReadOnly::Failed(text.clone()),
        });
    }

    /// Runs `read` at `at`, or at the head.
    pub(super) fn read<T>(
        &self,
        at: Option<Revision>,
        read: impl Fn(Revision) -> Result<T, StorageError>,
    ) -> Result<(Revision, T), ReadError> {
        if let Some(at) = at {
            return self.read_at(at, &read);
        }
        loop {
            // Compaction can overtake a head between looking it up and reading at it. Then there is
            // a newer one, which the caller wanted all along.
            match self.read_at(self.head(), &read) {
                Err(ReadError::Compacted { .. }) => {}
                result => return result,
            }
        }
    }

    fn read_at<T>(
        &self,
        at: Revision,
        read: impl Fn(Revision) -> Result<T, StorageError>,
    ) -> Result<(Revision, T), ReadError> {
        self.keeps(at)?;
        let result = read(at);
        // Looked at again, because what compaction removed meanwhile is no fault of the storage.
        self.keeps(at)?;
        match result {
            Ok(value) => Ok((at, value)),
            Err(error) => Err(self.read_failed(&error)),
        }
    }

    /// Takes note of `error`, and says what it means to whoever was reading.
    pub(super) fn read_failed(&self, error: &StorageError) -> ReadError {
        self.fail(error);
        match error {
            StorageError::Full(_) => ReadError::Unavailable,
            StorageError::Fault(_) => ReadError::Fatal,
        }
    }

    /// Whether `revision` can be read or watched from.
    pub(super) fn keeps(&self, revision: Revision) -> Result<(), ReadError> {
        let oldest = self.oldest();
        if revision < self.first || revision > self.head() {
            Err(ReadError::StoreChanged)
        } else if revision < oldest {
            Err(ReadError::Compacted { oldest })
        } else {
            Ok(())
        }
    }
}
