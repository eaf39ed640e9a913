//! What an upstream has in progress, and how tries ended.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use parking_lot::{Mutex, MutexGuard};

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident, $label:literal;)*) => {
        /// How one try to get an answer from an endpoint ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Outcome {
            $($(#[$doc])* $name,)*
        }

        impl Outcome {
            /// Every outcome.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, for metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

outcomes! {
    /// With an answer that is no server error.
    Answered, "answered";
    /// With a server error that is the application's own.
    ServerError, "server_error";
    /// With 502, 503 or 504.
    GatewayError, "gateway_error";
    /// Without a connection.
    ConnectFailed, "connect_failed";
    /// With a connection that broke, or an answer that is none.
    Broken, "broken";
    /// With no answer in time.
    TimedOut, "timed_out";
    /// Before it began: the upstream's cap was reached.
    OverCap, "over_cap";
}

/// How tries ended.
#[derive(Debug, Default)]
pub struct UpstreamCounts([AtomicU64; Outcome::ALL.len()]);

impl UpstreamCounts {
    pub(super) fn add(&self, outcome: Outcome) {
        if let Some(count) = self.0.get(outcome as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// How many ended so.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0.get(outcome as usize).map_or(0, |count| count.load(Relaxed))
    }
}

/// Says which upstreams are counted by name: the first so many, and all others together.
#[derive(Debug)]
pub struct UpstreamNames {
    left: AtomicUsize,
    /// Where all others are counted.
    pub others: Arc<UpstreamCounts>,
}

impl UpstreamNames {
    pub(crate) fn new(named: usize) -> Self {
        Self { left: AtomicUsize::new(named), others: Arc::default() }
    }
}

/// State of one upstream, handed from snapshot to snapshot.
#[derive(Debug)]
pub(super) struct UpstreamLoad {
    pub(super) requests: Arc<Gauge>,
    pub(super) connections: Arc<Gauge>,
    pub(super) retries: Arc<Gauge>,
    ejecting: Mutex<()>,
    counts: Arc<UpstreamCounts>,
    /// Where the name is given back.
    name: Option<Arc<UpstreamNames>>,
}

impl UpstreamLoad {
    pub(super) fn new(names: &Arc<UpstreamNames>) -> Self {
        let is_named =
            names.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        Self {
            requests: Arc::default(),
            connections: Arc::default(),
            retries: Arc::default(),
            ejecting: Mutex::default(),
            counts: if is_named { Arc::default() } else { Arc::clone(&names.others) },
            name: is_named.then(|| Arc::clone(names)),
        }
    }

    pub(super) fn counts(&self) -> &UpstreamCounts {
        &self.counts
    }

    pub(super) fn named_counts(&self) -> Option<&UpstreamCounts> {
        self.name.is_some().then_some(&self.counts)
    }

    pub(super) fn ejecting(&self) -> MutexGuard<'_, ()> {
        self.ejecting.lock()
    }
}

impl Drop for UpstreamLoad {
    fn drop(&mut self) {
        if let Some(names) = &self.name {
            names.left.fetch_add(1, Relaxed);
        }
    }
}

/// Counts what is held.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicU64);

impl Gauge {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn hold(self: &Arc<Self>, cap: Option<u64>) -> Option<Held> {
        let held = self.0.fetch_update(Relaxed, Relaxed, |held| {
            cap.is_none_or(|cap| held < cap).then(|| held.saturating_add(1))
        });
        held.ok().map(|_| Held(Arc::clone(self)))
    }
}

/// A place that is given back when this is dropped.
#[derive(Debug)]
pub struct Held(Arc<Gauge>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
