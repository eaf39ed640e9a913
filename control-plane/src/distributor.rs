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

mod follower;
mod nodes;
mod snapshot;
pub mod stream;
mod window;

use parking_lot::Mutex;
use tenantry_model::Revision;
use tokio::sync::{Semaphore, watch};

pub use follower::follow;
pub use nodes::{Node, Nodes};
pub use tenantry_distribution::Position;

use window::{Since, Window};

/// How many full states are sent at a time.
const FULL_STATES: usize = 8;

/// The state as streams see it.
pub struct Distributor {
    /// None until the state has been loaded, and while it is loaded anew.
    window: Mutex<Option<Window>>,
    changed: watch::Sender<()>,
    full_states: Semaphore,
}

impl Default for Distributor {
    fn default() -> Self {
        Self::new()
    }
}

impl Distributor {
    /// Nothing is loaded yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            window: Mutex::new(None),
            changed: watch::Sender::new(()),
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

    fn see(&self, revision: Revision) {
        if let Some(window) = self.window.lock().as_mut() {
            window.see(revision);
        }
    }

    fn since(&self, position: Position) -> Since {
        match self.window.lock().as_ref() {
            Some(window) => window.since(position),
            None => Since::Unknown,
        }
    }

    fn replace(&self, window: Option<Window>) {
        *self.window.lock() = window;
        self.changed.send_replace(());
    }

    fn push(&self, position: Position, lines: bytes::Bytes) {
        if let Some(window) = self.window.lock().as_mut() {
            window.push(position, lines);
        }
        self.changed.send_replace(());
    }
}
