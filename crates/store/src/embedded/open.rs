//! Opening a directory: lock, recover, compare with the witness, and refuse what is damaged.
//!
//! The order on a first open matters: the identity goes into the tree before the witness is written.
//! Interrupted in between, the next open finds a store without a witness or commits and gives it
//! another identity, which harms nobody, as no one was told the first. The other way round it would find a
//! witness without a store, which is what a lost store looks like.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::disk::{DATA_FILE, Disk, StorageError};
use super::history::{Mark, Verdict, judge};
use super::layout;
use super::shared::Extent;
use super::space::Space;
use super::witness::Witness;
use crate::{Revision, StoreId};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The identity to take if a new history begins. It must be random, and new for each call.
    pub fresh_id: StoreId,
    /// Memory for pages of the tree.
    pub cache_bytes: u64,
    /// How many commits a watcher may fall behind. The values of that many commits can be in memory.
    pub watch_backlog: usize,
    /// Bytes of the disk that commits leave free, for what must be written when there is no room for
    /// them. It should be several times the largest commit, and what else writes to the disk at once.
    pub reserve_bytes: u64,
}

impl OpenOptions {
    /// The defaults: 64 MiB of cache, watchers may fall 1024 commits behind, and 64 MiB stay free.
    #[must_use]
    pub fn new(fresh_id: StoreId) -> Self {
        Self { fresh_id, cache_bytes: 64 << 20, watch_backlog: 1024, reserve_bytes: 64 << 20 }
    }
}

/// Why a store was not opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used at all.
    #[error("cannot use {}: check that it exists and that this user may write to it", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another store in this one, has the directory open.
    #[error("{} is in use: stop the other process, or give this one a directory of its own", .0.display())]
    Locked(PathBuf),
    /// There was a store here, and its data is gone.
    #[error(
        "the data in {} is gone, though a store was there: restore a backup into the directory, \
         or remove the whole directory to begin with an empty store", .0.display()
    )]
    Emptied(PathBuf),
    /// The data cannot be read.
    #[error(
        "the data in {} is damaged ({detail}): keep a copy, then restore a backup into an empty \
         directory", path.display()
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found, for the operator.
        detail: String,
    },
    /// The witness cannot be read, so it is not known whether commits are missing.
    #[error(
        "the file `witness` in {} is damaged: remove it to go on with the data as it is, under a \
         new store id", .0.display()
    )]
    Witness(PathBuf),
    /// There is no space left, and opening needs some.
    #[error("the disk that holds {} is full: make space, then try again", .0.display())]
    Full(PathBuf),
}

/// A directory that was opened, ready for a committer.
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) space: Space,
    pub(super) id: StoreId,
    pub(super) extent: Extent,
    pub(super) witness: Witness,
    pub(super) lock: File,
}

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Opened, OpenError> {
    let lock = lock(path)?;
    let space = Space::of(path, options.reserve_bytes).map_err(directory(path))?;
    let mut witness = Witness::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => OpenError::Witness(path.to_owned()),
        _ => directory(path)(error),
    })?;
    if witness.saved().is_some() && is_empty(&path.join(DATA_FILE)) {
        return Err(OpenError::Emptied(path.to_owned()));
    }
    let disk = Disk::open(path, options.cache_bytes).map_err(damaged(path))?;
    let found = found(&disk).map_err(damaged(path))?;
    let verdict = judge(found.map(|(mark, _)| mark), witness.saved());
    let begun = match (verdict, found) {
        (Verdict::Continue, Some((mark, extent))) => Ok((mark.id, extent)),
        (Verdict::Restart { head, reason }, Some((mark, _))) => {
            let (why, id) = (reason.text(), options.fresh_id);
            tracing::warn!(previous = %mark.id, %id, %head, why, "the store begins a new history");
            begin(&disk, id, head)
        }
        (Verdict::Create, _) => begin(&disk, options.fresh_id, Revision::ZERO),
        _ => return Err(OpenError::Emptied(path.to_owned())),
    };
    let (id, extent) = begun.map_err(damaged(path))?;
    let saved = witness.save(Mark { id, head: extent.head });
    saved.map_err(|error| damaged(path)(error.into()))?;
    Ok(Opened { disk, space, id, extent, witness, lock })
}

/// Takes the directory for this store alone, for as long as the file is open.
fn lock(path: &Path) -> Result<File, OpenError> {
    create_private(path).map_err(directory(path))?;
    let file = File::options().create(true).truncate(false).write(true).open(path.join("lock"));
    let file = file.map_err(directory(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(directory(path)(error)),
    }
}

/// Rows hold what is nobody else's business, so the directory is its owner's alone, whatever it is in.
fn create_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mut permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o700);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

fn is_empty(file: &Path) -> bool {
    fs::metadata(file).map_or(true, |metadata| metadata.len() == 0)
}

/// What the tree says it is; none if it is empty.
fn found(disk: &Disk) -> Result<Option<(Mark, Extent)>, StorageError> {
    let Some(id) = disk.get(layout::ID)? else {
        let mut entries = disk.range(Vec::new(), vec![u8::MAX]);
        return match entries.next() {
            None => Ok(None),
            Some(_) => Err(StorageError::unreadable("the store id")),
        };
    };
    let id = id.as_ref().try_into().map_err(|_| StorageError::unreadable("the store id"))?;
    let id = StoreId::from_bytes(id);
    let revision = |key| disk.revision(key).map(Option::unwrap_or_default);
    let extent = Extent {
        first: revision(layout::FIRST)?,
        oldest: revision(layout::OLDEST)?,
        head: disk.head()?,
    };
    let mut log = disk.range(layout::LOG.to_vec(), layout::log(Revision::new(u64::MAX)));
    let last = log.next_back().transpose()?;
    let last = last.and_then(|(place, _)| layout::parse_log(&place)).unwrap_or_default();
    if extent.first > extent.oldest || extent.oldest > extent.head || last > extent.head {
        return Err(StorageError::Fault("its revisions contradict one another".to_owned()));
    }
    Ok(Some((Mark { id, head: extent.head }, extent)))
}

/// Begins a history at `head`, with the rows that are there.
fn begin(disk: &Disk, id: StoreId, head: Revision) -> Result<(StoreId, Extent), StorageError> {
    let mut batch = sled::Batch::default();
    batch.insert(layout::ID, id.as_bytes());
    for key in [layout::FIRST, layout::OLDEST, layout::HEAD] {
        batch.insert(key, &head.as_u64().to_be_bytes());
    }
    disk.write(batch)?;
    Ok((id, Extent { first: head, oldest: head, head }))
}

fn directory(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    |source| OpenError::Directory { path: path.to_owned(), source }
}

fn damaged(path: &Path) -> impl FnOnce(StorageError) -> OpenError {
    |error| match error {
        StorageError::Full(_) => OpenError::Full(path.to_owned()),
        StorageError::Fault(detail) => OpenError::Damaged { path: path.to_owned(), detail },
    }
}
