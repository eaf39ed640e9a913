//! The audit log: who did what, when, from where, and what it was before and after.

pub mod chain;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{ResourceKind, TenantId, Timestamp};
use tenantry_store::Revision;
use ulid::Ulid;

use crate::{
    Caller, Error, Listing, PageRequest, Tenancy, Versioned,
    draft::{Entry, unencodable},
    layout,
    tenancy::decoded,
};

/// One thing that was done. It is written in the commit that did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Rises within one process.
    pub id: Ulid,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what, written `kind/id`.
    pub target: String,
    /// The tenant it concerns.
    pub tenant: Option<TenantId>,
    /// The record before, without secrets.
    pub before: Value,
    /// The record after, without secrets.
    pub after: Value,
    /// The request that asked for it.
    pub request_id: String,
    /// Where the request came from.
    pub source_address: Option<String>,
    /// The revision that was gone back to, if this is a part of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<Revision>,
}

/// The rows of one audit entry: itself, and one index row for everything it concerns.
pub(crate) fn rows(
    id: Ulid,
    at: Timestamp,
    caller: &Caller,
    entry: &Entry,
) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let stored = AuditEntry {
        id,
        at,
        actor: caller.principal.to_string(),
        action: entry.action.to_owned(),
        target: entry.target.clone(),
        tenant: entry.tenant,
        before: entry.before.clone(),
        after: entry.after.clone(),
        request_id: caller.request_id.clone(),
        source_address: caller.source_address.map(|address| address.to_string()),
        rollback_to: entry.rollback_to,
    };
    let json = serde_json::to_vec(&stored).map_err(|_| unencodable())?;
    let mut rows =
        vec![(layout::audit(id), json), (layout::history(&entry.target, id), Vec::new())];
    if let Some(tenant) = entry.tenant {
        let owner = layout::record(ResourceKind::Tenant, tenant);
        if owner != entry.target {
            rows.push((layout::history(&owner, id), Vec::new()));
        }
    }
    Ok(rows)
}

/// Which entries are listed; each part that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuditFilter {
    /// What concerns this tenant, and nothing else.
    pub tenant: Option<TenantId>,
    /// What was done to this, written `kind/id`; for a tenant, also to what belongs to it.
    pub target: Option<String>,
    /// What this actor did.
    pub actor: Option<String>,
    /// This was done; with a final `*`, everything that begins so.
    pub action: Option<String>,
    /// By this request.
    pub request_id: Option<String>,
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether an entry in the history of a tenant is about the target, which may be the tenant itself.
    fn is_of(&self, tenant: TenantId, entry: &AuditEntry) -> bool {
        let itself = layout::record(ResourceKind::Tenant, tenant);
        let is_target = |target: &String| *target == itself || *target == entry.target;
        entry.tenant == Some(tenant) && self.target.as_ref().is_none_or(is_target)
    }

    pub(crate) fn passes(&self, entry: &AuditEntry) -> bool {
        let is_action = |wanted: &String| match wanted.strip_suffix('*') {
            Some(start) => entry.action.starts_with(start),
            None => entry.action == *wanted,
        };
        self.tenant.is_none_or(|tenant| self.is_of(tenant, entry))
            && self.actor.as_ref().is_none_or(|actor| *actor == entry.actor)
            && self.action.as_ref().is_none_or(is_action)
            && self.request_id.as_ref().is_none_or(|id| *id == entry.request_id)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

impl Tenancy {
    /// What was done, newest first.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        request: &PageRequest,
    ) -> Result<Listing<AuditEntry>, Error> {
        let filters = match filter {
            AuditFilter {
                tenant: _,
                target: _,
                actor: None,
                action: None,
                request_id: None,
                since: None,
                until: None,
            } => String::new(),
            _ => serde_json::to_string(filter).unwrap_or_default(),
        };
        let passing =
            |entry: Versioned<AuditEntry>| Some(entry).filter(|entry| filter.passes(&entry.value));
        // Whatever concerns a tenant is in its history.
        let history = match filter.tenant {
            Some(tenant) => Some(layout::record(ResourceKind::Tenant, tenant)),
            None => filter.target.clone(),
        };
        match &history {
            None => {
                self.list(layout::AUDIT, &filters, request, |row| decoded(row).map(passing)).await
            }
            Some(target) => {
                let index = layout::histories(target);
                let named: Listing<AuditEntry> =
                    self.list_indexed(&index, layout::AUDIT, request).await?;
                let items = named.items.into_iter().filter_map(passing).collect();
                Ok(Listing { items, ..named })
            }
        }
    }
}
