//! The audit log: who did what, when, from where, and what it was before and after.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{ResourceKind, TenantId, Timestamp};
use ulid::Ulid;

use crate::{
    Caller, Error, Listing, PageRequest, Tenancy,
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

impl Tenancy {
    /// What was done, newest first: all of it, or what concerns one resource, written `kind/id`.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn audit(
        &self,
        target: Option<&str>,
        request: &PageRequest,
    ) -> Result<Listing<AuditEntry>, Error> {
        let Some(target) = target else {
            return self.list(layout::AUDIT, "", request, |row| decoded(row).map(Some)).await;
        };
        self.list_indexed(&layout::histories(target), layout::AUDIT, request).await
    }
}
