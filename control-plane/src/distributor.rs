//! From commits to the streams of proxies.
//!
//! One task [follows](follow) the store: it reads the whole state once, to know its hash, and then
//! every commit. Each commit becomes one delta, encoded once, in a bounded [window](window) that all
//! streams read from. A stream keeps nothing but its position: it takes what is newer from the window
//! whenever its proxy has taken the last, so a slow proxy costs no memory, and one that is overtaken by
//! the window is dropped and comes back for a full state.
//!
//! Every revision is a delta, also one that changes no resource: then the delta is empty, and the
//! revision that a proxy acknowledges can be compared with the revision that a write returned.
//!
//! A full state is never in memory: it is read page by page at one pinned revision, and only a few are
//! sent at a time, so that a thousand proxies that come back at once do not end the process.
//!
//! Rejected: a queue for each stream (memory grows with the slowest proxy), and encoding for each
//! stream (work grows with their number).

mod enforcement;
mod follower;
mod heads;
mod nodes;
mod questions;
mod snapshot;
pub mod stream;
mod window;

use std::sync::Arc;

use parking_lot::Mutex;
use tenantry_distribution::{Epoch, StateHash};
use tenantry_model::{Revision, Timestamp};
use tenantry_tenancy::Clock;
use tokio::sync::{Semaphore, watch};

pub use enforcement::{Awaited, State, Waits, wait};
pub use follower::follow;
pub use nodes::{Node, Nodes};
pub use questions::{Questions, Unanswered, ask};
pub use tenantry_distribution::Position;

use heads::Heads;
use window::{Since, Window};

/// How many full states are sent at a time.
const FULL_STATES: usize = 8;

/// The state as streams see it.
pub struct Distributor {
    /// None until the state has been loaded, and while it is loaded anew.
    window: Mutex<Option<Window>>,
    changed: watch::Sender<()>,
    /// Also where nothing has changed that concerns proxies.
    moved: watch::Sender<()>,
    heads: Mutex<Heads>,
    clock: Arc<dyn Clock>,
    full_states: Semaphore,
}

impl Distributor {
    /// Nothing is loaded yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            window: Mutex::new(None),
            changed: watch::Sender::new(()),
            moved: watch::Sender::new(()),
            heads: Mutex::default(),
            clock,
            full_states: Semaphore::new(FULL_STATES),
        }
    }

    /// The newest state; none while it is being loaded.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.window.lock().as_ref().map(Window::position)
    }

    /// The newest state, and the revision up to which the store holds no other.
    #[must_use]
    pub fn standing(&self) -> Option<(Position, Revision)> {
        self.window.lock().as_ref().map(|window| (window.position(), window.seen()))
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

    fn see(&self, revision: Revision) {
        if let Some(window) = self.window.lock().as_mut() {
            window.see(revision);
        }
        self.moved.send_replace(());
    }

    fn since(&self, position: Position) -> Since {
        match self.window.lock().as_ref() {
            Some(window) => window.since(position),
            None => Since::Unknown,
        }
    }

    fn replace(&self, window: Option<Window>) {
        if let Some(window) = &window {
            self.heads.lock().note(window.position(), self.clock.now());
        }
        *self.window.lock() = window;
        self.changed.send_replace(());
        self.moved.send_replace(());
    }

    fn push(&self, position: Position, lines: bytes::Bytes) {
        self.heads.lock().note(position, self.clock.now());
        if let Some(window) = self.window.lock().as_mut() {
            window.push(position, lines);
        }
        self.changed.send_replace(());
        self.moved.send_replace(());
    }
}
