//! Removing a tenant for good.
//!
//! Everything a tenant has can be more than one commit holds, so a purge goes in steps: each removes some
//! of it and writes down in the tenant's record how far it has come. The last step removes the record
//! itself and leaves a deletion certificate. A purge that was begun is due until it is done, so one that
//! was cut off goes on by itself. What the audit log says of the tenant stays.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tenantry_model::{ResourceKind, Route, TenantId, TenantState, Timestamp};
use tenantry_store::{MAX_OPS, Row};

use super::references;
use crate::{
    ApiKeyRecord, Caller, CertificateRecord, DeletionCertificate, Error, Listing, PageRequest,
    Precondition, Record, Tenancy, TenantRecord, TenantRef, Versioned, access, certificate,
    document::index_rows,
    draft::{Draft, Operation, encoded, unencodable},
    due::{Due, DueKind},
    idempotency::Known,
    layout,
    record::Purge,
    tenancy::{damaged, decoded},
};

/// How long whoever began a purge has to finish it, before it is taken for cut off.
const HEAD_START: Duration = Duration::from_secs(5);
/// A step takes nothing more once it has this many operations. A certificate of the most domains has
/// some 45, and a commit takes 100.
const STEP_OPS: usize = 40;

impl Tenancy {
    /// Removes a deleted tenant for good, before its retention has ended. The confirmation is its slug.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not confirmed, [`Error::InvalidState`] unless it is deleted.
    pub async fn purge_tenant(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        confirmation: &str,
        precondition: &Precondition,
    ) -> Result<Versioned<DeletionCertificate>, Error> {
        if let Some(Known::Answered(Versioned { value: Some(value), revision })) =
            self.known(caller).await?
        {
            return Ok(Versioned { value, revision });
        }
        let id = self.tenant(tenant).await?.value.resource.id;
        let confirmed = |record: &TenantRecord| match record.resource.slug.as_str() == confirmation
        {
            true => Ok(()),
            false => Err(Error::invalid("/confirm", "write the tenant's slug here to confirm")),
        };
        let requested_by = &caller.principal.to_string();
        self.run(caller, &Begin { id, requested_by, precondition, confirmed }).await?;
        if caller.is_rehearsal {
            return self.foreseen(id, requested_by).await;
        }
        self.go_on_purging(caller, id).await
    }

    /// The certificate of a tenant's deletion, if it were purged now. Its digest is over what would be
    /// removed, as far as that can be known before.
    async fn foreseen(
        &self,
        id: TenantId,
        requested_by: &str,
    ) -> Result<Versioned<DeletionCertificate>, Error> {
        let now = self.now();
        let mut purge = Purge {
            requested_by: requested_by.to_owned(),
            requested_at: now,
            removed: BTreeMap::new(),
            digest: String::new(),
        };
        let (owned, mut cursor) = (layout::all_owned(id), None);
        loop {
            let page = self.store.scan(owned.as_bytes(), cursor, MAX_OPS).await?;
            for row in &page.rows {
                let item = Item::of(&owned, row)?;
                self.without(Draft::quiet(()), &item, &mut purge).await?;
                *purge.removed.entry(item.kind).or_default() += 1;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let Versioned { value: record, .. } = self.tenant(&TenantRef::Id(id)).await?;
        let record = TenantRecord { purge: None, ..record };
        let value = certified(id, &record, purge, now)?;
        Ok(Versioned { value, revision: self.store.status().await.head })
    }

    /// What is left of a purged tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn deletion_certificate(
        &self,
        tenant: TenantId,
    ) -> Result<Versioned<DeletionCertificate>, Error> {
        let found = self.find(&layout::purged(tenant), None).await?;
        found.ok_or_else(|| Error::not_found("purged tenant", tenant))
    }

    /// What is left of all purged tenants.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn deletion_certificates(
        &self,
        request: &PageRequest,
    ) -> Result<Listing<DeletionCertificate>, Error> {
        self.list(layout::PURGED, "", request, |row| decoded(row).map(Some)).await
    }

