//! Which proxies there are, and what each says it enforces.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tenantry_distribution::{NodeName, Position, Question, StatusReport, View};
use tenantry_model::{Revision, Timestamp};
use tokio::sync::{mpsc, watch};

/// The most proxies that are remembered. Past it the one that was silent longest is forgotten.
const MAX_NODES: usize = 10_000;
/// Questions on their way to one stream.
const INBOX: usize = 4;

/// What is known of all proxies. Nothing of it is stored: after a restart they say it again.
pub struct Nodes {
    all: Mutex<BTreeMap<NodeName, Node>>,
    /// Wakes whoever waits for what they say, or for their coming and going.
    changed: watch::Sender<()>,
}

/// What is known of one proxy.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// What it is to see: it was enrolled for that.
    pub view: View,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
    /// What it said last.
    pub report: Option<StatusReport>,
    /// Where what is asked goes. Open while a stream is: one per stream, and a proxy that reconnects has two
    /// for a moment.
    streams: Vec<mpsc::Sender<Question>>,
}

impl Node {
    /// Whether it follows the stream now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.streams.iter().any(|stream| !stream.is_closed())
    }

    /// Puts a question to the proxy; whether that was possible.
    #[must_use]
    pub fn ask(&self, question: &Question) -> bool {
        // The newest stream is the one that the proxy reads.
        let mut streams = self.streams.iter().rev();
        streams.any(|stream| stream.try_send(question.clone()).is_ok())
    }

    /// Up to where it enforces all changes of the platform, also those that concern no proxy; none if it
    /// follows another history than what stands for its view, or has not said.
    #[must_use]
    pub fn enforced_through(&self, standing: Option<(Position, Revision)>) -> Option<Revision> {
        let (report, (head, seen)) = self.report.as_ref().zip(standing)?;
        let through = if report.revision < head.revision { report.revision } else { seen };
        (report.epoch == head.epoch).then_some(through)
    }
}

/// An open stream; dropping it says that it is open no longer.
pub(super) struct Connected {
    /// What the proxy is asked.
    pub(super) inbox: mpsc::Receiver<Question>,
    changed: watch::Sender<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.inbox.close();
        self.changed.send_replace(());
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self::new()
    }
}

impl Nodes {
    /// No proxies yet.
    #[must_use]
    pub fn new() -> Self {
        Self { all: Mutex::new(BTreeMap::new()), changed: watch::Sender::new(()) }
    }

    /// All proxies, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Node> {
        self.all.lock().values().cloned().collect()
    }

    /// One of them.
    #[must_use]
    pub fn named(&self, name: &NodeName) -> Option<Node> {
        self.all.lock().get(name).cloned()
    }

    /// Looks at each of those that follow the stream now.
    pub fn each_connected(&self, look: impl FnMut(&Node)) {
        self.all.lock().values().filter(|node| node.is_connected()).for_each(look);
    }

    /// Is told whenever one of them says something, comes or goes.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How many follow the stream now.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.all.lock().values().filter(|node| node.is_connected()).count()
    }

    /// Takes in what a proxy says.
    pub fn report(&self, report: StatusReport, view: &View, now: Timestamp) {
        self.change(report.node.clone(), view, now, |node| node.report = Some(report));
    }

    pub(super) fn connect(&self, name: NodeName, view: &View, now: Timestamp) -> Connected {
        let (stream, inbox) = mpsc::channel(INBOX);
        self.change(name, view, now, |node| {
            node.streams.retain(|stream| !stream.is_closed());
            node.streams.push(stream);
        });
        Connected { inbox, changed: self.changed.clone() }
    }

    fn change(&self, name: NodeName, view: &View, now: Timestamp, change: impl FnOnce(&mut Node)) {
        let mut nodes = self.all.lock();
        if !nodes.contains_key(&name) && nodes.len() >= MAX_NODES {
            let silent = nodes.values().filter(|node| !node.is_connected());
            let silent = silent.min_by_key(|node| node.last_seen_at).map(|node| node.name.clone());
            if let Some(silent) = silent {
                nodes.remove(&silent);
            }
        }
        let node = nodes.entry(name.clone()).or_insert_with(|| Node {
            name,
            view: view.clone(),
            last_seen_at: now,
            report: None,
            streams: Vec::new(),
        });
        node.last_seen_at = now;
        node.view.clone_from(view);
        change(node);
        drop(nodes);
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use tenantry_distribution::{Epoch, StateHash};

    use super::*;

    #[test]
    fn whoever_waits_is_told_what_proxies_say_and_when_they_come_and_go() {
        let (nodes, now) = (Nodes::new(), Timestamp::from_unix_ms(1));
        let name: NodeName = "edge-1".parse().unwrap();
        let mut changes = nodes.changes();
        let mut is_told = || {
            let is_told = changes.has_changed().unwrap();
            changes.mark_unchanged();
            is_told
        };
        assert!(!is_told());
        let connected = nodes.connect(name.clone(), &None, now);
        assert!(is_told() && nodes.connected() == 1);
        let report = StatusReport {
            node: name,
            version: "0.1.0".to_owned(),
            region: None,
            epoch: Epoch::from_u128(1),
            revision: Revision::new(1),
            hash: StateHash::from_u128(0),
            applied_at: now,
            tenants: 0,
            refused: Vec::new(),
            refused_total: 0,
            keys_used: Vec::new(),
            traffic: None,
        };
        nodes.report(report, &None, now);
        assert!(is_told());
        drop(connected);
        assert!(is_told() && nodes.connected() == 0);
    }
}
