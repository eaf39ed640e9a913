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
pub mod stream;
mod views;

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenantry_distribution::{
    Delta, EncodeError, Epoch, Feed, FullState, Next, Opening, Places, Removal, StateHash,
    TurnedAway, View, Window,
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

pub(crate) use views::InView;

use epoch::Fork;
use views::Views;

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
        self.views.lock().window(&None).map(Window::head)
    }

    /// The newest state of a view, and the revision up to which the store holds no other.
    #[must_use]
    pub fn standing(&self, view: &View) -> Option<(Position, Revision)> {
        self.views.lock().window(view).map(|window| (window.head(), window.settled()))
    }

    /// The hash of the state at a revision, if that is remembered.
    #[must_use]
    pub fn hash_at(&self, view: &View, epoch: Epoch, revision: Revision) -> Option<StateHash> {
        self.views.lock().heads(view)?.hash_at(epoch, revision)
    }

    /// Since when there is a newer state than that at a revision, as far as that is remembered.
    #[must_use]
    pub fn superseded_at(
        &self,
        view: &View,
        epoch: Epoch,
        revision: Revision,
    ) -> Option<Timestamp> {
        self.views.lock().heads(view)?.superseded_at(epoch, revision)
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
    pub(crate) async fn reach(&self, view: &View, stands: Position) {
        let mut changed = self.changed.subscribe();
        let reached = async {
            while self.pass(view, stands) {
                // The sender lives as long as the distributor.
                let _ = changed.changed().await;
            }
        };
        // It is served in any case.
        let _ = time::timeout(PATIENCE, reached).await;
    }

    /// Notes that a proxy stands later than its view, if it does: the view is moved on.
    pub(crate) fn pass(&self, view: &View, stands: Position) -> bool {
        let is_passed = self.views.lock().pass(view, stands);
        if is_passed {
            self.asked.notify_one();
        }
        is_passed
    }

    fn is_passed(&self, view: &View) -> bool {
        self.views.lock().is_passed(view)
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
        view: &View,
        asked: Option<Position>,
    ) -> Result<(Opening, Option<Place>), NotNow> {
        let opening = self.opening(view, asked).ok_or(NotNow::Loading)?;
        if !opening.is_expensive() {
            return Ok((opening, None));
        }
        self.places.lock().take().map_err(NotNow::TurnedAway)?;
        let place = Place { distributor: Arc::clone(self), taken_at: Instant::now() };
        Ok((opening, Some(place)))
    }

    fn opening(&self, view: &View, asked: Option<Position>) -> Option<Opening> {
        self.views.lock().window(view).map(|window| Opening::of(asked, window))
    }

    /// The whole state, and how many resources it has.
    fn newest(&self, view: &View) -> Option<(FullState, usize)> {
        let views = self.views.lock();
        views.window(view).map(|window| (FullState::newest(window), window.resources()))
    }

    fn next(&self, view: &View, feed: &mut Feed) -> Result<Next, EncodeError> {
        feed.next(self.views.lock().window(view))
    }

    fn settle(&self, view: &View, revision: Revision) {
        if let Some(window) = self.views.lock().window_mut(view) {
            window.settle(revision);
        }
        self.moved.send_replace(());
    }

    /// The state of all is read anew: the views of regions begin anew as well.
    fn replace(&self, window: Option<Window>) {
        let now = (self.clock.now(), Instant::now());
        self.views.lock().replace(window, now);
        self.changed.send_replace(());
        self.moved.send_replace(());
    }

    fn attach(&self, view: View, window: Window) {
        let now = (self.clock.now(), Instant::now());
        self.views.lock().attach(view, window, now);
        self.changed.send_replace(());
        self.moved.send_replace(());
    }

    fn push(&self, view: &View, delta: Delta) {
        self.views.lock().push(view, delta, self.clock.now());
        self.changed.send_replace(());
        self.moved.send_replace(());
    }

    fn remember(&self, view: &View, delta: Delta) {
        if let Some(window) = self.views.lock().window_mut(view) {
            window.remember(delta);
        }
    }
}
