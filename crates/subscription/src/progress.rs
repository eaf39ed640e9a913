//! Where a subscription stands, for readiness, metrics and tests.

use std::sync::Arc;

use tenantry_distribution::{Position, Revision};
use tenantry_model::Timestamp;
use tokio::sync::watch;

/// A handle on the standing of a subscription. Cheap to clone and to read.
#[derive(Debug, Clone)]
pub struct Progress(watch::Receiver<Standing>);

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How it stands with the control plane.
    pub link: Link,
    /// What is served; nothing until the first state is applied. This is what readiness asks for: a
    /// proxy that serves from its file is ready.
    pub applied: Option<Applied>,
    /// When the control plane last said that what is served is the newest. The age of the snapshot is
    /// the time since; without one it is the time since [`Applied::at`].
    pub confirmed_at: Option<Timestamp>,
    /// The revision of the last report that the control plane took and that refused nothing.
    pub acknowledged: Option<Revision>,
    /// The revision the last-known-good file holds. Behind what is applied for longer than a moment,
    /// the file cannot be written.
    pub recorded: Option<Revision>,
}

/// How a subscription stands with the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// No stream, for now.
    #[default]
    Down,
    /// A stream is open.
    Open,
    /// The control plane does not accept the token.
    Unauthorized,
}

/// A state that is being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Which state.
    pub position: Position,
    /// When it was applied.
    pub at: Timestamp,
    /// Where it came from.
    pub source: Source,
    /// How many tenants it holds.
    pub tenants: u64,
    /// How many of its resources are refused.
    pub refused: u64,
}

/// Where a state came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The last-known-good file.
    File,
    /// The control plane.
    Stream,
}

impl Progress {
    /// Where the subscription stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.0.borrow()
    }

    /// Waits until the standing meets a condition, and answers with it; with nothing if the
    /// subscription ends before.
    pub async fn wait_for(&mut self, condition: impl FnMut(&Standing) -> bool) -> Option<Standing> {
        self.0.wait_for(condition).await.ok().map(|standing| *standing)
    }
}

/// The writing end.
#[derive(Debug, Clone)]
pub(crate) struct Publisher(Arc<watch::Sender<Standing>>);

impl Publisher {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Standing::default())))
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress(self.0.subscribe())
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Standing)) {
        self.0.send_modify(change);
    }
}
