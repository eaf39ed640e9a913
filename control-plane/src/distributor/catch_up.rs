//! For a proxy that the window does not reach: what the store's log says has changed since.

use futures::StreamExt as _;
use tenantry_distribution::{CatchUp, Opening, Position};
use tenantry_store::{Store, WatchItem};

use super::{Distributor, Newest, Track, follower::projected, past::seen_from};

impl Distributor {
    /// Puts the difference between this state and the newest into the window, if it is not there already.
    /// False if only the whole state can help: the log does not reach back so far, or too much has changed.
    pub(super) async fn catch_up(&self, store: &dyn Store, track: &Track, from: Position) -> bool {
        let _one_at_a_time = self.catching_up.lock().await;
        match self.opening(track, Some(from)) {
            // Somebody who stood at the same place was first.
            Some(Opening::Follow(_)) => return true,
            Some(Opening::CatchUp(_)) => {}
            Some(Opening::Full) | None => return false,
        }
        let Some(Newest { state, resources, overlay }) = self.newest(track) else { return false };
        let Ok(catch_up) = CatchUp::new(from, state.position, resources) else { return false };
        let Some(mut catch_up) = read(store, catch_up).await else { return false };
        if let Some(region) = &track.view {
            let span = (from.revision, state.position.revision);
            let Some(seen) = seen_from(store, region, catch_up.drain(), span).await.ok() else {
                return false;
            };
            if catch_up.take(catch_up.last(), seen).is_err() {
                return false;
            }
        }
        // What is seen on top wins over whatever has changed below.
        let on_top = overlay.iter().flat_map(|overlay| overlay.changes()).cloned().collect();
        if catch_up.take(catch_up.last(), on_top).is_err() {
            return false;
        }
        // It may be much to encode.
        let Ok(made) = tokio::task::spawn_blocking(move || catch_up.finish()).await else {
            return false;
        };
        match made {
            Ok(delta) => {
                let (from, to) = (delta.from.revision, delta.to.revision);
                tracing::info!(%from, %to, bytes = delta.lines.size(), "a difference was put together from the log");
                self.remember(track, delta);
                true
            }
            Err(error) => {
                tracing::error!(%error, "a difference could not be put together from the log");
                false
            }
        }
    }
}

/// Reads the commits it wants; none if they are not all to be had, or are too many.
async fn read(store: &dyn Store, mut catch_up: CatchUp) -> Option<CatchUp> {
    let mut commits = store.watch(b"", catch_up.first());
    loop {
        let (revision, changes) = match commits.next().await?.ok()? {
            WatchItem::Commit { rev, changes } => (rev, projected(&changes)),
            WatchItem::Progress { rev } => (rev, Vec::new()),
        };
        catch_up.take(revision, changes).ok()?;
        if revision >= catch_up.last() {
            return Some(catch_up);
        }
    }
}
