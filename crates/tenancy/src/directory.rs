//! The directory of tenants, kept up with the store.
//!
//! Whoever asks brings it up to the head of the store first, so a list shows every change that was
//! acknowledged before it was asked for. Nobody has to run for that; a control plane asks now and
//! then all the same, so that little is left to catch up with when somebody comes.

use futures::{StreamExt as _, lock::Mutex};
use parking_lot::RwLock;
use tenantry_directory::{Directory, Entry, Found, Question};
use tenantry_model::{ResourceKind, TenantId};
use tenantry_store::{Change, Revision, Row, Store, WatchError, WatchItem, WatchStream};

use crate::{
    Error, StoreFault, TenantRecord, layout,
    tenancy::{damaged, decoded},
};

/// Rows read at once when the directory is made.
const PAGE_ROWS: usize = 1000;

/// The tenants, as of a revision.
#[derive(Default)]
struct Known {
    directory: Directory,
    at: Revision,
}

/// The directory, and where it hears of changes.
#[derive(Default)]
pub(crate) struct Tenants {
    known: RwLock<Known>,
    /// Who holds this brings the directory up; the others wait, and mostly find it done.
    feed: Mutex<Option<WatchStream>>,
}

impl Tenants {
    /// The tenants that answer a question, and as of which revision; it is not older than the call.
    pub(crate) async fn find(
        &self,
        store: &dyn Store,
        question: &Question,
        limit: usize,
    ) -> Result<(Found, Revision), Error> {
        self.catch_up(store).await?;
        let known = self.known.read();
        Ok((known.directory.find(question, limit), known.at))
    }

    /// How many tenants there are whose field has another value.
    pub(crate) async fn without(
        &self,
        store: &dyn Store,
        field: &str,
        value: &str,
    ) -> Result<u64, Error> {
        self.catch_up(store).await?;
        let known = self.known.read();
        Ok((known.directory.len() as u64).saturating_sub(known.directory.having(field, value)))
    }

    /// Brings the directory up to where the store stands now.
    pub(crate) async fn catch_up(&self, store: &dyn Store) -> Result<(), Error> {
        let head = store.status().await.head;
        if self.knows(head) {
            return Ok(());
        }
        let mut feed = self.feed.lock().await;
        let mut is_second = false;
        while !self.knows(head) {
            let Some(commits) = feed.as_mut() else {
                let known = load(store).await?;
                *feed = Some(store.watch(prefix().as_bytes(), known.at.next()));
                *self.known.write() = known;
                continue;
            };
            match commits.next().await.unwrap_or(Err(WatchError::Unavailable)) {
                Ok(item) => self.follow(item).inspect_err(|_| *feed = None)?,
                // The log still has what went by too fast.
                Err(WatchError::Lagged) => {
                    let at = self.known.read().at;
                    *feed = Some(store.watch(prefix().as_bytes(), at.next()));
                }
                // It is read anew, but not over and over.
                Err(_) => {
                    *feed = None;
                    if std::mem::replace(&mut is_second, true) {
                        return Err(StoreFault::Unavailable.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn knows(&self, head: Revision) -> bool {
        self.known.read().at >= head
    }

    fn follow(&self, item: WatchItem) -> Result<(), Error> {
        let (rev, changes) = match item {
            WatchItem::Commit { rev, changes } => (rev, changes),
            WatchItem::Progress { rev } => (rev, Vec::new()),
        };
        // Records are read before anybody has to wait.
        let changed = changes.iter().map(changed).collect::<Result<Vec<_>, Error>>()?;
        let mut known = self.known.write();
        for (id, entry) in changed {
            match entry {
                Some(entry) => known.directory.put(entry),
                None => known.directory.remove(id),
            }
        }
        known.at = rev;
        Ok(())
    }
}

async fn load(store: &dyn Store) -> Result<Known, Error> {
    let mut directory = Directory::default();
    let mut cursor = None;
    loop {
        let page = store.scan(prefix().as_bytes(), cursor, PAGE_ROWS).await?;
        for row in &page.rows {
            directory.put(entry(row)?);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(Known { directory, at: page.at }),
        }
    }
}

fn prefix() -> String {
    layout::records(ResourceKind::Tenant)
}

fn changed(change: &Change) -> Result<(TenantId, Option<Entry>), Error> {
    let key = change.key();
    let id =
        std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(&prefix())?.parse().ok());
    let id = id.ok_or_else(|| damaged(key))?;
    match change {
        Change::Put(row) => Ok((id, Some(entry(row)?))),
        Change::Delete(_) => Ok((id, None)),
    }
}

fn entry(row: &Row) -> Result<Entry, Error> {
    let record = decoded::<TenantRecord>(row)?.value;
    let TenantRecord { resource, profile, created_at, updated_at, .. } = record;
    Ok(Entry::new(&resource, &profile, created_at, updated_at, row.mod_rev))
}
