//! Watches the roll-out that is under way, and ends it.
//!
//! What there is to know of a roll-out is in the store; here is only what proxies had answered when it began, to
//! compare with. After a restart they are compared with what they say first, and those that are not back
//! yet are waited for a little. The task looks when proxies say something, when anything is committed, and every second.

pub mod choice;
pub mod judgement;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt as _;
use parking_lot::Mutex;
use tenantry_distribution::{ResourceName, Traffic};
use tenantry_model::{NodeName, Revision, RolloutId, Timestamp};
use tenantry_store::WatchStream;
use tenantry_tenancy::{Error, RolloutRecord, RolloutState, Staged, Versioned, rollout::staged};
use tokio::{
    sync::{Notify, watch},
    time::MissedTickBehavior,
};

use crate::{app::App, distributor::Node};

use judgement::{Chosen, Measured, Seen, Verdict};

/// How late it may be noticed that the time is over.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often is looked at most, however much proxies say.
const PAUSE: Duration = Duration::from_millis(100);
/// How long proxies are given to come back to a control plane that has just begun.
const SETTLING: Duration = Duration::from_secs(30);

/// What is known of the roll-out that is under way, apart from what is stored.
#[derive(Default)]
pub struct Rollouts {
    watched: Mutex<Option<Watched>>,
    begun: Notify,
    /// Held while one is applied for all: two who do that at once would be in each other's way.
    applying: tokio::sync::Mutex<()>,
}

/// A roll-out, since this process has watched it.
#[derive(Clone)]
struct Watched {
    staged: Arc<Staged>,
    resources: Arc<BTreeSet<ResourceName>>,
    /// What each proxy had answered when it began, or said first since.
    start: BTreeMap<NodeName, Traffic>,
    /// Until then proxies may not be back yet.
    settling_until: Option<Timestamp>,
    has_passed: bool,
    /// Up to here nobody else has changed what it changes.
    checked: Option<Revision>,
}

impl Rollouts {
    /// One has begun or ended.
    pub fn wake(&self) {
        self.begun.notify_one();
    }

    /// Nobody else applies a roll-out until this is dropped.
    pub async fn applying(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.applying.lock().await
    }
}

/// Whether a proxy that was chosen for a roll-out has it: also one that refuses a part of it, which is judged by what
/// it refuses.
#[must_use]
pub fn enforces(app: &App, node: &Node, staged: &Staged) -> bool {
    let reached = node.report.as_ref().is_some_and(|report| report.revision >= staged.revision);
    node.is_connected() && reached && app.distributor.enforces_staged(node)
}

/// Watches until told to stop.
pub async fn run(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    let (mut interval, mut pause) = (tokio::time::interval(INTERVAL), tokio::time::interval(PAUSE));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut said, mut commits) = (app.nodes.changes(), commits(&app).await);
    let mut is_first = true;
    loop {
        let mut is_cut = false;
        tokio::select! {
            // The other end gone means that the process is ending.
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = interval.tick() => {}
            _ = said.changed() => {}
            commit = commits.next() => is_cut = !matches!(commit, Some(Ok(_))),
            () = app.rollouts.begun.notified() => {}
        }
        if is_cut {
            commits = self::commits(&app).await;
        }
        pause.tick().await;
        if !app.takes_changes().await {
            continue;
        }
        if let Err(error) = look(&app, is_first).await {
            tracing::warn!(%error, "the roll-out under way could not be judged; it is looked at again");
        }
        is_first = false;
    }
}

/// What is committed from now on.
async fn commits(app: &App) -> WatchStream {
    app.store.watch(b"", app.store.status().await.head.next())
}

/// Looks at the roll-out under way once, and does what follows.
async fn look(app: &App, is_first: bool) -> Result<(), Error> {
    let Some(found) = app.tenancy.active_rollout().await? else {
        *app.rollouts.watched.lock() = None;
        return Ok(());
    };
    let id = found.value.id;
    if found.value.state == RolloutState::Releasing {
        let _alone = app.rollouts.applying().await;
        return noted(id, app.tenancy.finish_rollout(id).await);
    }
    if !begin(app, id, is_first).await? {
        return Ok(());
    }
    if let Some(reason) = outdated(app, &found.value).await? {
        return noted(id, app.tenancy.auto_take_back_rollout(id, reason).await);
    }
    let Some(seen) = seen(app, &found.value) else { return Ok(()) };
    match seen.judged() {
        Verdict::GoOn => Ok(()),
        Verdict::Ready => {
            if let Some(watched) = app.rollouts.watched.lock().as_mut() {
                watched.has_passed = true;
            }
            Ok(())
        }
        Verdict::Release => {
            let _alone = app.rollouts.applying().await;
            noted(id, app.tenancy.auto_release_rollout(id).await)
        }
        Verdict::TakeBack(reason) => {
            noted(id, app.tenancy.auto_take_back_rollout(id, reason).await)
        }
    }
}

