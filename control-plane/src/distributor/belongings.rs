//! What belongs to a tenant at a revision: when it comes into the view of a region, or leaves it.

use bytes::Bytes;
use tenantry_distribution::{Change as Resource, Crossing};
use tenantry_model::TenantId;
use tenantry_store::{Cursor, ReadError, Revision, Store, StoreId};
use tenantry_tenancy::layout;

use super::snapshot;

const PAGE_ROWS: usize = 500;

/// The tenant and everything of it that concerns proxies: to be put, or to be removed.
pub(super) async fn belongings(
    store: &dyn Store,
    id: StoreId,
    (tenant, crossing): (TenantId, Crossing),
    at: Revision,
) -> Result<Vec<Resource>, ReadError> {
    let tenant_key = layout::record(tenantry_model::ResourceKind::Tenant, tenant);
    let mut all = Vec::new();
    all.extend(one(store, tenant_key.as_bytes(), crossing, at).await?);
    let owned = layout::all_owned(tenant);
    let mut cursor = Some(Cursor { store: id, at, after: Bytes::from(owned.clone()) });
    while cursor.is_some() {
        let page = store.scan(owned.as_bytes(), cursor.take(), PAGE_ROWS).await?;
        for row in &page.rows {
            // Behind the prefix stands the key of what belongs to it.
            let Some(key) = row.key.strip_prefix(owned.as_bytes()) else { continue };
            all.extend(one(store, key, crossing, at).await?);
        }
        cursor = page.next;
    }
    Ok(all)
}

async fn one(
    store: &dyn Store,
    key: &[u8],
    crossing: Crossing,
    at: Revision,
) -> Result<Option<Resource>, ReadError> {
    let Some(name) = snapshot::name(key) else { return Ok(None) };
    match crossing {
        Crossing::Leaves => Ok(Some(Resource::new(name, None))),
        Crossing::Enters => {
            let (_, row) = store.get(key, Some(at)).await?;
            Ok(row.as_ref().and_then(snapshot::put))
        }
    }
}
