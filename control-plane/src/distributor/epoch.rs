//! Which history proxies follow, and what happens when that is found to have gone back.
//!
//! The epoch of a history is the identity of its store, until a proxy comes that is ahead of it: it holds a
//! revision of this epoch that the store has never made. Proxies are told nothing before it is durable, so the
//! store was put back to an earlier day together with its witness, and could not know. From then on the
//! same numbers would mean other states, and whoever is ahead would refuse what it is sent for ever. So the
//! history goes on under a new epoch, which is kept in a row of the store: every proxy is then sent the whole
//! state, once, and follows.
//!
//! Whoever has the token of a node could claim to be ahead. That costs a whole state for each proxy, so it
//! happens once a minute at most.

use std::time::Duration;

use tenantry_distribution::{Epoch, Position};
use tenantry_model::Revision;
use tenantry_store::{Batch, Change, ReadError, Store, StoreId};
use tenantry_tenancy::layout;
use tokio::time::Instant;

use crate::app::App;

/// How often a history may go on under a new epoch.
const PAUSE: Duration = Duration::from_secs(60);

/// What keeps epochs apart in time: held while a new one begins.
#[derive(Default)]
pub(super) struct Fork(tokio::sync::Mutex<Option<Instant>>);

/// The epoch of the history that a store holds, at a revision.
pub(super) async fn epoch(
    store: &dyn Store,
    id: StoreId,
    at: Option<Revision>,
) -> Result<Epoch, ReadError> {
    let (_, row) = store.get(layout::EPOCH.as_bytes(), at).await?;
    let forked = row.and_then(|row| forked(&row.value, id));
    Ok(forked.unwrap_or_else(|| Epoch::from_u128(u128::from_be_bytes(*id.as_bytes()))))
}

/// The row names the store that it was written for: one that begins a new history needs no other epoch.
fn forked(value: &[u8], id: StoreId) -> Option<Epoch> {
    let (of, epoch) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    (of == id.to_string()).then_some(epoch)?.parse().ok()
}

/// Whether a commit begins a new epoch.
pub(super) fn is_begun(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.key() == layout::EPOCH)
}

/// Looks at where a proxy says that it stands. True if that is ahead of everything there is: the history has gone back,
/// and goes on under a new epoch, soon if not already.
pub(crate) async fn is_ahead(app: &App, claimed: Position) -> bool {
    let Some(head) = app.distributor.position() else { return false };
    // What is told from memory decides nearly always.
    if claimed.epoch != head.epoch || claimed.revision <= head.revision {
        return false;
    }
    let status = app.store.status().await;
    if claimed.revision <= status.head {
        return false;
    }
    let mut last = app.distributor.fork.0.lock().await;
    if last.is_some_and(|last| last.elapsed() < PAUSE) {
        return true;
    }
    match begin(app, status.id, claimed.epoch).await {
        Ok(None) => {}
        Ok(Some(epoch)) => {
            *last = Some(Instant::now());
            app.metrics.forked();
            let (claimed, head) = (claimed.revision, status.head);
            tracing::warn!(%claimed, %head, %epoch, "a proxy is ahead of the store, which must have been put back to an earlier state: the history goes on under a new epoch, and proxies are sent all of it");
        }
        Err(error) => {
            tracing::error!(%error, "a proxy is ahead of the store, and a new epoch could not begin");
        }
    }
    true
}

#[derive(Debug, thiserror::Error)]
enum NotBegun {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] tenantry_store::CommitError),
}

/// Begins a new epoch after this one; none if that one is over already.
async fn begin(app: &App, id: StoreId, over: Epoch) -> Result<Option<Epoch>, NotBegun> {
    let (at, row) = app.store.get(layout::EPOCH.as_bytes(), None).await?;
    if epoch(&*app.store, id, Some(at)).await? != over {
        return Ok(None);
    }
    let next = Epoch::from_u128(u128::from_be_bytes(app.random.bytes()));
    let written = row.map_or(Revision::ZERO, |row| row.mod_rev);
    let batch =
        Batch::new().unchanged(layout::EPOCH, written).put(layout::EPOCH, format!("{id} {next}"));
    app.store.commit(batch).await?;
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_of_one_store() {
        let (id, other) = (StoreId::from_bytes([7; 16]), StoreId::from_bytes([8; 16]));
        let epoch = Epoch::from_u128(42);
        let row = format!("{id} {epoch}");
        assert_eq!(forked(row.as_bytes(), id), Some(epoch));
        assert_eq!(forked(row.as_bytes(), other), None);
        for damaged in ["", "x", "x y", &format!("{id} "), &format!("{id} {epoch} ")] {
            assert_eq!(forked(damaged.as_bytes(), id), None, "{damaged}");
        }
    }
}
