//! The store inside one process, on sled 0.34.
//!
//! The engine is used in one way only, because the others failed when they were measured: one tree,
//! one thread that writes ([`committer`]), versions of rows and a change log of our own
//! ([`layout`]). Never its transactions (a process-wide lock, and visible before they are durable),
//! never its subscriptions (they block the writer and deadlock readers), never its flush alone (no
//! fsync on Linux; see [`disk`]).
//!
//! A point read is a few microseconds from memory and is done where it is awaited; handing it to
//! another thread would cost more than the read. A page of a scan or of the log can be thousands of
//! rows, so it goes to tokio's blocking threads, one page at a time.
//!
//! The first storage error ends writing for good: what the engine holds in memory after it may not
//! be on disk, and only a fresh recovery tells. Reads go on from what is published. A full disk is not
//! let come to that: see [`space`].

mod committer;
mod compaction;
mod disk;
mod history;
mod layout;
mod open;
mod reader;
mod shared;
mod space;
mod stage;
mod watch;
mod witness;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, broadcast, oneshot};

use self::committer::{Committer, Request};
use self::open::Opened;
pub use self::open::{OpenError, OpenOptions};
use self::shared::Shared;
use crate::{
    Batch, CommitError, Cursor, Page, ReadError, Revision, Row, Status, Store, WatchStream,
};

/// Most commits that wait to be taken up; more wait for room, without a place in the order.
const QUEUE: usize = 256;

/// A [`Store`] in a directory of its own.
pub struct SledStore {
    shared: Arc<Shared>,
    inbox: Sender<Request>,
    room: Arc<Semaphore>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl SledStore {
    /// Opens the store in `directory`, or makes one if the directory is empty or missing. It blocks
    /// for the time that recovery takes, which grows with the size of the store.
    ///
    /// # Errors
    /// When the directory is in use, unusable or full, or its data is damaged or gone.
    pub fn open(directory: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let Opened { disk, space, id, extent, witness, lock } = open::open(directory, options)?;
        let (feed, _) = broadcast::channel(options.watch_backlog.max(1));
        let shared = Arc::new(Shared::new(disk, space, id, extent, feed.downgrade(), lock));
        let (inbox, requests) = mpsc::channel();
        let committer = Committer::new(Arc::clone(&shared), requests, feed, witness);
        let thread = thread::Builder::new().name("store-committer".to_owned());
        let thread = thread
            .spawn(move || committer.run())
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        let room = Arc::new(Semaphore::new(QUEUE));
        Ok(Self { shared, inbox, room, committer: Mutex::new(Some(thread)) })
    }

    /// Finishes the commits that wait, saves the witness and takes no more. Reads go on; watches
    /// end. Blocks until it is done. Dropping the store does the same.
    pub fn close(&self) {
        let Some(thread) = self.committer.lock().take() else { return };
        // Nobody to tell means that the thread has ended already.
        let _ = self.inbox.send(Request::Close);
        if thread.join().is_err() {
            tracing::error!("the committer of the store panicked");
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Store for SledStore {
    async fn get(
        &self,
        key: &[u8],
        at: Option<Revision>,
    ) -> Result<(Revision, Option<Row>), ReadError> {
        let disk = &self.shared.disk;
        self.shared.read(at, |at| match reader::version(disk, key, at)? {
            Some(version) => version.into_row(disk),
            None => Ok(None),
        })
    }

    async fn scan(
        &self,
        prefix: &[u8],
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, ReadError> {
        if cursor.as_ref().is_some_and(|cursor| cursor.store != self.shared.id) {
            return Err(ReadError::StoreChanged);
        }
        let (shared, prefix) = (Arc::clone(&self.shared), Bytes::copy_from_slice(prefix));
        let page = tokio::task::spawn_blocking(move || page(&shared, &prefix, cursor, limit));
        page.await.map_err(|_| ReadError::Unavailable)?
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, CommitError> {
        batch.validate().map_err(CommitError::Invalid)?;
        if let Some(refusal) = self.shared.refusal(batch.size()) {
            return Err(refusal);
        }
        let permit = Arc::clone(&self.room).acquire_owned().await;
        let permit = permit.map_err(|_| CommitError::Unavailable)?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Commit { batch, reply, permit };
        self.inbox.send(request).map_err(|_| CommitError::Unavailable)?;
        // The committer answers whatever it takes up, unless it panics on the way.
        answer.await.unwrap_or(Err(CommitError::Unknown))
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> WatchStream {
        watch::watch(&self.shared, Bytes::copy_from_slice(prefix), from)
    }

    async fn compact(&self, upto: Revision) -> Result<(), ReadError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Compact { upto, reply };
        self.inbox.send(request).map_err(|_| ReadError::Unavailable)?;
        answer.await.unwrap_or(Err(ReadError::Unavailable))
    }

    async fn status(&self) -> Status {
        let shared = &self.shared;
        Status {
            id: shared.id,
            head: shared.head(),
            oldest: shared.oldest(),
            read_only: shared.read_only(),
            bytes: shared.disk.bytes(),
            free: shared.space.free(),
        }
    }
}

fn page(
    shared: &Shared,
    prefix: &[u8],
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Page, ReadError> {
    let (at, after) = match cursor {
        Some(cursor) => (Some(cursor.at), Some(cursor.after)),
        None => (None, None),
    };
    let read = |at| reader::page(&shared.disk, prefix, after.as_deref(), at, limit);
    let (at, (rows, is_more)) = shared.read(at, read)?;
    let last = rows.last().filter(|_| is_more);
    let next = last.map(|row| Cursor { store: shared.id, at, after: row.key.clone() });
    Ok(Page { at, rows, next })
}
