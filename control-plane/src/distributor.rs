//! From commits to the streams of proxies.
//!
//! One task [follows](follow) the store: it reads the whole state once, to know its hash, and then
//! every commit. Commits become deltas, encoded once, in a bounded window that all streams read from. What
//! is decided on the way (when a delta is made and of what, what a stream is sent next, who has to wait) is
//! decided by the state machines of `tenantry-distribution`, which a simulation runs too; here they are
//! given the store, the time and the sockets. A proxy of a region follows a [view] of its own, which has the same
//! revisions, and its own hash and window.
//!
//! A full state is never in memory: it is read page by page at one pinned revision. Of full states, and of
//! differences that are put together from the log for proxies the window does not reach, only a few are sent
//! at a time; who finds no place is told so before a stream opens, and when to come back. A proxy that is up
//! to date, or nearly, never needs a place.
//!
//! Rejected: a queue for each stream (memory grows with the slowest proxy), encoding for each
//! stream (work grows with their number), and letting those wait in line who find no place (each holds a
//! connection and a task, and learns nothing).
//!
//! [view]: tenantry_distribution::View

mod belongings;
mod catch_up;
mod enforcement;
mod epoch;
mod export;
mod follower;
mod heads;
mod nodes;
mod past;
mod questions;
mod regions;
mod snapshot;
mod staging;
pub mod stream;
mod views;

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenantry_distribution::{
    Delta, EncodeError, Epoch, Feed, FullState, Next, NodeName, Opening, Overlay, Places, Removal,
    StateHash, StatusReport, TurnedAway, View, Window,
};
use tenantry_model::{RegionId, Revision, Timestamp};
use tenantry_tenancy::Clock;
use tokio::{
    sync::{Notify, watch},
    time::{self, Instant},
};

pub use enforcement::{Awaited, State, Waits, wait};
pub(crate) use epoch::is_ahead;
pub(crate) use export::export;
pub use follower::follow;
pub use nodes::{Node, Nodes};
pub use questions::{Questions, Unanswered, ask};
pub use tenantry_distribution::Position;

pub(crate) use views::{InView, Track};

use epoch::Fork;
use staging::{Back, Staging};
use views::{StagedView, Views};

/// How long a proxy waits for the view of its region, before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state as streams see it.
pub struct Distributor {
    views: Arc<Mutex<Views>>,
    changed: watch::Sender<()>,
    /// Also where nothing has changed that concerns proxies.
    moved: watch::Sender<()>,
    /// Wakes the follower when a view is wanted.
    asked: Notify,
    clock: Arc<dyn Clock>,
    places: Mutex<Places>,
    /// Held while a difference is put together, so that those who stand at the same place share it.
    catching_up: tokio::sync::Mutex<()>,
    debounce: Duration,
    fork: Fork,
    /// Until then a mass removal is meant.
    removal_until: Mutex<Option<Timestamp>>,
}

/// A place for an expensive send, until it is dropped.
pub(crate) struct Place {
    distributor: Arc<Distributor>,
    taken_at: Instant,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.distributor.places.lock().give_back(self.taken_at.elapsed());
    }
}

/// A whole state, to be read.
struct Newest {
    state: FullState,
    /// How many resources it has.
    resources: usize,
    /// What is seen on top of what the store holds.
    overlay: Option<Arc<Overlay>>,
}

/// Why no stream is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotNow {
    /// The state is being loaded.
    Loading,
    /// Others are served first.
    TurnedAway(TurnedAway),
}

