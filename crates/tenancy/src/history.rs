//! What was changed, revision by revision.
//!
//! Two things know of the past. The store's log says which rows each commit wrote, and rows can be read as
//! they were; the audit entry in the same commit says who did it and why. Both are read here, and nothing is
//! written for it. The log and the former rows are kept for a while only, the audit log for ever: what is
//! older than the log can be asked of [`Tenancy::audit`] alone.
//!
//! A revision without an audit entry is one of the platform's own bookkeeping (links of the audit chain,
//! letters that were sent, what is remembered of idempotency keys) and is not shown.

mod differences;
mod log;

use serde_json::Value;
use tenantry_model::{TenantId, Timestamp};
use tenantry_store::{Change, Cursor, ReadError, Revision, Row};

use crate::{
    AuditEntry, AuditFilter, Error, Listing, PageRequest, Tenancy, Versioned, layout,
    listing::{bound, unbound},
    projection::resource_key,
    tenancy::decoded,
};

pub use differences::{FieldChange, RecordChange};

/// Revisions that are read at once.
const WINDOW: u64 = 500;
/// The most revisions that one request looks at.
const MAX_REVISIONS: u64 = 5000;
/// What lists of revisions are called in their cursors.
const LIST: &str = "revision/";
/// Records beside those of resources that are shown.
const RECORDS: [&str; 7] =
    ["operator/", "user/", "token/", "member/", "role/", "invitation/", "node/"];

/// Who made a revision, when, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSummary {
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub actor: String,
    /// The request that asked for it.
    pub request_id: String,
    /// Where the request came from.
    pub source_address: Option<String>,
    /// The revision that was gone back to, if that is what was asked for.
    pub rollback_to: Option<u64>,
    /// What was done.
    pub entries: Vec<RevisionEntry>,
}

/// One of the things that were done in a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionEntry {
    /// What was done.
    pub action: String,
    /// To what, written `kind/id`.
    pub target: String,
    /// The tenant it concerns.
    pub tenant: Option<TenantId>,
}

/// A revision with all that it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionDetail {
    /// Who made it, when, and what it was.
    pub summary: RevisionSummary,
    /// Each record that it made, changed or removed.
    pub changes: Vec<RecordChange>,
}

impl RevisionSummary {
    /// Of the entries of one commit; none, if there are none.
    fn of(mut entries: Vec<AuditEntry>) -> Option<Self> {
        entries.sort_by_key(|entry| entry.id);
        let last = entries.last()?;
        Some(Self {
            at: last.at,
            actor: last.actor.clone(),
            request_id: last.request_id.clone(),
            source_address: last.source_address.clone(),
            rollback_to: last.rollback_to.map(Revision::as_u64),
            entries: entries.into_iter().map(RevisionEntry::from).collect(),
        })
    }
}

impl From<AuditEntry> for RevisionEntry {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { action, target, tenant, .. } = entry;
        Self { action, target, tenant }
    }
}

impl AuditFilter {
    /// Whether an entry is among those that are asked for, without the help of an index.
    fn selects(&self, entry: &AuditEntry) -> bool {
        let is_of = |tenant: TenantId, target: &String| {
            *target == layout::record(tenantry_model::ResourceKind::Tenant, tenant)
        };
        let is_target = |target: &String| {
            *target == entry.target || entry.tenant.is_some_and(|tenant| is_of(tenant, target))
        };
        self.target.as_ref().is_none_or(is_target) && self.passes(entry)
    }
}

