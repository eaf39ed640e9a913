//! The store's log, from one revision to another.

use futures::StreamExt as _;
use tenantry_store::{Change, Revision, WatchError, WatchItem};

use crate::{Error, StoreFault, Tenancy};

impl Tenancy {
    /// Shows what changed under a prefix in each revision from `from` to `upto`, which there is, in order.
    ///
    /// # Errors
    /// [`Error::RevisionForgotten`], what `visit` says, or what reading can end in.
    pub(crate) async fn logged(
        &self,
        prefix: &str,
        from: Revision,
        upto: Revision,
        mut visit: impl FnMut(Revision, Vec<Change>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if from > upto {
            return Ok(());
        }
        let mut watch = self.store.watch(prefix.as_bytes(), from);
        while let Some(item) = watch.next().await {
            match item {
                Ok(WatchItem::Commit { rev, changes }) if rev <= upto => visit(rev, changes)?,
                Ok(WatchItem::Commit { .. }) => return Ok(()),
                Ok(WatchItem::Progress { rev }) if rev >= upto => return Ok(()),
                Ok(WatchItem::Progress { .. }) => {}
                Err(WatchError::Lagged) => return Err(Error::ConcurrentChange),
                Err(WatchError::Unavailable) => return Err(StoreFault::Unavailable.into()),
                Err(WatchError::Compacted { .. } | WatchError::StoreChanged) => {
                    return Err(self.no_longer_kept(from).await);
                }
            }
        }
        Err(StoreFault::Unavailable.into())
    }

    /// That there is nothing left to tell of a revision, and from which on there is.
    pub(crate) async fn no_longer_kept(&self, revision: Revision) -> Error {
        let oldest = self.store.status().await.oldest.next().as_u64();
        Error::RevisionForgotten { revision: revision.as_u64(), oldest }
    }
}
