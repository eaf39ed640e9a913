//! How much a tenant's own people can make.
//!
//! Operators are not bounded: they answer for the platform, and a document that they apply is not to stop
//! half-way. A tenant's access token is, so that a leaked or a looping one cannot fill the store. What is
//! counted are the rows that say what belongs to the tenant; changes that run side by side may go over the
//! bound by as many as there are of them.

use std::{collections::BTreeSet, num::NonZeroU32};

use tenantry_model::TenantId;
use tenantry_store::{Batch, Op};

use crate::{Caller, Error, Tenancy, layout};

/// What is counted, by the kind in its row, and as it is called when there is no room.
const COUNTED: [(&str, &str); 5] = [
    ("domain", "domains"),
    ("key", "API keys"),
    ("issuer", "issuers"),
    ("certificate", "certificates"),
    ("role", "roles"),
];

impl Tenancy {
    /// Whether there is room for what a tenant's token is about to add.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`].
    pub(crate) async fn bounded(&self, caller: &Caller, batch: &Batch) -> Result<(), Error> {
        let Some(tenant) = caller.principal.confinement() else { return Ok(()) };
        let added: BTreeSet<_> = batch.ops.iter().filter_map(|op| added(tenant, op)).collect();
        for (prefix, meter) in added {
            self.room(&prefix, meter, self.terms.owned_by_tenant).await?;
        }
        Ok(())
    }

    async fn room(&self, prefix: &str, meter: &str, max: NonZeroU32) -> Result<(), Error> {
        let limit = usize::try_from(max.get()).unwrap_or(usize::MAX);
        let current = self.store.scan(prefix.as_bytes(), None, limit).await?.rows.len();
        if current < limit {
            return Ok(());
        }
        let (meter, max) = (meter.to_owned(), u64::from(max.get()));
        Err(Error::QuotaExceeded { meter, max, current: max })
    }
}

/// Among which rows one is added, and what they are called.
fn added(tenant: TenantId, op: &Op) -> Option<(String, &'static str)> {
    let Op::Put { key, .. } = op else { return None };
    let key = std::str::from_utf8(key).ok()?;
    let pending = layout::invitations_pending(tenant);
    if key.starts_with(&pending) {
        return Some((pending, "pending invitations"));
    }
    let owned = layout::all_owned(tenant);
    let (kind, _) = key.strip_prefix(&owned)?.split_once('/')?;
    let (_, meter) = COUNTED.iter().find(|(counted, _)| *counted == kind)?;
    Some((format!("{owned}{kind}/"), meter))
}
