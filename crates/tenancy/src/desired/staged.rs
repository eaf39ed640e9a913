//! What documents would make of the resources that proxies enforce, byte for byte as proxies would be sent it.
//!
//! It is shown to some proxies before it is made so for all ([`rollout`](crate::rollout)). So nothing may be among it
//! that would be another thing by then: what the platform gives an identifier of its own cannot be made in advance.

use serde_json::{Value, value::RawValue};
use tenantry_model::{ResourceKind, ResourceRef};
use tenantry_store::Revision;

use super::{Difference, apply::MAX_ATTEMPTS, fault, overlay::StagedRecord, told};
use crate::{Caller, Error, Tenancy, layout, projection, tenancy::damaged};

/// A resource that documents would change.
pub(crate) struct StagedChange {
    pub(crate) resource: ResourceRef,
    /// The revision that wrote it as it is; zero, if it is not there.
    pub(crate) base: Revision,
    /// As it would be; nothing, if it would be gone.
    pub(crate) json: Option<Box<RawValue>>,
}

/// What documents would change.
pub(crate) struct StagedChanges {
    pub(crate) changes: Vec<StagedChange>,
    /// The documents that do, as places among those given.
    pub(crate) documents: Vec<usize>,
}

impl Tenancy {
    /// The resources that would not be what they are if these documents were applied.
    ///
    /// # Errors
    /// [`Error::Faults`], [`Error::Invalid`] if that cannot be said in advance.
    pub(crate) async fn staged_changes(
        &self,
        caller: &Caller,
        documents: &[Value],
    ) -> Result<StagedChanges, Error> {
        for _ in 0..MAX_ATTEMPTS {
            match self.try_staged_changes(caller, documents).await {
                Err(Error::ConcurrentChange) => {}
                outcome => return outcome,
            }
        }
        Err(Error::ConcurrentChange)
    }

    async fn try_staged_changes(
        &self,
        caller: &Caller,
        documents: &[Value],
    ) -> Result<StagedChanges, Error> {
        let mut wanted = self.wanted(documents, None).await?;
        let places: Vec<_> = wanted.documents.iter().map(|(index, _)| *index).collect();
        let faults = places.iter().copied().zip(&wanted.changes).filter_map(|(index, change)| {
            let name = (change.kind, change.name.clone());
            Some(fault(index, Some(&name), unforeseeable(change)?))
        });
        let faults: Vec<_> = faults.collect::<Result<_, _>>()?;
        let trial = self.tried(caller, &mut wanted).await?;
        told(faults)?;
        let mut changes = Vec::new();
        for StagedRecord { resource, found, record } in trial.records() {
            let key = layout::record(resource.kind, &resource.id);
            let (_, row) = self.store.get(key.as_bytes(), None).await?;
            let base = row.as_ref().map_or(Revision::ZERO, |row| row.mod_rev);
            // What others have changed since would look like a change that the documents make.
            if found.is_some_and(|found| found != base) {
                return Err(Error::ConcurrentChange);
            }
            let json = |value: &[u8]| {
                projection::resource_json(value)
                    .map(ToOwned::to_owned)
                    .map_err(|_| damaged(key.as_bytes()))
            };
            let json = record.as_deref().map(json).transpose()?;
            let before = row
                .as_ref()
                .map(|row| projection::resource_json(&row.value).map_err(|_| damaged(&row.key)));
            let before = before.transpose()?.map(RawValue::get);
            if before != json.as_deref().map(RawValue::get) {
                changes.push(StagedChange { resource, base, json });
            }
        }
        Ok(StagedChanges { changes, documents: places })
    }
}

/// Why a change cannot be shown to some proxies before it is made.
fn unforeseeable(change: &Difference) -> Option<Error> {
    match (change.kind, &change.before, &change.after) {
        (ResourceKind::Tenant | ResourceKind::Issuer, None, _) => {
            let detail = "it is not there yet, and is given its identifier when it is made; apply it first, \
                          and roll out what follows";
            Some(Error::invalid("", detail))
        }
        (ResourceKind::Tenant, Some(before), Some(after))
            if before.fields.get("region") != after.fields.get("region") =>
        {
            let detail = "the region of a tenant decides which proxies have it at all, and cannot be \
                          rolled out; apply it";
            Some(Error::invalid("/region", detail))
        }
        _ => None,
    }
}