/// Says how a roll-out ended. That somebody else has ended it meanwhile is no error.
fn noted(id: RolloutId, ended: Result<Versioned<RolloutRecord>, Error>) -> Result<(), Error> {
    match ended {
        Ok(Versioned {
            value: RolloutRecord { state: RolloutState::TakenBack, reason, .. },
            ..
        }) => {
            tracing::warn!(%id, reason, "the roll-out was taken back");
            Ok(())
        }
        Ok(_) => {
            tracing::info!(%id, "the roll-out was released");
            Ok(())
        }
        Err(error @ (Error::RolloutOutdated(_) | Error::Faults(_))) => {
            tracing::warn!(%id, %error, "the roll-out was taken back");
            Ok(())
        }
        Err(Error::RolloutEnded(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Notes what proxies have answered so far, as far as that is not noted yet; whether the roll-out is there.
pub(crate) async fn begin(app: &App, id: RolloutId, is_first: bool) -> Result<bool, Error> {
    let is_known =
        app.rollouts.watched.lock().as_ref().is_some_and(|watched| watched.staged.id == id);
    if !is_known {
        let Some(staged) = staged(app.store.as_ref(), None).await?.filter(|staged| staged.id == id)
        else {
            return Ok(false);
        };
        let resources = staged.changes.iter().map(|(resource, _)| resource.clone().into());
        let fresh = Watched {
            resources: Arc::new(resources.collect()),
            staged: Arc::new(staged),
            start: BTreeMap::new(),
            settling_until: is_first.then(|| app.clock.now().after(SETTLING)),
            has_passed: false,
            checked: None,
        };
        let mut watched = app.rollouts.watched.lock();
        // Somebody else may have noted it meanwhile.
        if watched.as_ref().is_none_or(|watched| watched.staged.id != id) {
            *watched = Some(fresh);
        }
    }
    if let Some(watched) = app.rollouts.watched.lock().as_mut() {
        for node in app.nodes.all() {
            let traffic = node.report.and_then(|report| report.traffic);
            if let Some(traffic) = traffic
                && !watched.start.contains_key(&node.name)
            {
                watched.start.insert(node.name, traffic);
            }
        }
    }
    Ok(true)
}

/// Whether somebody else has changed what the roll-out changes.
async fn outdated(app: &App, rollout: &RolloutRecord) -> Result<Option<String>, Error> {
    let head = app.store.status().await.head;
    let checked = app.rollouts.watched.lock().as_ref().and_then(|watched| watched.checked);
    if checked == Some(head) {
        return Ok(None);
    }
    if let Some(resource) = app.tenancy.rollout_outdated(rollout).await? {
        return Ok(Some(format!("{resource} was changed by somebody else")));
    }
    if let Some(watched) = app.rollouts.watched.lock().as_mut() {
        watched.checked = Some(head);
    }
    Ok(None)
}

/// What there is to judge a roll-out by; nothing, if it is not under way.
#[must_use]
pub fn seen(app: &App, rollout: &RolloutRecord) -> Option<Seen> {
    let watched = app.rollouts.watched.lock().clone();
    let watched = watched.filter(|watched| watched.staged.id == rollout.id)?;
    let mut nodes: BTreeMap<_, _> =
        app.nodes.all().into_iter().map(|node| (node.name.clone(), node)).collect();
    let measured = |name: &NodeName, node: Option<&Node>| Measured {
        start: watched.start.get(name).copied(),
        now: node.and_then(|node| node.report.as_ref()?.traffic),
    };
    let chosen = rollout.nodes.iter().map(|name| {
        let node = nodes.remove(name);
        let node = node.as_ref();
        let refusals = node.and_then(|node| node.report.as_ref()).into_iter();
        let refusals = refusals.flat_map(|report| &report.refused);
        let refusals = refusals.filter(|refusal| watched.resources.contains(&refusal.resource));
        let enforces = node.is_some_and(|node| enforces(app, node, &watched.staged));
        Chosen {
            node: name.clone(),
            is_connected: node.is_some_and(Node::is_connected),
            enforces,
            // What it refused before is no answer to this.
            refusals: refusals
                .filter(|_| enforces)
                .map(|refusal| (refusal.resource.clone(), refusal.reason.clone()))
                .collect(),
            measured: measured(name, node),
        }
    });
    let chosen: Vec<_> = chosen.collect();
    let now = app.clock.now();
    Some(Seen {
        started_at: rollout.started_at,
        now,
        terms: rollout.terms.clone(),
        is_settling: watched.settling_until.is_some_and(|until| now < until),
        has_passed: watched.has_passed,
        chosen,
        others: nodes.iter().map(|(name, node)| measured(name, Some(node))).collect(),
    })
}
