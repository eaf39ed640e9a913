//! The views of regions: each begins when the first proxy of its region comes, beside what goes on.
//!
//! A view is read at the revision up to which everything else is taken in. What commits meanwhile is kept, and is
//! taken in once the view has been read; from then on it is told every commit as all others are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tenantry_distribution::{
    Change as Resource, Crossing, EncodeError, Publication, Residents, Window, tenant_of,
};
use tenantry_model::{RegionId, TenantId};
use tenantry_store::{ReadError, Revision, Store, StoreId};

use tokio::time::Instant;

use super::{Distributor, belongings::belongings, follower::load, staging};

/// The most resources that are kept for a view that is being read. Past it the view begins later.
const MAX_KEPT: usize = 200_000;

/// All views of regions, and where tenants are.
pub(super) struct Regions<'a> {
    store: &'a dyn Store,
    id: StoreId,
    debounce: Duration,
    pub(super) residents: Residents,
    pub(super) views: BTreeMap<RegionId, Publication>,
    /// What some proxies see on top.
    pub(super) staged: Option<Vec<Resource>>,
    loading: Option<Loading<'a>>,
}

struct Loading<'a> {
    region: RegionId,
    read: BoxFuture<'a, Result<Publication, ReadError>>,
    kept: Vec<(Revision, Vec<Resource>)>,
    resources: usize,
}

impl<'a> Regions<'a> {
    /// None yet.
    pub(super) fn new(
        store: &'a dyn Store,
        id: StoreId,
        debounce: Duration,
        residents: Residents,
    ) -> Self {
        Self { store, id, debounce, residents, views: BTreeMap::new(), staged: None, loading: None }
    }

    /// Begins the view that a proxy waits for, if none is being begun.
    pub(super) fn begin(&mut self, distributor: &Distributor, seen: Revision) {
        if self.loading.is_some() {
            return;
        }
        let Some(region) = distributor.wanted() else { return };
        let (store, debounce) = (self.store, self.debounce);
        let view = Some(region.clone());
        let read = async move {
            let loaded = load(store, &view, Some(seen), debounce).await?;
            Ok(loaded.0)
        };
        self.loading = Some(Loading { region, read: read.boxed(), kept: Vec::new(), resources: 0 });
    }

    /// Completes when a view has been read; never while none is.
    pub(super) async fn loaded(&mut self) -> Result<Publication, ReadError> {
        match &mut self.loading {
            Some(loading) => loading.read.as_mut().await,
            None => std::future::pending().await,
        }
    }

    /// Takes in the view that has been read, and what was committed meanwhile.
    pub(super) fn attach(
        &mut self,
        distributor: &Distributor,
        read: Result<Publication, ReadError>,
        start: Instant,
    ) -> Result<(), EncodeError> {
        let Some(loading) = self.loading.take() else { return Ok(()) };
        let mut publication = match read {
            Ok(publication) => publication,
            Err(error) => {
                // Whoever waits for it asks once more.
                tracing::warn!(region = %loading.region, %error, "the view of a region was not read");
                return Ok(());
            }
        };
        for (revision, changes) in loading.kept {
            publication.take(revision, changes);
        }
        let mut seen = None;
        if let Some(staged) = &self.staged {
            // It lies on all that was taken in. Nobody follows the view yet, so nobody lacks what leads there.
            while publication.publish(start.elapsed())?.is_some() {}
            let staged = self.residents.seen_from(&loading.region, staged);
            seen = Some(staging::seen(&mut publication, staged, distributor)?);
        }
        let window = Window::new(publication.head(), publication.resources());
        distributor.attach(Some(loading.region.clone()), window, seen);
        self.views.insert(loading.region, publication);
        Ok(())
    }

    /// Forgets the views of regions from which no proxy has come for long.
    pub(super) fn keep(&mut self, used: &BTreeSet<RegionId>) {
        self.views.retain(|region, _| used.contains(region));
    }

    /// Takes in a commit.
    pub(super) async fn take(
        &mut self,
        revision: Revision,
        changes: &[Resource],
    ) -> Result<(), ReadError> {
        let moved: Vec<_> =
            changes.iter().filter_map(|change| self.residents.take(change)).collect();
        let regions: Vec<RegionId> = self.views.keys().cloned().collect();
        let loading = self.loading.as_ref().map(|loading| loading.region.clone());
        for region in regions.into_iter().chain(loading) {
            let mut seen = self.residents.seen_from(&region, changes);
            for moved in &moved {
                let Some(crossing) = moved.crosses(&region) else { continue };
                let view = self.views.get(&region);
                // A tenant that was made this moment leaves nothing behind.
                let is_there = view.is_none_or(|view| view.knows(&moved.name()));
                if crossing == Crossing::Leaves {
                    seen.extend(self.staged_of(moved.tenant));
                }
                if crossing == Crossing::Enters || is_there {
                    let crossing = (moved.tenant, crossing);
                    seen.extend(belongings(self.store, self.id, crossing, revision).await?);
                }
            }
            match self.views.get_mut(&region) {
                Some(view) => view.take(revision, seen),
                None => self.keep_for_loading(revision, seen),
            }
        }
        // A view that begins later is not to cover what has changed either.
        if let Some(staged) = &mut self.staged {
            let changed: BTreeSet<_> = changes.iter().map(|it| (it.kind(), it.id())).collect();
            staged.retain(|it| !changed.contains(&(it.kind(), it.id())));
        }
        Ok(())
    }

    /// The removal of what is seen on top of a tenant: no row says that it belongs to it.
    fn staged_of(&self, tenant: TenantId) -> Vec<Resource> {
        let staged = self.staged.iter().flatten();
        let staged = staged.filter(|change| tenant_of(change) == Some(tenant));
        staged.map(|change| Resource::new(change.clone().into_parts().0, None)).collect()
    }

    fn keep_for_loading(&mut self, revision: Revision, seen: Vec<Resource>) {
        let Some(loading) = &mut self.loading else { return };
        loading.resources = loading.resources.saturating_add(seen.len());
        loading.kept.push((revision, seen));
        if loading.resources > MAX_KEPT {
            tracing::warn!(region = %loading.region, "too much changes while the view of a region is read");
            self.loading = None;
        }
    }
}
