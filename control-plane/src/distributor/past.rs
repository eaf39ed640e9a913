//! What a stretch of the log means to the view of a region: the log says what has changed, and not who could see it
//! before. That is read from the rows as they were.

use std::collections::BTreeSet;

use tenantry_distribution::{Change as Resource, Crossing, Moved, Residents, tenant_of};
use tenantry_model::{RegionId, ResourceKind, TenantId};
use tenantry_store::{ReadError, Revision, Store};
use tenantry_tenancy::layout;

use super::{belongings::belongings, snapshot};

/// The difference between what the view held at the first revision and what it holds at the last, out of the last
/// form of all that has changed between them.
pub(super) async fn seen_from(
    store: &dyn Store,
    region: &RegionId,
    now: Vec<Resource>,
    (first, last): (Revision, Revision),
) -> Result<Vec<Resource>, ReadError> {
    let mut then = Vec::with_capacity(now.len());
    for change in &now {
        then.push(form(store, change, first).await?);
    }
    let tenants: BTreeSet<TenantId> = now.iter().chain(&then).filter_map(tenant_of).collect();
    let (mut lived, mut lives) = (Residents::default(), Residents::default());
    let mut moved = Vec::new();
    for tenant in tenants {
        let was = tenant_at(store, tenant, first).await?;
        let is = tenant_at(store, tenant, last).await?;
        lived.take(&was);
        lives.take(&is);
        // Of one that came or went, all that is its came or went too: the log names it.
        if was.json().is_some() && is.json().is_some() {
            let place = |residents: &Residents| residents.region_of(tenant).cloned();
            moved.push(Moved { tenant, from: place(&lived), to: place(&lives) });
        }
    }
    let mut seen = Vec::new();
    let id = store.status().await.id;
    for moved in moved {
        let Some(crossing) = moved.crosses(region) else { continue };
        let at = match crossing {
            Crossing::Enters => last,
            Crossing::Leaves => first,
        };
        seen.extend(belongings(store, id, (moved.tenant, crossing), at).await?);
    }
    let was_seen = lived.seen_from(region, &then);
    let is_seen = lives.seen_from(region, &now);
    let pairs = was_seen.into_iter().zip(is_seen);
    let was_or_is = pairs.filter(|(was, is)| was.json().is_some() || is.json().is_some());
    // After the moves: what a tenant has left behind may be another's by now.
    seen.extend(was_or_is.map(|(_, is)| is));
    Ok(seen)
}

/// A resource as it was.
pub(super) async fn form(
    store: &dyn Store,
    change: &Resource,
    at: Revision,
) -> Result<Resource, ReadError> {
    let (name, _) = change.clone().into_parts();
    let key = format!("{}/{}", name.kind, name.id);
    let (_, row) = store.get(key.as_bytes(), Some(at)).await?;
    Ok(row.as_ref().and_then(snapshot::put).unwrap_or_else(|| Resource::new(name, None)))
}

async fn tenant_at(
    store: &dyn Store,
    tenant: TenantId,
    at: Revision,
) -> Result<Resource, ReadError> {
    let key = layout::record(ResourceKind::Tenant, tenant);
    let (_, row) = store.get(key.as_bytes(), Some(at)).await?;
    let gone = || {
        let reference =
            tenantry_model::ResourceRef { kind: ResourceKind::Tenant, id: tenant.to_string() };
        Resource::Delete(reference)
    };
    Ok(row.as_ref().and_then(snapshot::put).unwrap_or_else(gone))
}
