//! Many updates as one.

use std::collections::BTreeMap;

use crate::{Change, ResourceJson, ResourceName, Update, UpdateKind};

/// What later updates say about a resource: its JSON, or that it is gone.
type Latest = BTreeMap<String, BTreeMap<String, Option<ResourceJson>>>;

/// A full state and the updates after it as one full state with the same position.
///
/// Resources of the base keep their place, new ones follow in order of kind and identifier, and no
/// resource is named twice, so a reader of the result never sees one that was later changed or
/// removed. A full state among `later` replaces what was before it.
#[must_use]
pub fn fold(base: Update, later: impl IntoIterator<Item = Update>) -> Update {
    let mut folded = base;
    let mut latest = Latest::new();
    for update in later {
        folded.to = update.to;
        folded.hash = update.hash;
        folded.epoch = update.epoch;
        match update.kind {
            UpdateKind::Full => {
                latest.clear();
                folded.changes = update.changes;
            }
            UpdateKind::Delta => {
                for change in update.changes {
                    latest
                        .entry(change.kind().to_owned())
                        .or_default()
                        .insert(change.id().to_owned(), change.json().cloned());
                }
            }
        }
    }
    if !latest.is_empty() {
        folded.changes = merged(folded.changes, latest);
    }
    folded
}

fn merged(base: Vec<Change>, mut latest: Latest) -> Vec<Change> {
    let mut changes: Vec<Change> = base
        .into_iter()
        .filter_map(|change| {
            let later = latest.get_mut(change.kind()).and_then(|ids| ids.get_mut(change.id()));
            match later {
                None => Some(change),
                Some(json) => json.take().map(|json| {
                    let (kind, id) = (change.kind().to_owned(), change.id().to_owned());
                    Change::new(ResourceName { kind, id }, Some(json))
                }),
            }
        })
        .collect();
    for (kind, ids) in latest {
        for (id, json) in ids {
            // What is left without JSON was placed above, or is gone.
            if let Some(json) = json {
                changes.push(Change::new(ResourceName { kind: kind.clone(), id }, Some(json)));
            }
        }
    }
    changes
}
