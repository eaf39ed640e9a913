//! How much a tenant's own people can make.
//!
//! Operators are not bounded: they answer for the platform, and a document that they apply is not to stop
//! half-way. A tenant's access token is, so that a leaked or a looping one cannot fill the store. What is
//! counted are the rows that say what belongs to the tenant; changes that run side by side may go over the
//! bound by as many as there are of them.

use tenantry_model::{ResourceKind, TenantId};
use tenantry_store::{Batch, Op};

use crate::{Caller, Error, Tenancy, layout};

/// What is counted, by the kind in its row, and as it is called when there is no room.
const COUNTED: [(&str, &str); 5] = [
    (ResourceKind::Domain.as_str(), "domains"),
    (ResourceKind::ApiKey.as_str(), "API keys"),
    (ResourceKind::Issuer.as_str(), "issuers"),
    ("role", "roles"),
    ("count", "meters"),
];

impl Tenancy {
    /// Whether there is room for what a tenant's token is about to add.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`].
    pub(crate) async fn bounded(&self, caller: &Caller, batch: &Batch) -> Result<(), Error> {
        let Some(tenant) = caller.principal.confinement() else { return Ok(()) };
        for op in &batch.ops {
            if let Some((prefix, meter)) = added(tenant, op) {
                self.room(op.key(), &prefix, meter).await?;
            }
        }
        Ok(())
    }

    async fn room(&self, key: &[u8], prefix: &str, meter: &str) -> Result<(), Error> {
        let max = self.terms.owned_by_tenant.get();
        let limit = usize::try_from(max).unwrap_or(usize::MAX);
        let current = self.store.scan(prefix.as_bytes(), None, limit).await?.rows.len();
        // What is there already takes no more room.
        if current < limit || self.store.get(key, None).await?.1.is_some() {
            return Ok(());
        }
        let (meter, max) = (meter.to_owned(), u64::from(max));
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
