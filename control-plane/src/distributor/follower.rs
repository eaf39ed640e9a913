//! Follows the store: all of it once, then commit by commit.
//!
//! Whatever goes wrong ends in the same place: the state is read again and the window begins anew.
//! There is one path for the first start, for a store that ran ahead, and for one that was replaced.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tenantry_distribution::{
    Change as Resource, EncodeError, Ledger, Position, Removal, Update, UpdateKind,
};
use tenantry_store::{Change, ReadError, Store, WatchError, WatchItem};
use tokio::{sync::watch, time};

use super::{
    Distributor,
    snapshot::{self, Pages},
    window::Window,
};

/// How long to wait before the state is read again.
const PAUSE: Duration = Duration::from_secs(1);

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
    let status = store.status().await;
    let epoch = snapshot::epoch(status.id);
    let mut ledger = Ledger::new();
    let mut pages = Pages::new(store, status.id, status.head);
    while let Some(changes) = pages.next().await? {
        for change in &changes {
            ledger.apply(change);
        }
    }
    let revision = status.head;
    let mut head = Position { epoch, revision, hash: ledger.hash() };
    let mut seen = revision;
    tracing::info!(%revision, resources = ledger.resources(), "the state is loaded");
    distributor.replace(Some(Window::new(head)));

    let mut commits = store.watch(b"", status.head.next());
    let mut check = time::interval(heartbeat);
    let mut suspicion = None;
    loop {
        tokio::select! {
            item = commits.next() => {
                let item = item.unwrap_or(Err(WatchError::Unavailable))?;
                let (to, changes) = match item {
                    WatchItem::Commit { rev, changes } => (rev, projected(&changes)),
                    WatchItem::Progress { rev } => (rev, Vec::new()),
                };
                if to <= seen {
                    continue;
                }
                seen = to;
                if changes.is_empty() {
                    // Nothing that concerns proxies: they are not told of it.
                    distributor.see(seen);
                    continue;
                }
                changes.iter().for_each(|change| ledger.apply(change));
                let next = Position { epoch, revision: to, hash: ledger.hash() };
                distributor.push(next, delta(head, next, changes)?);
                head = next;
            }
            _ = check.tick() => {
                // A commit that was not announced for a whole interval was lost.
                let ahead = store.status().await.head > seen;
                if ahead && suspicion == Some(seen) {
                    return Err(Lost::Silent);
                }
                suspicion = ahead.then_some(seen);
            }
        }
    }
}

fn projected(changes: &[Change]) -> Vec<Resource> {
    let project = |change: &Change| match change {
        Change::Put(row) => snapshot::put(row),
        Change::Delete(key) => snapshot::name(key).map(|name| Resource::new(name, None)),
    };
    changes.iter().filter_map(project).collect()
}

pub(super) fn delta(
    from: Position,
    to: Position,
    changes: Vec<Resource>,
) -> Result<Bytes, EncodeError> {
    let update = Update {
        epoch: to.epoch,
        kind: UpdateKind::Delta,
        from: from.revision,
        to: to.revision,
        removal: Removal::Guarded,
        changes,
        hash: to.hash,
    };
    let mut lines = BytesMut::new();
    for line in update.lines() {
        lines.extend_from_slice(&line?);
    }
    Ok(lines.freeze())
}
