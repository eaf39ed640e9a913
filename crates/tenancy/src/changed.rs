//! What one request has changed, as the store's change log tells; and when a tenant was changed last.

use std::{borrow::Cow, collections::BTreeSet};

use futures::StreamExt as _;
use serde::Deserialize;
use tenantry_model::ResourceKind;
use tenantry_store::{Change, Revision, WatchItem};

use crate::{
    AuditFilter, Error, PageRequest, Tenancy, TenantRecord, Versioned, layout, projection,
};

/// The most resources that are named. What has changed more has changed too much to name.
const MAX_RESOURCES: usize = 10_000;

/// How many entries are looked through for the last change of a tenant; others are attempts that were refused.
const LOOKED_THROUGH: usize = 50;

/// What one request has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The last revision that it made.
    pub revision: Revision,
    /// Which resources of proxies; none, if these are very many.
    pub resources: BTreeSet<(ResourceKind, String)>,
}

impl Tenancy {
    /// What a request has changed between two revisions. None if it has changed nothing there, or if these revisions
    /// are not kept any more.
    ///
    /// Which commits are its own is told by the audit entries in them.
    pub async fn changed_by(
        &self,
        request_id: &str,
        after: Revision,
        upto: Revision,
    ) -> Option<Changed> {
        let (mut found, mut is_too_much): (Option<Changed>, _) = (None, false);
        if upto <= after {
            return None;
        }
        let mut commits = self.store.watch(b"", after.next());
        while let Some(item) = commits.next().await {
            let (reached, changes) = match item.ok()? {
                WatchItem::Commit { rev, changes } => (rev, changes),
                WatchItem::Progress { rev } => (rev, Vec::new()),
            };
            if reached > upto {
                break;
            }
            if changes.iter().any(|change| is_entry_of(change, request_id)) {
                let resources = BTreeSet::new();
                let found = found.get_or_insert(Changed { revision: reached, resources });
                found.revision = reached;
                if !is_too_much {
                    found.resources.extend(changes.iter().filter_map(resource));
                }
                is_too_much |= found.resources.len() > MAX_RESOURCES;
            }
            if reached == upto {
                break;
            }
        }
        if let Some(found) = found.as_mut().filter(|_| is_too_much) {
            found.resources.clear();
        }
        found
    }

    /// When a tenant, or anything that belongs to it, was changed last.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn last_change(&self, tenant: &Versioned<TenantRecord>) -> Result<Revision, Error> {
        let of = Some(tenant.value.resource.id);
        let filter = AuditFilter { tenant: of, ..AuditFilter::default() };
        let page = PageRequest::new(Some(LOOKED_THROUGH), None)?;
        let entries = self.audit(&filter, &page).await?.items;
        let changes = entries.iter().filter(|entry| entry.value.action != DENIED);
        let last = changes.map(|entry| entry.revision).max();
        Ok(last.map_or(tenant.revision, |last| last.max(tenant.revision)))
    }

    /// Whether a resource is a tenant, belongs to it, or is what it is built on.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn is_of(&self, tenant: &TenantRecord, kind: &str, id: &str) -> Result<bool, Error> {
        let tenant = &tenant.resource;
        let Some(kind) = ResourceKind::ALL.into_iter().find(|known| known.as_str() == kind) else {
            return Ok(false);
        };
        match kind {
            ResourceKind::Tenant => Ok(tenant.id.to_string() == id),
            ResourceKind::Plan => Ok(tenant.plan.as_str() == id),
            ResourceKind::Group => {
                Ok(tenant.group.as_ref().is_some_and(|group| group.as_str() == id))
            }
            kind => {
                let key = format!("{}{id}", layout::owned(Some(tenant.id), kind));
                Ok(self.store.get(key.as_bytes(), None).await?.1.is_some())
            }
        }
    }
}

/// What the entry about an attempt that was refused calls it.
const DENIED: &str = "access.denied";

fn resource(change: &Change) -> Option<(ResourceKind, String)> {
    let (kind, id) = projection::resource_key(change.key())?;
    Some((kind, id.to_owned()))
}

fn is_entry_of(change: &Change, request_id: &str) -> bool {
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        request_id: Cow<'a, str>,
    }
    let Change::Put(row) = change else { return false };
    row.key.starts_with(layout::AUDIT.as_bytes())
        && serde_json::from_slice::<Entry<'_>>(&row.value)
            .is_ok_and(|entry| entry.request_id == request_id)
}
