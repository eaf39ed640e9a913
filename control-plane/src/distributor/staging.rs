//! What is released to some proxies first: which they are, and what they see in place of what all others see.
//!
//! Each view in use has a second track then, with the same history up to where it began. Whoever is chosen follows that
//! one from there on, and is led back by its last delta, on the stream that it has or on the next one: it never needs the
//! whole state for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tenantry_distribution::{
    Change as Resource, Delta, EncodeError, NodeName, Overlay, Position, Publication, Residents,
    ResourceJson, ResourceName, Since, View, Window, tenant_of,
};
use tenantry_model::{RegionId, ResourceKind, ResourceRef, Revision, TenantId};
use tenantry_store::{Change, ReadError, Store};
use tenantry_tenancy::{
    Error, StoreFault,
    layout::{self, ROLLOUT_ACTIVE},
    rollout::{self, Staged},
};
use tokio::time::Instant;

use super::{
    Distributor,
    follower::{Lost, flush},
    past::form,
    regions::Regions,
    views::StagedView,
};

/// What is kept of it for as long as streams need it.
#[derive(Debug)]
pub(super) struct Staging {
    nodes: BTreeSet<NodeName>,
    /// The commit with which it began.
    began: Revision,
    ended_at: Option<Instant>,
    pub(super) overlays: BTreeMap<View, Arc<Overlay>>,
}

impl Staging {
    pub(super) fn new(nodes: BTreeSet<NodeName>, began: Revision) -> Self {
        Self { nodes, began, ended_at: None, overlays: BTreeMap::new() }
    }

    /// Whether a proxy is among those it is released to.
    pub(super) fn is_for(&self, node: &NodeName) -> bool {
        self.ended_at.is_none() && self.nodes.contains(node)
    }

    /// Whether a proxy that stands here was among them and is still to be led back. States from before it began are in
    /// the window as well, and are everybody's.
    pub(super) fn is_left_from(&self, stands: Option<Position>, window: &Window) -> bool {
        let was_staged = |stands: &Position| {
            stands.revision >= self.began
                && *stands != window.head()
                && matches!(window.since(*stands), Since::Deltas(..))
        };
        self.ended_at.is_some() && stands.as_ref().is_some_and(was_staged)
    }

    pub(super) fn end(&mut self, now: Instant) {
        self.ended_at.get_or_insert(now);
    }

    pub(super) fn ended_before(&self, now: Instant, kept: Duration) -> bool {
        self.ended_at.is_some_and(|ended| now.duration_since(ended) >= kept)
    }

    pub(super) fn overlay(&self, view: &View) -> Option<Arc<Overlay>> {
        self.overlays.get(view).cloned()
    }
}

/// What leads to a state that all see alike: those who saw something on top, and all others.
pub(super) struct Back {
    pub(super) staged: Option<Delta>,
    pub(super) below: Option<Delta>,
}

/// Whether something begins or ends to be released to some proxies first.
pub(super) fn is_turned(changes: &[Change]) -> bool {
    changes.iter().any(|change| {
        let key = match change {
            Change::Put(row) => &row.key,
            Change::Delete(key) => key,
        };
        key.as_ref() == ROLLOUT_ACTIVE.as_bytes()
    })
}

