//! Follows the store: all of it once, then commit by commit.
//!
//! Whatever goes wrong ends in the same place: the state is read again and the window begins anew.
//! There is one path for the first start, for a store that ran ahead, and for one that was replaced.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use tenantry_distribution::{
    Change as Resource, EncodeError, Ledger, Position, Publication, Published, Residents, View,
    Window,
};
use tenantry_model::RegionId;
use tenantry_store::{Change, ReadError, Revision, Store, StoreId, WatchError, WatchItem};
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::{
    Distributor, epoch,
    regions::Regions,
    snapshot::{self, Pages},
    staging,
    views::Track,
};

/// How long to wait before the state is read again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many commits that wait already are taken in before anything else is looked at.
const READY_COMMITS: usize = 1_000;

#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(transparent)]
    Rollout(#[from] tenantry_tenancy::Error),
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
    let debounce = distributor.debounce;
    let (mut all, residents, id) = load(store, &None, None, debounce).await?;
    let mut regions = Regions::new(store, id, debounce, residents);
    let window = Window::new(all.head(), all.resources());
    let staged = staging::resumed(store, distributor, &mut all, &mut regions).await?;
    distributor.replace(Some((window, staged)));
    let start = Instant::now();
    let mut commits = store.watch(b"", all.seen().next());
    let mut check = time::interval(heartbeat);
    let mut suspicion = None;
    loop {
        regions.begin(distributor, all.seen());
        let publications = std::iter::once(&all).chain(regions.views.values());
        let due = publications.filter_map(|it| it.due(start.elapsed())).min();
        tokio::select! {
            item = commits.next() => {
                let mut commit = Some(item);
                // What waits already is taken in before a delta is made.
                for _ in 0..READY_COMMITS {
                    let Some(item) = commit.take() else { break };
                    if take(&mut all, &mut regions, item).await? == Turn::Staged {
                        staging::turn(store, distributor, &mut all, &mut regions, start).await?;
                    }
                    commit = commits.next().now_or_never();
                }
            }
            () = time::sleep(due.unwrap_or_default()), if due.is_some() => {}
            () = distributor.asked.notified() => {}
            read = regions.loaded() => regions.attach(distributor, read, start)?,
            _ = check.tick() => {
                // A commit that was not announced for a whole interval was lost.
                let seen = all.seen();
                let ahead = store.status().await.head > seen;
                if ahead && suspicion == Some(seen) {
                    return Err(Lost::Silent);
                }
                suspicion = ahead.then_some(seen);
                regions.keep(&distributor.forget_unused());
            }
        }
        publish(distributor, &None, &mut all, start)?;
        for (region, publication) in &mut regions.views {
            publish(distributor, &Some(region.clone()), publication, start)?;
        }
    }
}

/// Makes the deltas that are due.
fn publish(
    distributor: &Distributor,
    view: &View,
    publication: &mut Publication,
    start: Instant,
) -> Result<(), Lost> {
    while publication.due(start.elapsed()) == Some(Duration::ZERO) {
        publish_next(distributor, view, publication, start)?;
    }
    let (below, staged) = (Track::below(view.clone()), Track::staged(view.clone()));
    if distributor.is_passed(&below)
        && let Some(delta) = publication.advance()?
    {
        distributor.push(&below, delta);
    }
    if distributor.is_passed(&staged)
        && let Some(delta) = publication.advance_staged()?
    {
        distributor.push(&staged, delta);
    }
    // What does not concern proxies is not told them.
    distributor.settle(view, publication.settled());
    Ok(())
}

/// Makes all deltas there are to be made, due or not.
pub(super) fn flush(
    distributor: &Distributor,
    view: &View,
    publication: &mut Publication,
    start: Instant,
) -> Result<(), EncodeError> {
    while publication.has_waiting() {
        publish_next(distributor, view, publication, start)?;
    }
    Ok(())
}

fn publish_next(
    distributor: &Distributor,
    view: &View,
    publication: &mut Publication,
    start: Instant,
) -> Result<(), EncodeError> {
    publication.mark(distributor.removal());
    let Some(Published { all, staged }) = publication.publish(start.elapsed())? else {
        return Ok(());
    };
    distributor.push(&Track::below(view.clone()), all);
    if let Some(staged) = staged {
        distributor.push(&Track::staged(view.clone()), staged);
    }
    Ok(())
}

/// Reads the whole of a view, at a revision or at the head; and where the tenants are.
pub(super) async fn load(
    store: &dyn Store,
    view: &View,
    at: Option<Revision>,
    debounce: Duration,
) -> Result<(Publication, Residents, StoreId), ReadError> {
    let status = store.status().await;
    let revision = at.unwrap_or(status.head);
    let epoch = epoch::epoch(store, status.id, Some(revision)).await?;
    let (mut ledger, mut residents) = (Ledger::new(), Residents::default());
    let mut pages = Pages::new(store, view, None, status.id, revision);
    while let Some(changes) = pages.next().await? {
        for change in &changes {
            ledger.apply(change);
            residents.take(change);
        }
    }
    let head = Position { epoch, revision, hash: ledger.hash() };
    let region = view.as_ref().map(RegionId::as_str);
    tracing::info!(%revision, region, resources = ledger.resources(), "the state is loaded");
    Ok((Publication::new(head, ledger, debounce), residents, status.id))
}

/// Whether a commit turns what proxies follow.
#[derive(PartialEq, Eq)]
enum Turn {
    Nothing,
    Staged,
}

async fn take(
    all: &mut Publication,
    regions: &mut Regions<'_>,
    item: Option<Result<WatchItem, WatchError>>,
) -> Result<Turn, Lost> {
    let (revision, changes, turn) = match item.unwrap_or(Err(WatchError::Unavailable))? {
        WatchItem::Commit { changes, .. } if epoch::is_begun(&changes) => return Err(Lost::Forked),
        WatchItem::Commit { rev, changes } if staging::is_turned(&changes) => {
            (rev, projected(&changes), Turn::Staged)
        }
        WatchItem::Commit { rev, changes } => (rev, projected(&changes), Turn::Nothing),
        WatchItem::Progress { rev } => (rev, Vec::new(), Turn::Nothing),
    };
    regions.take(revision, &changes).await?;
    all.take(revision, changes);
    Ok(turn)
}

/// What of a commit concerns proxies.
pub(super) fn projected(changes: &[Change]) -> Vec<Resource> {
    let project = |change: &Change| match change {
        Change::Put(row) => snapshot::put(row),
        Change::Delete(key) => snapshot::name(key).map(|name| Resource::new(name, None)),
    };
    changes.iter().filter_map(project).collect()
}
