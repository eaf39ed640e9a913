//! From commits to the streams of proxies.
//!
//! One task [follows](follow) the store: it reads the whole state once, to know its hash, and then
//! every commit. Commits become deltas, encoded once, in a bounded window that all streams read from. What
//! is decided on the way (when a delta is made and of what, what a stream is sent next, who has to wait) is
//! decided by the state machines of `tenantry-distribution`, which a simulation runs too; here they are
//! given the store, the time and the sockets.
//!
//! A full state is never in memory: it is read page by page at one pinned revision. Of full states, and of
//! differences that are put together from the log for proxies the window does not reach, only a few are sent
//! at a time; who finds no place is told so before a stream opens, and when to come back. A proxy that is up
//! to date, or nearly, never needs a place.
//!
//! Rejected: a queue for each stream (memory grows with the slowest proxy), encoding for each
//! stream (work grows with their number), and letting those wait in line who find no place (each holds a
//! connection and a task, and learns nothing).

mod catch_up;
mod enforcement;
mod epoch;
mod export;
mod follower;
mod heads;
mod nodes;
mod questions;
mod snapshot;
pub mod stream;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenantry_distribution::{
    Delta, EncodeError, Epoch, Feed, FullState, Next, Opening, Places, Removal, StateHash,
    TurnedAway, Window,
};
use tenantry_model::{Revision, Timestamp};
use tenantry_tenancy::Clock;
use tokio::{sync::watch, time::Instant};

pub use enforcement::{Awaited, State, Waits, wait};
pub(crate) use epoch::is_ahead;
pub(crate) use export::export;
pub use follower::follow;
pub use nodes::{Node, Nodes};
pub use questions::{Questions, Unanswered, ask};
pub use tenantry_distribution::Position;

use epoch::Fork;
use heads::Heads;

/// The state as streams see it.
pub struct Distributor {
    /// None until the state has been loaded, and while it is loaded anew.
    window: Mutex<Option<Window>>,
    changed: watch::Sender<()>,
    /// Also where nothing has changed that concerns proxies.
    moved: watch::Sender<()>,
    heads: Mutex<Heads>,
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
            window: Mutex::new(None),
            changed: watch::Sender::new(()),
            moved: watch::Sender::new(()),
            heads: Mutex::default(),
            clock,
            places: Mutex::new(Places::new(full_states.get())),
            catching_up: tokio::sync::Mutex::new(()),
            debounce,
            fork: Fork::default(),
            removal_until: Mutex::new(None),
        }
    }

    /// The newest state; none while it is being loaded.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.window.lock().as_ref().map(Window::head)
    }

    /// The newest state, and the revision up to which the store holds no other.
    #[must_use]
    pub fn standing(&self) -> Option<(Position, Revision)> {
        self.window.lock().as_ref().map(|window| (window.head(), window.settled()))
    }

    /// The hash of the state at a revision, if that is remembered.
    #[must_use]
    pub fn hash_at(&self, epoch: Epoch, revision: Revision) -> Option<StateHash> {
        self.heads.lock().hash_at(epoch, revision)
    }

    /// Since when there is a newer state than that at a revision, as far as that is remembered.
    #[must_use]
    pub fn superseded_at(&self, epoch: Epoch, revision: Revision) -> Option<Timestamp> {
        self.heads.lock().superseded_at(epoch, revision)
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
        asked: Option<Position>,
    ) -> Result<(Opening, Option<Place>), NotNow> {
        let opening = self.opening(asked).ok_or(NotNow::Loading)?;
        if !opening.is_expensive() {
            return Ok((opening, None));
        }
        self.places.lock().take().map_err(NotNow::TurnedAway)?;
        let place = Place { distributor: Arc::clone(self), taken_at: Instant::now() };
        Ok((opening, Some(place)))
    }

    fn opening(&self, asked: Option<Position>) -> Option<Opening> {
        self.window.lock().as_ref().map(|window| Opening::of(asked, window))
    }

    /// The whole state, and how many resources it has.
    fn newest(&self) -> Option<(FullState, usize)> {
        let window = self.window.lock();
        window.as_ref().map(|window| (FullState::newest(window), window.resources()))
    }

    fn next(&self, feed: &mut Feed) -> Result<Next, EncodeError> {
        feed.next(self.window.lock().as_ref())
    }

    fn settle(&self, revision: Revision) {
        if let Some(window) = self.window.lock().as_mut() {
            window.settle(revision);
        }
        self.moved.send_replace(());
    }

    fn replace(&self, window: Option<Window>) {
        if let Some(window) = &window {
            self.heads.lock().note(window.head(), self.clock.now());
        }
        *self.window.lock() = window;
        self.changed.send_replace(());
        self.moved.send_replace(());
    }

    fn push(&self, delta: Delta) {
        self.heads.lock().note(delta.to, self.clock.now());
        if let Some(window) = self.window.lock().as_mut() {
            window.push(delta);
        }
        self.changed.send_replace(());
        self.moved.send_replace(());
    }

    fn remember(&self, delta: Delta) {
        if let Some(window) = self.window.lock().as_mut() {
            window.remember(delta);
        }
    }
}