/// What is released to some proxies first at a revision.
pub(super) async fn staged(
    store: &dyn Store,
    at: Revision,
) -> Result<Option<(Staged, Vec<Resource>)>, Lost> {
    let staged = match rollout::staged(store, Some(at)).await {
        Ok(staged) => staged,
        // A record that cannot be read must not keep everything else from the proxies.
        Err(error @ Error::Store(StoreFault::Damaged { .. })) => {
            tracing::error!(%error, "what is released to some proxies first cannot be read");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let Some(staged) = staged else { return Ok(None) };
    let mut changes = Vec::with_capacity(staged.changes.len());
    for (reference, json) in &staged.changes {
        // What somebody has changed since is as it is for all.
        let key = format!("{}/{}", reference.kind, reference.id);
        let (_, row) = store.get(key.as_bytes(), Some(at)).await?;
        if row.is_some_and(|row| row.mod_rev > staged.revision) {
            continue;
        }
        let Some(change) = change(reference, json.as_deref()) else { continue };
        // What belonged to a tenant that is no more is of no region, and nobody's.
        if let Some(owner) = tenant_of(&change)
            && !exists(store, owner, at).await?
        {
            continue;
        }
        changes.push(change);
    }
    Ok(Some((staged, changes)))
}

async fn exists(store: &dyn Store, tenant: TenantId, at: Revision) -> Result<bool, ReadError> {
    let key = layout::record(ResourceKind::Tenant, tenant);
    Ok(store.get(key.as_bytes(), Some(at)).await?.1.is_some())
}

/// A resource as it is to be seen, unless that cannot be read.
fn change(reference: &ResourceRef, json: Option<&str>) -> Option<Resource> {
    let kind = reference.kind.as_str().to_owned();
    let name = ResourceName { kind, id: reference.id.clone() };
    let json = json.map(|json| ResourceJson::from_slice(json.as_bytes()));
    match json.transpose() {
        Ok(json) => Some(Resource::new(name, json)),
        Err(error) => {
            tracing::error!(resource = %name, %error, "what is to be released cannot be read");
            None
        }
    }
}

/// Begins or ends it in every view, as the store says at the commit that was taken in last.
pub(super) async fn turn(
    store: &dyn Store,
    distributor: &Distributor,
    all: &mut Publication,
    regions: &mut Regions<'_>,
    start: Instant,
) -> Result<(), Lost> {
    // The tracks part, and come together, at a state that both have.
    flush(distributor, &None, all, start)?;
    for (region, publication) in &mut regions.views {
        flush(distributor, &Some(region.clone()), publication, start)?;
    }
    let at = all.seen();
    if all.overlay().is_some() {
        leave(store, distributor, all, regions).await?;
    }
    if let Some((staged, changes)) = staged(store, at).await? {
        let mut views = vec![(None, seen(all, changes.clone(), distributor)?)];
        for (region, publication) in &mut regions.views {
            let changes = regions.residents.seen_from(region, &changes);
            views.push((Some(region.clone()), seen(publication, changes, distributor)?));
        }
        regions.staged = Some(changes);
        tracing::info!(rollout = %staged.id, nodes = staged.nodes.len(), "a change is released to some proxies first");
        distributor.stage(Staging::new(staged.nodes, staged.revision), views);
    }
    Ok(())
}

/// The state that was read whole, with what was being released to some proxies at that time.
pub(super) async fn resumed(
    store: &dyn Store,
    distributor: &Distributor,
    all: &mut Publication,
    regions: &mut Regions<'_>,
) -> Result<Option<(Staging, StagedView)>, Lost> {
    let Some((staged, changes)) = staged(store, all.seen()).await? else { return Ok(None) };
    regions.staged = Some(changes.clone());
    tracing::info!(rollout = %staged.id, nodes = staged.nodes.len(), "a change goes on being released to some proxies first");
    Ok(Some((Staging::new(staged.nodes, staged.revision), seen(all, changes, distributor)?)))
}

/// How changes are seen on top of a view from now on.
pub(super) fn seen(
    publication: &mut Publication,
    changes: Vec<Resource>,
    distributor: &Distributor,
) -> Result<StagedView, EncodeError> {
    publication.mark(distributor.removal());
    let delta = publication.stage(Overlay::new(changes))?;
    let (head, resources) = publication.staged_head().unwrap_or((publication.head(), 0));
    let overlay = Arc::new(publication.overlay().cloned().unwrap_or_default());
    Ok(StagedView { overlay, head, resources, delta })
}

async fn leave(
    store: &dyn Store,
    distributor: &Distributor,
    all: &mut Publication,
    regions: &mut Regions<'_>,
) -> Result<(), Lost> {
    regions.staged = None;
    let mut steps = vec![(None, left(store, all, None).await?)];
    for (region, publication) in &mut regions.views {
        let seen_from = Some((&regions.residents, region));
        steps.push((Some(region.clone()), left(store, publication, seen_from).await?));
    }
    tracing::info!("nothing is released to some proxies first any more");
    distributor.unstage(steps);
    Ok(())
}

async fn left(
    store: &dyn Store,
    publication: &mut Publication,
    seen_from: Option<(&Residents, &RegionId)>,
) -> Result<Back, Lost> {
    let mut below = Vec::new();
    let names = publication.overlay().map(|overlay| overlay.names().cloned().collect::<Vec<_>>());
    for name in names.into_iter().flatten() {
        let covered = Resource::new(name, None);
        below.push(form(store, &covered, publication.seen()).await?);
    }
    let below = match seen_from {
        Some((residents, region)) => residents.seen_from(region, &below),
        None => below,
    };
    let staged = publication.unstage(below)?;
    Ok(Back { staged, below: publication.advance()? })
}
