//! Which proxies there are, and what each says it enforces.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tenantry_distribution::{NodeName, StatusReport};
use tenantry_model::Timestamp;

/// The most proxies that are remembered. Past it the one that was silent longest is forgotten.
const MAX_NODES: usize = 10_000;

/// What is known of all proxies. Nothing of it is stored: after a restart they say it again.
pub struct Nodes(Mutex<BTreeMap<NodeName, Node>>);

/// What is known of one proxy.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
    /// What it said last.
    pub report: Option<StatusReport>,
    /// Upgradable while a stream is open: one per stream, and a proxy that reconnects has two for a
    /// moment.
    streams: Vec<Weak<()>>,
}

impl Node {
    /// Whether it follows the stream now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.streams.iter().any(|stream| stream.strong_count() > 0)
    }
}

/// An open stream; dropping it says that it is open no longer.
pub(super) struct Connected(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Default for Nodes {
    fn default() -> Self {
        Self::new()
    }
}

impl Nodes {
    /// No proxies yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// All proxies, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Node> {
        self.0.lock().values().cloned().collect()
    }

    /// How many follow the stream now.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.0.lock().values().filter(|node| node.is_connected()).count()
    }

    /// Takes in what a proxy says.
    pub fn report(&self, report: StatusReport, now: Timestamp) {
        self.change(report.node.clone(), now, |node| node.report = Some(report));
    }

    pub(super) fn connect(&self, name: NodeName, now: Timestamp) -> Connected {
        let stream = Arc::new(());
        self.change(name, now, |node| {
            node.streams.retain(|stream| stream.strong_count() > 0);
            node.streams.push(Arc::downgrade(&stream));
        });
        Connected(stream)
    }

    fn change(&self, name: NodeName, now: Timestamp, change: impl FnOnce(&mut Node)) {
        let mut nodes = self.0.lock();
        if !nodes.contains_key(&name) && nodes.len() >= MAX_NODES {
            let silent = nodes.values().filter(|node| !node.is_connected());
            let silent = silent.min_by_key(|node| node.last_seen_at).map(|node| node.name.clone());
            if let Some(silent) = silent {
                nodes.remove(&silent);
            }
        }
        let node = nodes.entry(name.clone()).or_insert_with(|| Node {
            name,
            last_seen_at: now,
            report: None,
            streams: Vec::new(),
        });
        node.last_seen_at = now;
        change(node);
    }
}
