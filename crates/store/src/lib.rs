//! Versioned rows with checked commits and a resumable watch.
//!
//! [`Store`] is the narrowest interface that a control plane needs and that both an embedded engine
//! and a replicated one can honour: read at a revision, page through a prefix pinned at a revision,
//! commit a batch if its checks hold, follow every commit from a revision on. [`SledStore`] is the
//! embedded implementation and the only one so far. Nothing outside this crate names the engine.
//!
//! What every implementation promises is written as tests (`tests/it/contract`), so that a second
//! one is held to the same list. What those tests leave to the end-to-end tests: a power cut, because it
//! needs root and a file system of its own. Killing the process is tested, a hundred times over.

mod batch;
mod cursor;
mod embedded;
mod error;
mod store;
mod store_id;

pub use batch::{Batch, Check, Limit, MAX_BATCH_BYTES, MAX_CHECKS, MAX_KEY_BYTES, MAX_OPS, Op};
pub use cursor::{Cursor, CursorError};
pub use embedded::{OpenError, OpenOptions, SledStore};
pub use error::{CommitError, ReadError, WatchError};
pub use store::{
    Change, MAX_PAGE_BYTES, MAX_PAGE_ROWS, Page, ReadOnly, Row, Status, Store, WatchItem,
    WatchStream,
};
pub use store_id::{StoreId, StoreIdError};
pub use tenantry_model::Revision;
