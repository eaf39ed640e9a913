//! Keeps the store's change log from growing for ever.
//!
//! The log is what lets a proxy that was away resume with deltas, a reader finish a list it began, and an
//! operator look at what was changed and go back. Who needs more of it than there is either starts over by
//! itself or is told how far it reaches. So the newest revisions are kept and the rest is forgotten, a little
//! at a time.

use std::{sync::Arc, time::Duration};

use tenantry_store::{ReadError, Revision, Store};
use tokio::{sync::watch, time::MissedTickBehavior};

const INTERVAL: Duration = Duration::from_secs(60);

/// Compacts at intervals until told to stop.
pub async fn run(store: Arc<dyn Store>, keep: u64, mut stopping: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The other end gone means that the process is ending.
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = interval.tick() => {}
        }
        if let Err(error) = compact(store.as_ref(), keep).await {
            tracing::warn!(%error, "the change log was not shortened");
        }
    }
}

/// Forgets everything older than the newest `keep` revisions.
///
/// # Errors
/// What the store said; nothing is lost by it but space.
pub async fn compact(store: &dyn Store, keep: u64) -> Result<(), ReadError> {
    let status = store.status().await;
    let upto = status.head.as_u64().saturating_sub(keep);
    // Compacting rewrites rows; a handful of revisions is not worth it.
    if upto.saturating_sub(status.oldest.as_u64()) < keep / 10 {
        return Ok(());
    }
    store.compact(Revision::new(upto)).await?;
    tracing::debug!(upto, "the change log was shortened");
    Ok(())
}

#[cfg(test)]
mod tests {
    use tenantry_store::{Batch, OpenOptions, SledStore, StoreId};

    use super::*;

    #[tokio::test]
    async fn the_newest_revisions_stay_and_the_state_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let options = OpenOptions::new(StoreId::from_bytes([1; 16]));
        let store = SledStore::open(&directory.path().join("store"), &options).unwrap();
        store.commit(Batch::new().put("untouched", "kept")).await.unwrap();
        for round in 0..300_u32 {
            store.commit(Batch::new().put("row", round.to_string())).await.unwrap();
        }
        compact(&store, 100).await.unwrap();
        let status = store.status().await;
        assert_eq!(status.head.as_u64() - status.oldest.as_u64(), 100);
        for (key, expected) in [("untouched", "kept"), ("row", "299")] {
            let (_, row) = store.get(key.as_bytes(), None).await.unwrap();
            assert_eq!(row.unwrap().value, expected);
        }
        // A few more are not worth the work.
        store.commit(Batch::new().put("row", "more")).await.unwrap();
        compact(&store, 100).await.unwrap();
        assert_eq!(store.status().await.oldest, status.oldest);
    }
}
