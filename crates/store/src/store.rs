//! The trait, and what its operations answer.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Batch, CommitError, Cursor, ReadError, Revision, StoreId, WatchError};

/// Most rows in one [`Page`], whatever limit is asked for.
pub const MAX_PAGE_ROWS: usize = 10_000;
/// A [`Page`] is closed once its rows reach this many bytes, however few they are.
pub const MAX_PAGE_BYTES: usize = 4 << 20;

/// What a watch yields until it ends with an error.
pub type WatchStream = BoxStream<'static, Result<WatchItem, WatchError>>;

/// Rows with revisions: read at one, committed at the next, followed from any that is kept.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The row of `key` at revision `at`, or now; and the revision that was read.
    async fn get(
        &self,
        key: &[u8],
        at: Option<Revision>,
    ) -> Result<(Revision, Option<Row>), ReadError>;

    /// The rows under `prefix`, ascending by key. Without a cursor, the first page, as of now; with
    /// one, the rows behind it as of the revision of the first page. At least one row and at most
    /// `limit`, [`MAX_PAGE_ROWS`] and about [`MAX_PAGE_BYTES`]; a short page is no sign of the end,
    /// only a missing `next` is.
    async fn scan(
        &self,
        prefix: &[u8],
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, ReadError>;

    /// Applies the batch if all its checks hold. The revision returned is durable and visible. A
    /// batch that changes nothing makes no revision and returns the current one. Once it is sent,
    /// dropping the future does not recall it.
    async fn commit(&self, batch: Batch) -> Result<Revision, CommitError>;

    /// Every commit from `from` on (inclusive) that changes a row under `prefix`: first those
    /// already made, then new ones as they come. It may begin at any revision from
    /// [`Status::oldest`] to the one after [`Status::head`]. The first error is the last item.
    fn watch(&self, prefix: &[u8], from: Revision) -> WatchStream;

    /// Forgets what only revisions below `upto` could see. Returns when the space is free for use.
    async fn compact(&self, upto: Revision) -> Result<(), ReadError>;

    /// Which history this is, how far it goes, and whether it takes commits.
    async fn status(&self) -> Status;
}

/// One row as of some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key: 1 to [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES) bytes, none of them 0x00.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// The revision that wrote it.
    pub mod_rev: Revision,
}

/// Part of the answer to a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The revision that all pages of this scan show.
    pub at: Revision,
    /// The rows, ascending by key.
    pub rows: Vec<Row>,
    /// Where the next page begins; none after the last page.
    pub next: Option<Cursor>,
}

/// What a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchItem {
    /// One commit, whole, as far as it lies under the prefix.
    Commit {
        /// Its revision: greater than that of every item before.
        rev: Revision,
        /// One entry for each changed row, in the order of the batch.
        changes: Vec<Change>,
    },
    /// There was nothing more to report up to and including `rev`. Comes once the past has been
    /// replayed, and after commits that changed nothing under the prefix.
    Progress {
        /// The revision up to which the watcher now knows everything.
        rev: Revision,
    },
}

/// What happened to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was written.
    Put(Row),
    /// It was removed; this was its key.
    Delete(Bytes),
}

impl Change {
    /// The key of the row.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(row) => &row.key,
            Self::Delete(key) => key,
        }
    }
}

/// The state of the store as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which history this is.
    pub id: StoreId,
    /// The newest revision.
    pub head: Revision,
    /// The oldest revision that can be read or watched from.
    pub oldest: Revision,
    /// Why commits are refused, if they are.
    pub read_only: Option<ReadOnly>,
    /// Bytes that the store takes up on disk.
    pub bytes: u64,
    /// Bytes that are free on the disk, where that is known.
    pub free: Option<u64>,
}

impl Status {
    /// Whether commits are taken.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.read_only.is_none()
    }
}

/// Why a store takes no commits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadOnly {
    /// The disk is full, up to the reserve. Commits are taken again as soon as there is room.
    #[error("the disk is full: make space, and changes are taken again")]
    Full,
    /// The disk was full in the middle of a write. There is room again, but only opening the store
    /// anew tells what was written.
    #[error("a full disk interrupted a write: the store must be opened again, by a restart")]
    Interrupted,
    /// The storage failed; the text is for the operator.
    #[error("the storage failed: {0}")]
    Failed(String),
    /// It was closed.
    #[error("the store was closed")]
    Closed,
}
