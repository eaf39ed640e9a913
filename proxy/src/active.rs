//! The state that requests see: one immutable table, swapped whole.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tenantry_distribution::{Change as WireChange, Position, Refusal, Update, UpdateKind};
use tenantry_engine::{Change, Table};
use tenantry_model::{Resource, ResourceRef};
use tenantry_subscription::Target;

/// A table and where it stands in the control plane's history.
#[derive(Debug)]
pub(crate) struct ActiveState {
    pub(crate) position: Position,
    pub(crate) table: Table,
}

/// Holds the state and takes updates from the subscription.
#[derive(Debug)]
pub(crate) struct Active {
    /// What a table is made from when there is none yet.
    empty: Table,
    current: ArcSwapOption<ActiveState>,
    refused: Mutex<BTreeMap<ResourceRef, String>>,
}

impl Active {
    pub(crate) fn new(empty: Table) -> Self {
        Self { empty, current: ArcSwapOption::empty(), refused: Mutex::default() }
    }

    /// The state now; none before the first snapshot.
    pub(crate) fn load(&self) -> Option<Arc<ActiveState>> {
        self.current.load_full()
    }
}

impl Target for Active {
    fn apply(&self, update: &Update) -> Vec<Refusal> {
        let current = self.current.load();
        let table = current.as_ref().map_or(&self.empty, |state| &state.table);
        let mut refused = self.refused.lock();
        let applied = match update.kind {
            UpdateKind::Full => {
                refused.clear();
                let resources =
                    update.changes.iter().filter_map(|change| match parse(change, &mut refused)? {
                        Change::Put(resource) => Some(resource),
                        Change::Delete(_) => None,
                    });
                table.replace(resources.collect::<Vec<_>>())
            }
            UpdateKind::Delta => {
                let changes: Vec<_> = update
                    .changes
                    .iter()
                    .filter_map(|change| parse(change, &mut refused))
                    .collect();
                table.apply(changes)
            }
        };
        refused
            .extend(applied.refused.into_iter().map(|refusal| (refusal.resource, refusal.reason)));
        self.current.store(Some(Arc::new(ActiveState {
            position: update.position(),
            table: applied.table,
        })));
        refused
            .iter()
            .map(|(resource, reason)| Refusal {
                resource: resource.clone().into(),
                reason: reason.clone(),
            })
            .collect()
    }
}

/// Reads one change. A resource that this build does not understand is refused by itself; what it
/// was before stays in force.
fn parse(change: &WireChange, refused: &mut BTreeMap<ResourceRef, String>) -> Option<Change> {
    let (reference, json) = match change {
        WireChange::Put { reference, json } => (reference, json),
        WireChange::Delete(reference) => {
            refused.remove(reference);
            return Some(Change::Delete(reference.clone()));
        }
        WireChange::Unknown { .. } => return None,
    };
    refused.remove(reference);
    let resource = match Resource::from_json(reference.kind, json.as_bytes()) {
        Ok(resource) if resource.reference() == *reference => Ok(resource),
        Ok(_) => Err("it carries another identifier than it was sent under".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match resource {
        Ok(resource) => Some(Change::Put(resource)),
        Err(reason) => {
            refused.insert(reference.clone(), reason);
            None
        }
    }
}