    /// The retention of a deleted tenant has ended.
    pub(crate) async fn end_retention(
        &self,
        caller: &Caller,
        id: TenantId,
        due: &Due,
    ) -> Result<(), Error> {
        let found: Option<Versioned<TenantRecord>> =
            self.find(&layout::record(ResourceKind::Tenant, id), None).await?;
        let stands = found.is_some_and(|found| {
            found.value.purge_at == Some(due.at) && found.value.purge.is_none()
        });
        if !stands {
            return self.forget(caller, due).await;
        }
        let (confirmed, precondition) = (|_: &TenantRecord| Ok(()), &Precondition::None);
        self.run(caller, &Begin { id, requested_by: "retention", precondition, confirmed }).await?;
        self.go_on_purging(caller, id).await.map(drop)
    }

    /// Removes what is left of a tenant whose purge was begun.
    pub(crate) async fn go_on_purging(
        &self,
        caller: &Caller,
        id: TenantId,
    ) -> Result<Versioned<DeletionCertificate>, Error> {
        loop {
            let step = match self.run(caller, &Step { id }).await {
                // Somebody else has finished it.
                Err(Error::NotFound { .. }) => return self.deletion_certificate(id).await,
                step => step?,
            };
            if let Versioned { value: Some(certificate), revision } = step {
                return Ok(Versioned { value: certificate, revision });
            }
        }
    }
}

/// A purge that was begun then, and is not finished.
fn unfinished(requested_at: Timestamp, id: TenantId) -> Due {
    Due::new(requested_at.after(HEAD_START), DueKind::Purge, id)
}

/// Says in the record that the tenant is being purged.
struct Begin<'a, F> {
    id: TenantId,
    requested_by: &'a str,
    precondition: &'a Precondition,
    confirmed: F,
}

impl<F> Operation for Begin<'_, F>
where
    F: Fn(&TenantRecord) -> Result<(), Error> + Sync,
{
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let Versioned { value: before, revision } = tenancy.tenant(&TenantRef::Id(self.id)).await?;
        self.precondition.check(revision)?;
        if before.resource.state != TenantState::Deleting {
            let rule = "delete it before you purge it";
            return Err(Error::InvalidState { state: before.resource.state, rule });
        }
        (self.confirmed)(&before)?;
        if before.purge.is_some() {
            // It was begun before; whoever asks again helps to finish it.
            return Ok(Draft::quiet(()).more_follows());
        }
        let now = tenancy.now();
        let purge = Purge {
            requested_by: self.requested_by.to_owned(),
            requested_at: now,
            removed: BTreeMap::new(),
            digest: String::new(),
        };
        let record = TenantRecord { purge: Some(purge), updated_at: now, ..before.clone() };
        let (id, key) = (self.id.to_string(), layout::record(ResourceKind::Tenant, self.id));
        let mut draft =
            Draft::new("tenant.purge.begin", (ResourceKind::Tenant, &id), Some(self.id), ())
                .before(&before)?
                .unchanged(key.clone(), revision)
                .put(key, encoded("tenant", &record)?)
                .due(&unfinished(now, self.id))
                .more_follows();
        if let Some(purge_at) = before.purge_at {
            draft = draft.not_due(&Due::new(purge_at, DueKind::Retention, self.id));
        }
        Ok(draft)
    }
}

/// Removes some of what is left; the certificate comes with the last of it.
struct Step {
    id: TenantId,
}

impl Operation for Step {
    type Output = Option<DeletionCertificate>;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<Self::Output>, Error> {
        let Versioned { value: mut record, revision } =
            tenancy.tenant(&TenantRef::Id(self.id)).await?;
        let state = record.resource.state;
        let rule = "its purge has not begun";
        let mut purge = record.purge.take().ok_or(Error::InvalidState { state, rule })?;
        let owned = layout::all_owned(self.id);
        let page = tenancy.store.scan(owned.as_bytes(), None, MAX_OPS).await?;
        if page.rows.is_empty() {
            return self.last(tenancy, Versioned { value: record, revision }, purge);
        }
        let (id, key) = (self.id.to_string(), layout::record(ResourceKind::Tenant, self.id));
        let target = (ResourceKind::Tenant, id.as_str());
        let mut draft = Draft::new("tenant.purge.step", target, Some(self.id), None);
        let mut removed = Vec::new();
        for row in &page.rows {
            let item = Item::of(&owned, row)?;
            draft = tenancy.without(draft, &item, &mut purge).await?.delete(item.owned.clone());
            removed.push(item.key());
            *purge.removed.entry(item.kind.clone()).or_default() += 1;
            if draft.batch.ops.len() >= STEP_OPS {
                break;
            }
        }
        let record = TenantRecord { purge: Some(purge), ..record };
        Ok(draft
            .saying(json!({ "removed": removed }))
            .more_follows()
            .unchanged(key.clone(), revision)
            .put(key, encoded("tenant", &record)?))
    }
}