impl Distributor {
    /// Nothing is loaded yet. So many expensive sends go on at once, and commits that follow a delta within
    /// this time become one.
    #[must_use]
    pub fn new(full_states: NonZeroU32, debounce: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            views: Arc::default(),
            changed: watch::Sender::new(()),
            moved: watch::Sender::new(()),
            asked: Notify::new(),
            clock,
            places: Mutex::new(Places::new(full_states.get())),
            catching_up: tokio::sync::Mutex::new(()),
            debounce,
            fork: Fork::default(),
            removal_until: Mutex::new(None),
        }
    }

    /// The newest state of all; none while it is being loaded.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.views.lock().window(&Track::below(None)).map(Window::head)
    }

    /// The newest state of a view, and the revision up to which the store holds no other.
    #[must_use]
    pub fn standing(&self, track: &Track) -> Option<(Position, Revision)> {
        self.views.lock().window(track).map(|window| (window.head(), window.settled()))
    }

    /// The hash of the state at a revision, if that is remembered.
    #[must_use]
    pub fn hash_at(&self, track: &Track, epoch: Epoch, revision: Revision) -> Option<StateHash> {
        self.views.lock().heads(track)?.hash_at(epoch, revision)
    }

    /// Since when there is a newer state than that at a revision, as far as that is remembered.
    #[must_use]
    pub fn superseded_at(
        &self,
        track: &Track,
        epoch: Epoch,
        revision: Revision,
    ) -> Option<Timestamp> {
        self.views.lock().heads(track)?.superseded_at(epoch, revision)
    }

    /// Waits a while for a view, which begins when it is wanted for the first time.
    pub(crate) async fn wait_for(&self, view: &View) {
        let Some(region) = view else { return };
        let mut changed = self.changed.subscribe();
        let there = async {
            while self.views.lock().want(region, Instant::now()) {
                self.asked.notify_one();
                // The sender lives as long as the distributor.
                let _ = changed.changed().await;
            }
        };
        // Whether it is there in time is looked at next.
        let _ = time::timeout(PATIENCE, there).await;
    }

    /// Waits a while until a view has come as far as a proxy of it, which may have followed another view before. What
    /// it is sent must not be older than what it holds, or it refuses that.
    pub(crate) async fn reach(&self, track: &Track, stands: Position) {
        let mut changed = self.changed.subscribe();
        let reached = async {
            while self.pass(track, stands) {
                // The sender lives as long as the distributor.
                let _ = changed.changed().await;
            }
        };
        // It is served in any case.
        let _ = time::timeout(PATIENCE, reached).await;
    }

    /// Notes that a proxy stands later than its view, if it does: the view is moved on.
    pub(crate) fn pass(&self, track: &Track, stands: Position) -> bool {
        let is_passed = self.views.lock().pass(track, stands);
        if is_passed {
            self.asked.notify_one();
        }
        is_passed
    }

    fn is_passed(&self, track: &Track) -> bool {
        self.views.lock().is_passed(track)
    }

    /// Which region's view is to be begun next.
    fn wanted(&self) -> Option<RegionId> {
        self.views.lock().wanted()
    }

    /// Keeps a view for as long as what is returned is held.
    pub(crate) fn look_at(&self, view: &View) -> InView {
        InView::new(&self.views, view)
    }

    /// Forgets the views of regions that nobody has looked at for long, and says which are left.
    fn forget_unused(&self) -> BTreeSet<RegionId> {
        self.views.lock().forget_unused(Instant::now())
    }

    /// Until then what is sent may take most tenants away.
    pub fn allow_removal(&self, until: Timestamp) {
        *self.removal_until.lock() = Some(until);
    }

    /// How what is sent is marked.
    fn removal(&self) -> Removal {
        match *self.removal_until.lock() {
            Some(until) if self.clock.now() < until => Removal::Meant,
            _ => Removal::Guarded,
        }
    }

    /// How the stream of a proxy that holds this begins, and the place that it takes for it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        track: &Track,
        asked: Option<Position>,
    ) -> Result<(Opening, Option<Place>), NotNow> {
        let opening = self.opening(track, asked).ok_or(NotNow::Loading)?;
        if !opening.is_expensive() {
            return Ok((opening, None));
        }
        self.places.lock().take().map_err(NotNow::TurnedAway)?;
        let place = Place { distributor: Arc::clone(self), taken_at: Instant::now() };
        Ok((opening, Some(place)))
    }

    fn opening(&self, track: &Track, asked: Option<Position>) -> Option<Opening> {
        let views = self.views.lock();
        let was = |position| views.heads(track).and_then(|heads| heads.was(position));
        match Opening::of(asked, views.window(track)?) {
            // It followed another track, or another view: the log does not say what it lacks here.
            Opening::CatchUp(position) if was(position) == Some(false) => Some(Opening::Full),
            opening => Some(opening),
        }
    }

    /// What a proxy of a view that stands here, or nowhere, is to follow.
    pub(crate) fn track(&self, node: &NodeName, view: &View, stands: Option<Position>) -> Track {
        self.views.lock().track(node, view, stands)
    }

    /// What a proxy is to follow by what it said last.
    pub(crate) fn track_of(&self, node: &Node) -> Track {
        self.track(&node.name, &node.view, node.report.as_ref().map(StatusReport::position))
    }

    /// Whether a proxy is where those are to be to whom something is released first. States from before it began count.
    pub(crate) fn enforces_staged(&self, node: &Node) -> bool {
        let Some(report) = &node.report else { return false };
        let track = self.track_of(node);
        let views = self.views.lock();
        let hash = views.heads(&track).and_then(|it| it.hash_at(report.epoch, report.revision));
        track.is_staged && hash == Some(report.hash)
    }

    /// The newest whole state.
    fn newest(&self, track: &Track) -> Option<Newest> {
        let views = self.views.lock();
        let window = views.window(track)?;
        let (state, resources) = (FullState::newest(window), window.resources());
        Some(Newest { state, resources, overlay: views.overlay(track) })
    }

    /// What a stream is sent next, on whichever track its proxy is by now.
    fn next(&self, node: &NodeName, view: &View, feed: &mut Feed) -> Result<Next, EncodeError> {
        let views = self.views.lock();
        let track = views.track(node, view, Some(feed.position()));
        feed.next(views.window(&track))
    }

    fn settle(&self, view: &View, revision: Revision) {
        let mut views = self.views.lock();
        for track in [Track::below(view.clone()), Track::staged(view.clone())] {
            if let Some(window) = views.window_mut(&track) {
                window.settle(revision);
            }
        }
        drop(views);
        self.moved.send_replace(());
    }

    /// The state of all is read anew: the views of regions begin anew as well.
    fn replace(&self, all: Option<(Window, Option<(Staging, StagedView)>)>) {
        let now = (self.clock.now(), Instant::now());
        let (window, staged) = all.map_or((None, None), |(window, staged)| (Some(window), staged));
        let mut views = self.views.lock();
        views.replace(window, now);
        if let Some((staging, view)) = staged {
            views.stage(staging);
            views.stage_view(&None, view, now.0);
        }
        drop(views);
        self.tell();
    }

    fn attach(&self, view: View, window: Window, staged: Option<StagedView>) {
        let now = (self.clock.now(), Instant::now());
        let mut views = self.views.lock();
        views.attach(view.clone(), window, now);
        if let Some(staged) = staged {
            views.stage_view(&view, staged, now.0);
        }
        drop(views);
        self.tell();
    }

    fn push(&self, track: &Track, delta: Delta) {
        self.views.lock().push(track, delta, self.clock.now());
        self.tell();
    }

    /// A step for those who see something on top, which may be less of it from then on.
    fn push_staged(&self, view: &View, delta: Delta, left: Option<Arc<Overlay>>) {
        let mut views = self.views.lock();
        views.push(&Track::staged(view.clone()), delta, self.clock.now());
        if let Some(left) = left {
            views.cover(view, left);
        }
        drop(views);
        self.tell();
    }

    /// Something is released to some proxies first, and is seen so in each view.
    fn stage(&self, staging: Staging, seen: Vec<(View, StagedView)>) {
        let now = self.clock.now();
        let mut views = self.views.lock();
        views.stage(staging);
        seen.into_iter().for_each(|(view, staged)| views.stage_view(&view, staged, now));
        drop(views);
        self.tell();
    }

    /// Nothing is released to some proxies first any more: all are led to the same state, in each view.
    fn unstage(&self, back: Vec<(View, Back)>) {
        let now = self.clock.now();
        let mut views = self.views.lock();
        for (view, Back { staged, below }) in back {
            let tracks = [(Track::below(view.clone()), below), (Track::staged(view), staged)];
            for (track, delta) in tracks {
                delta.into_iter().for_each(|delta| views.push(&track, delta, now));
            }
        }
        views.unstage(Instant::now());
        drop(views);
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_replace(());
        self.moved.send_replace(());
    }

    fn remember(&self, track: &Track, delta: Delta) {
        if let Some(window) = self.views.lock().window_mut(track) {
            window.remember(delta);
        }
    }
}
