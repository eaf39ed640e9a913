//! Tenants as lists show them, kept as JSON.
//!
//! A page is a hundred of them, and to read, parse and write each again takes a hundred times as long as to
//! copy it. What is kept of a tenant is good as long as the tenant has the revision it was made at; memory
//! is bounded, and what is asked for least is forgotten first.

use std::{fmt, sync::Arc};

use quick_cache::{Weighter, sync::Cache};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tenantry_model::{Revision, TenantId};

/// What an entry takes beside its text.
const OVERHEAD_BYTES: u64 = 128;
const USUAL_BYTES: u64 = 1024;

type Entry = (Revision, Arc<RawValue>);

#[derive(Clone)]
struct Bytes;

impl Weighter<TenantId, Entry> for Bytes {
    fn weight(&self, _: &TenantId, (_, shown): &Entry) -> u64 {
        OVERHEAD_BYTES + shown.get().len() as u64
    }
}

/// The JSON of tenants.
pub struct ShownTenants(Cache<TenantId, Entry, Bytes>);

impl fmt::Debug for ShownTenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShownTenants").field(&self.0.len()).finish()
    }
}

impl ShownTenants {
    /// With room for so many bytes.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        let usual = usize::try_from(capacity_bytes / USUAL_BYTES).unwrap_or(usize::MAX).max(1);
        Self(Cache::with_weighter(usual, capacity_bytes, Bytes))
    }

    /// What is kept of a tenant at this revision.
    #[must_use]
    pub fn get(&self, id: TenantId, revision: Revision) -> Option<Arc<RawValue>> {
        let (at, shown) = self.0.get(&id)?;
        (at == revision).then_some(shown)
    }

    /// Keeps a tenant, and gives it back as JSON.
    ///
    /// # Errors
    /// If it has no form in JSON.
    pub fn keep(
        &self,
        id: TenantId,
        revision: Revision,
        tenant: &impl Serialize,
    ) -> serde_json::Result<Arc<RawValue>> {
        let shown: Arc<RawValue> = to_raw_value(tenant)?.into();
        self.0.insert(id, (revision, Arc::clone(&shown)));
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_revision_is_the_same_tenant() {
        let (shown, id) = (ShownTenants::new(1 << 20), TenantId::from_parts(1, 1));
        shown.keep(id, Revision::new(7), &"seven").unwrap();
        assert_eq!(shown.get(id, Revision::new(7)).unwrap().get(), "\"seven\"");
        for other in [6, 8] {
            assert!(shown.get(id, Revision::new(other)).is_none());
        }
        assert!(shown.get(TenantId::from_parts(1, 2), Revision::new(7)).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let shown = ShownTenants::new(64 << 10);
        for number in 0..10_000 {
            shown
                .keep(TenantId::from_parts(1, number), Revision::new(1), &"x".repeat(872))
                .unwrap();
        }
        assert!(shown.0.len() <= 64, "{shown:?}");
    }
}