impl Step {
    /// Removes the record itself, once nothing else is left.
    fn last(
        &self,
        tenancy: &Tenancy,
        current: Versioned<TenantRecord>,
        purge: Purge,
    ) -> Result<Draft<Option<DeletionCertificate>>, Error> {
        let Versioned { value: record, revision } = current;
        let requested_at = purge.requested_at;
        let certificate = certified(self.id, &record, purge, tenancy.now())?;
        let (id, key) = (self.id.to_string(), layout::record(ResourceKind::Tenant, self.id));
        let said = serde_json::to_value(&certificate).map_err(|_| unencodable())?;
        let stored = encoded("deletion certificate", &certificate)?;
        let target = (ResourceKind::Tenant, id.as_str());
        let draft = Draft::new("tenant.purge", target, Some(self.id), Some(certificate))
            .saying(said)
            .leaving_nothing()
            .unchanged(key.clone(), revision)
            .empty(layout::all_owned(self.id))
            .delete(key)
            .put(layout::purged(self.id), stored)
            .not_due(&unfinished(requested_at, self.id));
        let draft = references(&record.resource).into_iter().fold(draft, Draft::delete);
        Ok(tenancy.freed(draft, &record.resource.slug, self.id))
    }
}

/// Something of the tenant, named by an index row.
struct Item {
    owned: String,
    kind: String,
    id: String,
}

impl Item {
    fn of(prefix: &str, row: &Row) -> Result<Self, Error> {
        let owned = String::from_utf8(row.key.to_vec()).map_err(|_| damaged(&row.key))?;
        let rest = owned.strip_prefix(prefix).and_then(|rest| rest.split_once('/'));
        let (kind, id) = rest.ok_or_else(|| damaged(&row.key))?;
        let (kind, id) = (kind.to_owned(), id.to_owned());
        Ok(Self { owned, kind, id })
    }

    fn key(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}

impl Tenancy {
    /// Adds to a draft that an item goes, with all rows that only it has.
    async fn without<T>(
        &self,
        draft: Draft<T>,
        item: &Item,
        purge: &mut Purge,
    ) -> Result<Draft<T>, Error> {
        let (_, row) = self.store.get(item.key().as_bytes(), None).await?;
        let Some(row) = row else { return Ok(draft) };
        digest(purge, &row.value);
        let draft = draft.unchanged(item.key(), row.mod_rev).delete(item.key());
        let kind = ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == item.kind);
        Ok(match kind {
            Some(ResourceKind::ApiKey) => {
                let record: ApiKeyRecord = decoded(&row)?.value;
                draft
                    .delete(layout::key_digest(&record.resource.digest))
                    .delete(layout::used(record.resource.id))
            }
            Some(ResourceKind::Certificate) => {
                let record: CertificateRecord = decoded(&row)?.value;
                certificate::claimed(draft, Some(&record.resource), None)
            }
            Some(ResourceKind::Route) => {
                let record: Record<Route> = decoded(&row)?.value;
                let owned = |key: &String| *key == item.owned;
                let rows = index_rows(&record.resource).into_iter().filter(|key| !owned(key));
                rows.fold(draft, Draft::delete)
            }
            Some(_) => draft,
            None => access::without(draft, item.kind.as_str(), &row)?,
        })
    }
}

/// What is left of a tenant once its record is gone, too.
fn certified(
    id: TenantId,
    record: &TenantRecord,
    mut purge: Purge,
    now: Timestamp,
) -> Result<DeletionCertificate, Error> {
    digest(&mut purge, &encoded("tenant", record)?);
    Ok(DeletionCertificate {
        tenant: id,
        deleted_at: record.deleted_at.unwrap_or(now),
        requested_by: purge.requested_by,
        requested_at: purge.requested_at,
        purged_at: now,
        removed: purge.removed,
        digest: purge.digest,
    })
}

fn digest(purge: &mut Purge, removed: &[u8]) {
    let mut digest = Sha256::new();
    digest.update(purge.digest.as_bytes());
    digest.update(removed);
    purge.digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
}
