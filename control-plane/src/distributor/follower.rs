//! Follows the store: all of it once, then commit by commit.
//!
//! Whatever goes wrong ends in the same place: the state is read again and the window begins anew.
//! There is one path for the first start, for a store that ran ahead, and for one that was replaced.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use tenantry_distribution::{
    Change as Resource, EncodeError, Ledger, Position, Publication, Window,
};
use tenantry_store::{Change, ReadError, Store, WatchError, WatchItem, WatchStream};
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::{
    Distributor, epoch,
    snapshot::{self, Pages},
};

/// How long to wait before the state is read again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many commits that wait already are taken in before anything else is looked at.
const READY_COMMITS: usize = 1_000;

#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the store stands at a revision that was never announced")]
    Silent,
    #[error("a new epoch begins")]
    Forked,
}

/// Keeps the distributor at the head of the store until the process stops.
pub async fn follow(
    store: Arc<dyn Store>,
    distributor: Arc<Distributor>,
    heartbeat: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let following = async {
        loop {
            let Err(lost) = load_and_follow(&*store, &distributor, heartbeat).await;
            distributor.replace(None);
            tracing::warn!(reason = %lost, "the state is read again");
            time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = following => {}
        // An error means that nobody is left to ask for a stop.
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

async fn load_and_follow(
    store: &dyn Store,
    distributor: &Distributor,
    heartbeat: Duration,
) -> Result<std::convert::Infallible, Lost> {
    let mut publication = load(store, distributor.debounce).await?;
    distributor.replace(Some(Window::new(publication.head(), publication.resources())));
    let start = Instant::now();
    let mut commits = store.watch(b"", publication.seen().next());
    let mut check = time::interval(heartbeat);
    let mut suspicion = None;
    loop {
        let due = publication.due(start.elapsed());
        tokio::select! {
            item = commits.next() => {
                take(&mut publication, item)?;
                take_ready(&mut publication, &mut commits)?;
            }
            () = time::sleep(due.unwrap_or_default()), if due.is_some() => {}
            _ = check.tick() => {
                // A commit that was not announced for a whole interval was lost.
                let seen = publication.seen();
                let ahead = store.status().await.head > seen;
                if ahead && suspicion == Some(seen) {
                    return Err(Lost::Silent);
                }
                suspicion = ahead.then_some(seen);
            }
        }
        while publication.due(start.elapsed()) == Some(Duration::ZERO) {
            publication.mark(distributor.removal());
            if let Some(delta) = publication.publish(start.elapsed())? {
                distributor.push(delta);
            }
        }
        // What does not concern proxies is not told them.
        distributor.settle(publication.settled());
    }
}

/// Reads the whole state.
async fn load(store: &dyn Store, debounce: Duration) -> Result<Publication, Lost> {
    let status = store.status().await;
    let epoch = epoch::epoch(store, status.id, Some(status.head)).await?;
    let mut ledger = Ledger::new();
    let mut pages = Pages::new(store, status.id, status.head);
    while let Some(changes) = pages.next().await? {
        for change in &changes {
            ledger.apply(change);
        }
    }
    let revision = status.head;
    let head = Position { epoch, revision, hash: ledger.hash() };
    tracing::info!(%revision, resources = ledger.resources(), "the state is loaded");
    Ok(Publication::new(head, ledger, debounce))
}

/// Takes in what came while the last delta was made.
fn take_ready(publication: &mut Publication, commits: &mut WatchStream) -> Result<(), Lost> {
    for _ in 0..READY_COMMITS {
        match commits.next().now_or_never() {
            Some(item) => take(publication, item)?,
            None => break,
        }
    }
    Ok(())
}

fn take(
    publication: &mut Publication,
    item: Option<Result<WatchItem, WatchError>>,
) -> Result<(), Lost> {
    match item.unwrap_or(Err(WatchError::Unavailable))? {
        WatchItem::Commit { changes, .. } if epoch::is_begun(&changes) => return Err(Lost::Forked),
        WatchItem::Commit { rev, changes } => publication.take(rev, projected(&changes)),
        WatchItem::Progress { rev } => publication.take(rev, Vec::new()),
    }
    Ok(())
}

/// What of a commit concerns proxies.
pub(super) fn projected(changes: &[Change]) -> Vec<Resource> {
    let project = |change: &Change| match change {
        Change::Put(row) => snapshot::put(row),
        Change::Delete(key) => snapshot::name(key).map(|name| Resource::new(name, None)),
    };
    changes.iter().filter_map(project).collect()
}