impl Tenancy {
    /// The revisions of which one entry at least passes the filter, newest first, as far as they are kept.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], or what reading can end in.
    pub async fn revisions(
        &self,
        filter: &AuditFilter,
        request: &PageRequest,
    ) -> Result<Listing<RevisionSummary>, Error> {
        let filters = serde_json::to_string(filter).unwrap_or_default();
        let status = self.store.status().await;
        let (at, mut upto) = match request.cursor() {
            None => (status.head, status.head),
            Some(text) => {
                let foreign =
                    || Error::InvalidCursor("the cursor is of another list; start without it");
                let cursor: Cursor =
                    unbound(LIST, &filters, text)?.parse().map_err(|_| foreign())?;
                if cursor.store != status.id {
                    return Err(ReadError::StoreChanged.into());
                }
                (status.head, cursor.at)
            }
        };
        let cursor = |at| {
            let cursor = Cursor { store: status.id, at, after: bytes::Bytes::new() };
            Some(bound(LIST, &filters, &cursor.to_string()))
        };
        let (mut items, mut looked_at) = (Vec::new(), 0);
        loop {
            // The oldest one cannot be compared with the one before it.
            let oldest = self.store.status().await.oldest.next();
            if upto < oldest {
                return Ok(Listing { items, at, next_cursor: None });
            }
            let from = Revision::new((upto.as_u64() + 1).saturating_sub(WINDOW)).max(oldest);
            let window = match self.summaries(filter, from, upto).await {
                // It was forgotten just now.
                Err(Error::RevisionForgotten { .. }) => continue,
                window => window?,
            };
            for item in window.into_iter().rev() {
                if items.len() == request.limit() {
                    return Ok(Listing { items, at, next_cursor: cursor(item.revision) });
                }
                items.push(item);
            }
            looked_at += WINDOW;
            upto = from.previous();
            if looked_at >= MAX_REVISIONS && upto >= oldest {
                return Ok(Listing { items, at, next_cursor: cursor(upto) });
            }
        }
    }

    /// Those of some revisions that pass, oldest first.
    async fn summaries(
        &self,
        filter: &AuditFilter,
        from: Revision,
        upto: Revision,
    ) -> Result<Vec<Versioned<RevisionSummary>>, Error> {
        let mut found = Vec::new();
        self.logged(layout::AUDIT, from, upto, |revision, changes| {
            let entries = entries(&changes)?;
            if entries.iter().any(|entry| filter.selects(entry)) {
                let summary = RevisionSummary::of(entries);
                found.extend(summary.map(|value| Versioned { value, revision }));
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// One revision, with all that it changed. Secrets are masked.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there was no such one, or nothing that anybody did;
    /// [`Error::RevisionForgotten`].
    pub async fn revision(&self, number: u64) -> Result<RevisionDetail, Error> {
        let revision = Revision::new(number);
        let status = self.store.status().await;
        if revision > status.head {
            return Err(Error::not_found("revision", number));
        }
        if revision <= status.oldest {
            let oldest = status.oldest.next().as_u64();
            return Err(Error::RevisionForgotten { revision: number, oldest });
        }
        let mut changed = Vec::new();
        self.logged("", revision, revision, |_, changes| {
            changed = changes;
            Ok(())
        })
        .await?;
        let summary = RevisionSummary::of(entries(&changed)?);
        let summary = summary.ok_or_else(|| Error::not_found("change in revision", number))?;
        let mut changes = Vec::new();
        for change in changed.iter().filter(|change| is_shown(change.key())) {
            let before = self.store.get(change.key(), Some(revision.previous())).await;
            let (_, before) = before.map_err(|error| forgotten(error, number))?;
            let after = match change {
                Change::Put(row) => Some(row),
                Change::Delete(_) => None,
            };
            changes.extend(differences::of_record(change.key(), before.as_ref(), after)?);
        }
        Ok(RevisionDetail { summary, changes })
    }
}

/// A read of the past that came too late.
fn forgotten(error: ReadError, revision: u64) -> Error {
    match error {
        ReadError::Compacted { oldest } => {
            Error::RevisionForgotten { revision, oldest: oldest.next().as_u64() }
        }
        other => other.into(),
    }
}

fn entries(changes: &[Change]) -> Result<Vec<AuditEntry>, Error> {
    let rows = changes.iter().filter_map(|change| match change {
        Change::Put(row) if row.key.starts_with(layout::AUDIT.as_bytes()) => Some(row),
        _ => None,
    });
    rows.map(|row| decoded(row).map(|found| found.value)).collect()
}

/// Records are shown; rows that only find them, or keep the house, are not.
fn is_shown(key: &[u8]) -> bool {
    resource_key(key).is_some() || RECORDS.iter().any(|kind| key.starts_with(kind.as_bytes()))
}

/// The record in a row as it is.
fn value(row: &Row) -> Result<Value, Error> {
    decoded(row).map(|found| found.value)
}
