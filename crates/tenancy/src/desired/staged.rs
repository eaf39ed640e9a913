//! What documents would make of the resources that proxies enforce, byte for byte as proxies would be sent it.
//!
//! It is shown to some proxies before it is made so for all ([`rollout`](crate::rollout)). So nothing may be among it
//! that would be another thing by then: what the platform gives an identifier of its own cannot be made in advance.

use serde_json::{Value, value::RawValue};
use tenantry_model::{ResourceKind, ResourceRef};
use tenantry_store::Revision;

use super::{Difference, fault, told};
use crate::{Caller, Error, Tenancy, layout, projection, tenancy::damaged};

/// A resource that documents would change.
pub(crate) struct StagedChange {
    pub(crate) resource: ResourceRef,
    /// The revision that wrote it as it is; zero, if it is not there.
    pub(crate) base: Revision,
    /// As it would be; nothing, if it would be gone.
    pub(crate) json: Option<Box<RawValue>>,
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
    ) -> Result<Vec<StagedChange>, Error> {
        let mut wanted = self.wanted(documents, None).await?;
        let places = wanted.documents.iter().map(|(index, _)| *index);
        let faults = places.zip(&wanted.changes).filter_map(|(index, change)| {
            let name = (change.kind, change.name.clone());
            Some(fault(index, Some(&name), unforeseeable(change)?))
        });
        let faults: Vec<_> = faults.collect::<Result<_, _>>()?;
        let trial = self.tried(caller, &mut wanted).await?;
        told(faults)?;
        let mut changes = Vec::new();
        for (resource, record) in trial.records() {
            let key = layout::record(resource.kind, &resource.id);
            let (_, row) = self.store.get(key.as_bytes(), None).await?;
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
                let base = row.as_ref().map_or(Revision::ZERO, |row| row.mod_rev);
                changes.push(StagedChange { resource, base, json });
            }
        }
        Ok(changes)
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
