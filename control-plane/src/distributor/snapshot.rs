//! The whole state at one revision, page by page.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use tenantry_distribution::{
    Change, InvalidJson, Overlay, ResourceJson, ResourceName, Sieve, View,
};
use tenantry_model::ResourceKind;
use tenantry_store::{Cursor, ReadError, Revision, Row, Store, StoreId};
use tenantry_tenancy::{layout, projection};

const PAGE_ROWS: usize = 500;

/// Reads all resources of a view at a pinned revision, kind by kind, each after what it refers to.
pub(super) struct Pages<'a> {
    store: &'a dyn Store,
    /// What is still to be read: a prefix, and where in it to go on.
    left: VecDeque<(String, Cursor)>,
    sieve: Sieve,
    /// What is seen on top, until it has been read.
    overlay: Option<Arc<Overlay>>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        store: &'a dyn Store,
        view: &View,
        overlay: Option<Arc<Overlay>>,
        id: StoreId,
        at: Revision,
    ) -> Self {
        let prefixes = ResourceKind::ALL.map(layout::records);
        // Behind the prefix itself come all keys that start with it.
        let start = |prefix: String| {
            let after = Bytes::from(prefix.clone());
            (prefix, Cursor { store: id, at, after })
        };
        let left = prefixes.map(start).into();
        Self { store, left, sieve: Sieve::new(view.clone()), overlay }
    }

    /// The next resources; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Change>>, ReadError> {
        let Some((prefix, cursor)) = self.left.pop_front() else { return Ok(self.on_top()) };
        let page = self.store.scan(prefix.as_bytes(), Some(cursor), PAGE_ROWS).await?;
        if let Some(next) = page.next {
            self.left.push_front((prefix, next));
        }
        let seen = self.sieve.pass(page.rows.iter().filter_map(put).collect());
        Ok(Some(match &self.overlay {
            Some(overlay) => overlay.uncovered(seen),
            None => seen,
        }))
    }

    /// The resources of the overlay come last.
    fn on_top(&mut self) -> Option<Vec<Change>> {
        let overlay = self.overlay.take()?;
        Some(overlay.changes().filter(|change| change.json().is_some()).cloned().collect())
    }
}

/// The resource in a row; none if the row holds none.
///
/// A record that cannot be read is left out, here and in deltas alike, and logged: one bad record must
/// not keep all others from the proxies.
pub(super) fn put(row: &Row) -> Option<Change> {
    let name = name(&row.key)?;
    match resource(&row.value) {
        Ok(json) => Some(Change::new(name, Some(json))),
        Err(error) => {
            tracing::error!(resource = %name, %error, "a stored record cannot be read");
            None
        }
    }
}

/// The resource that a key names; none if it names none.
pub(super) fn name(key: &[u8]) -> Option<ResourceName> {
    let (kind, id) = projection::resource_key(key)?;
    Some(ResourceName { kind: kind.as_str().to_owned(), id: id.to_owned() })
}

fn resource(value: &[u8]) -> Result<ResourceJson, InvalidJson> {
    let json = projection::resource_json(value).map_err(InvalidJson::Syntax)?;
    ResourceJson::from_slice(json.get().as_bytes())
}
