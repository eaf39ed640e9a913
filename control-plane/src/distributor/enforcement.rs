//! Who enforces a change, and waiting until all do.
//!
//! A proxy enforces a change once it has reported a state that holds it. If it refuses a resource of the change, that
//! is its answer, and nobody waits for another one. Whoever waits is woken by what proxies say, by their coming
//! and going, and by what the distributor learns of the store, and looks again; nothing is asked for on a timer.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tenantry_api::{Enforcement, RefusingProxy};
use tenantry_distribution::{ResourceName, StatusReport};
use tenantry_model::Revision;
use tokio::sync::Semaphore;

use super::nodes::Node;
use crate::app::App;

/// How many wait at once. Each report is looked at once for each of them.
const MAX_WAITS: usize = 256;

/// Room for those that wait.
pub struct Waits(Semaphore);

impl Default for Waits {
    fn default() -> Self {
        Self(Semaphore::new(MAX_WAITS))
    }
}

/// A change that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// A revision that holds it.
    pub revision: Revision,
    /// What it has changed, as far as proxies are concerned.
    pub resources: BTreeSet<ResourceName>,
}

/// What a proxy has made of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is in force there.
    Enforced,
    /// It is not there yet, or not known to be.
    Behind,
    /// It refuses this part of it.
    Refused(ResourceName),
}

impl State {
    /// Of a change at a proxy that enforces all changes up to a revision.
    pub(crate) fn of(
        through: Option<Revision>,
        report: Option<&StatusReport>,
        awaited: &Awaited,
    ) -> Self {
        let Some((through, report)) = through.zip(report) else { return Self::Behind };
        if through < awaited.revision {
            return Self::Behind;
        }
        let mut refused = report.refused.iter().map(|refusal| &refusal.resource);
        if let Some(refused) = refused.find(|resource| awaited.resources.contains(resource)) {
            return Self::Refused(refused.clone());
        }
        // Where the list was cut, it is not known what else is refused.
        let named = u64::try_from(report.refused.len()).unwrap_or(u64::MAX);
        let is_whole = named >= report.refused_total || awaited.resources.is_empty();
        if is_whole { Self::Enforced } else { Self::Behind }
    }
}

/// Who enforces a change now.
fn counted(app: &App, awaited: &Awaited) -> Enforcement {
    let revision = awaited.revision.as_u64();
    let mut count = Enforcement { revision, ..Enforcement::default() };
    app.nodes.each_connected(|node: &Node| {
        let through =
            node.enforced_through(app.distributor.standing(&app.distributor.track_of(node)));
        let name = || node.name.to_string();
        match State::of(through, node.report.as_ref(), awaited) {
            State::Enforced => count.enforced += 1,
            State::Behind => {
                count.behind += 1;
                if count.behind_at.len() < Enforcement::MAX_NAMES {
                    count.behind_at.push(name());
                }
            }
            State::Refused(resource) => {
                count.refused += 1;
                if count.refused_at.len() < Enforcement::MAX_NAMES {
                    let refusing = RefusingProxy { node: name(), resource: resource.to_string() };
                    count.refused_at.push(refusing);
                }
            }
        }
    });
    count
}

/// Waits until every proxy that is connected enforces a change or refuses it, at most so long, and says who does.
/// If too many wait already, it is said at once.
pub async fn wait(app: &Arc<App>, awaited: &Awaited, limit: Duration) -> Enforcement {
    let waiting = async {
        let (mut said, mut moved) = (app.nodes.changes(), app.distributor.moved.subscribe());
        let mut stopping = app.stopping.clone();
        while counted(app, awaited).behind > 0 {
            // Both senders live as long as the app.
            tokio::select! {
                _ = said.changed() => {}
                _ = moved.changed() => {}
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        }
    };
    if let Ok(_place) = app.waits.0.try_acquire() {
        // What there is to say at the end is said whether or not it ended in time.
        let _ = tokio::time::timeout(limit, waiting).await;
    }
    counted(app, awaited)
}

#[cfg(test)]
mod tests {
    use tenantry_distribution::{Epoch, Refusal, StateHash};
    use tenantry_model::Timestamp;

    use super::*;

    fn name(id: &str) -> ResourceName {
        ResourceName { kind: "tenant".to_owned(), id: id.to_owned() }
    }

    fn report(refused: &[&str], refused_total: u64) -> StatusReport {
        StatusReport {
            node: "edge-1".parse().unwrap(),
            version: "0.1.0".to_owned(),
            region: None,
            epoch: Epoch::from_u128(1),
            revision: Revision::new(5),
            hash: StateHash::from_u128(0),
            applied_at: Timestamp::from_unix_ms(0),
            tenants: 2,
            refused: refused.iter().map(|id| Refusal::new(name(id), "no")).collect(),
            refused_total,
            keys_used: Vec::new(),
            traffic: None,
        }
    }

    #[test]
    fn a_proxy_enforces_what_it_has_reached_and_does_not_refuse() {
        let check = |through: Option<u64>, refused: &[&str], total, changed: &[&str], expected| {
            let resources = changed.iter().map(|id| name(id)).collect();
            let awaited = Awaited { revision: Revision::new(7), resources };
            let report = report(refused, total);
            let state = State::of(through.map(Revision::new), Some(&report), &awaited);
            assert_eq!(state, expected, "{through:?} {refused:?} of {total}, {changed:?}");
        };
        check(None, &[], 0, &["a"], State::Behind);
        check(Some(6), &[], 0, &["a"], State::Behind);
        check(Some(7), &[], 0, &["a"], State::Enforced);
        check(Some(9), &["b"], 1, &["a"], State::Enforced);
        check(Some(7), &["b", "a"], 2, &["a"], State::Refused(name("a")));
        // It is not there yet: what it refuses is the form before.
        check(Some(6), &["a"], 1, &["a"], State::Behind);
        // The list was cut.
        check(Some(7), &["b"], 2, &["a"], State::Behind);
        check(Some(7), &["b"], 2, &[], State::Enforced);
    }
}
