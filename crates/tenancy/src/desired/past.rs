//! What there are documents of, as it was at some revision, as far as it may differ from another one.
//!
//! What may differ is what the store's log names between the two, and what is seen through that: routes and
//! issuers are shown with the slug of their tenant, and not at all while it is deleted. So the work grows
//! with what was changed, and not with the platform.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tenantry_model::{
    DomainPattern, Issuer, IssuerId, ResourceKind, Route, RouteId, Slug, TenantId, TenantState,
};
use tenantry_store::{Cursor, Revision};

use super::{
    Difference,
    declared::{Declared, DeclaredRoute, DeclaredTenant, KINDS, Name},
    export::{Current, tenant},
    issuers::DeclaredIssuer,
};
use crate::{
    Document, DomainRecord, Error, IssuerRecord, Record, Tenancy, TenantRecord, layout,
    tenancy::damaged,
};

/// Rows that are read at once.
const ROWS: usize = 1000;

/// What is looked at.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Features, plans, groups and upstreams.
    documents: BTreeSet<Name>,
    tenants: BTreeSet<TenantId>,
    routes: BTreeSet<RouteId>,
    issuers: BTreeSet<IssuerId>,
}

/// What is in a scope, as it was at a revision.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) documents: BTreeMap<Name, Declared>,
    pub(super) tenants: BTreeMap<TenantId, Known>,
    pub(super) routes: BTreeMap<RouteId, Route>,
    pub(super) issuers: BTreeMap<IssuerId, Issuer>,
    /// Of each tenant that was there and not deleted, and that something in the scope belongs to.
    slugs: BTreeMap<TenantId, Slug>,
}

/// A tenant and its domains.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) record: TenantRecord,
    pub(super) hosts: BTreeSet<DomainPattern>,
}

impl Known {
    pub(super) fn is_deleted(&self) -> bool {
        self.record.resource.state == TenantState::Deleting
    }

    /// As a document has it.
    pub(super) fn declared(&self) -> DeclaredTenant {
        tenant(&self.record, self.hosts.iter().cloned().collect())
    }
}

impl State {
    /// Whether a document can be of what belongs to this owner.
    pub(super) fn shows(&self, owner: Option<TenantId>) -> bool {
        owner.is_none_or(|owner| self.slugs.contains_key(&owner))
    }

    /// The slug of an owner.
    pub(super) fn slug(&self, owner: Option<TenantId>) -> Option<&Slug> {
        owner.and_then(|owner| self.slugs.get(&owner))
    }

    /// As documents.
    pub(super) fn current(&self) -> Current {
        let mut all: Vec<_> = self.documents.values().cloned().collect();
        let tenants = self.tenants.values().filter(|known| !known.is_deleted());
        all.extend(tenants.map(|known| Declared::Tenant(Box::new(known.declared()))));
        for route in self.routes.values().filter(|route| self.shows(route.tenant)) {
            let tenant = self.slug(route.tenant).cloned();
            let route = DeclaredRoute { tenant, route: route.clone() };
            all.push(Declared::Route(Box::new(route)));
        }
        for issuer in self.issuers.values().filter(|issuer| self.shows(issuer.tenant())) {
            let tenant = self.slug(issuer.tenant()).cloned();
            all.push(Declared::Issuer(Box::new(DeclaredIssuer::of(tenant, issuer.clone()))));
        }
        Current::of(all)
    }
}

/// How one differs from the other, in the order in which it would be changed.
pub(super) fn differences(before: Current, after: Current) -> Result<Vec<Difference>, Error> {
    let mut before = before.all;
    let (mut changes, mut removed) = (Vec::new(), Vec::new());
    for (name, declared) in after.all {
        let old = before.remove(&name).map(|old| old.written()).transpose()?;
        let new = declared.written()?;
        if old.as_ref() != Some(&new) {
            let (kind, name) = name;
            changes.push(Difference { kind, name, before: old, after: Some(new) });
        }
    }
    for ((kind, name), declared) in before {
        let before = Some(declared.written()?);
        removed.push(Difference { kind, name, before, after: None });
    }
    changes.extend(removed.into_iter().rev());
    Ok(changes)
}

impl Tenancy {
    /// How what there are documents of differs between two revisions, in either order.
    ///
    /// # Errors
    /// [`Error::NotFound`] if one was not reached yet; [`Error::RevisionForgotten`].
    pub async fn diff_revisions(&self, from: u64, to: u64) -> Result<Vec<Difference>, Error> {
        let (from, to) = (self.kept(from).await?, self.kept(to).await?);
        let (before, after) = self.both(from, to).await?;
        differences(before.current(), after.current())
    }

    /// A revision that can be read.
    pub(super) async fn kept(&self, number: u64) -> Result<Revision, Error> {
        let (revision, status) = (Revision::new(number), self.store.status().await);
        if revision > status.head {
            return Err(Error::not_found("revision", number));
        }
        if revision < status.oldest {
            let oldest = status.oldest.as_u64();
            return Err(Error::RevisionForgotten { revision: number, oldest });
        }
        Ok(revision)
    }

    /// Whatever may differ between two revisions, as it was at each.
    pub(super) async fn both(
        &self,
        one: Revision,
        other: Revision,
    ) -> Result<(State, State), Error> {
        let read = async {
            let mut scope = self.touched(one.min(other), one.max(other)).await?;
            let tenants = (self.state(&scope, one).await?, self.state(&scope, other).await?);
            self.widen(&mut scope, &tenants.0, &tenants.1, [one, other]).await?;
            Ok((self.state(&scope, one).await?, self.state(&scope, other).await?))
        };
        match read.await {
            // Rows of the past are read beside those of now, so what is missing has just been forgotten.
            Err(Error::InvalidCursor(_)) => Err(self.no_longer_kept(one.min(other)).await),
            read => read,
        }
    }

    /// What the log names behind one revision up to another.
    async fn touched(&self, from: Revision, upto: Revision) -> Result<Scope, Error> {
        let mut scope = Scope::default();
        for kind in KINDS.into_iter().chain([ResourceKind::Domain]) {
            let (prefix, mut ids) = (layout::records(kind), BTreeSet::new());
            self.logged(&prefix, from.next(), upto, |_, changes| {
                for change in changes {
                    let id = change.key().strip_prefix(prefix.as_bytes());
                    let id = id.and_then(|id| std::str::from_utf8(id).ok());
                    ids.insert(id.ok_or_else(|| damaged(change.key()))?.to_owned());
                }
                Ok(())
            })
            .await?;
            for id in ids {
                match kind {
                    ResourceKind::Tenant => _ = scope.tenants.insert(parsed(&id)?),
                    ResourceKind::Route => _ = scope.routes.insert(parsed(&id)?),
                    ResourceKind::Issuer => _ = scope.issuers.insert(parsed(&id)?),
                    ResourceKind::Domain => {
                        for at in [from, upto] {
                            let domain: Option<DomainRecord> = self.at(kind, &id, at).await?;
                            scope.tenants.extend(domain.map(|domain| domain.resource.tenant));
                        }
                    }
                    _ => _ = scope.documents.insert((kind, id)),
                }
            }
        }
        Ok(scope)
    }

    /// Adds what was not written itself and is seen in another way.
    async fn widen(
        &self,
        scope: &mut Scope,
        one: &State,
        other: &State,
        revisions: [Revision; 2],
    ) -> Result<(), Error> {
        let owners = |state: &State| -> BTreeSet<Option<TenantId>> {
            state.issuers.values().map(Issuer::tenant).collect()
        };
        // Issuers of one owner are told apart by their names, or not at all.
        let mut issuers: BTreeSet<_> = owners(one).union(&owners(other)).copied().collect();
        let is_other = |tenant: &&TenantId| one.slugs.get(tenant) != other.slugs.get(tenant);
        let renamed: Vec<_> = scope.tenants.iter().filter(is_other).copied().collect();
        issuers.extend(renamed.iter().copied().map(Some));
        for at in revisions {
            for tenant in &renamed {
                let routes = layout::owned(Some(*tenant), ResourceKind::Route);
                scope.routes.extend(self.owned_at::<RouteId>(&routes, at).await?);
            }
            for owner in &issuers {
                let owned = layout::owned(*owner, ResourceKind::Issuer);
                scope.issuers.extend(self.owned_at::<IssuerId>(&owned, at).await?);
            }
        }
        Ok(())
    }

    /// Everything in a scope, as it was at a revision.
    async fn state(&self, scope: &Scope, at: Revision) -> Result<State, Error> {
        let mut state = State::default();
        for (kind, id) in &scope.documents {
            if let Some(document) = self.document_then(*kind, id, at).await? {
                state.documents.insert((*kind, id.clone()), document);
            }
        }
        for id in &scope.tenants {
            if let Some(record) = self.at::<TenantRecord>(ResourceKind::Tenant, id, at).await? {
                let hosts = layout::owned(Some(*id), ResourceKind::Domain);
                let hosts = self.owned_at(&hosts, at).await?;
                state.tenants.insert(*id, Known { record, hosts });
            }
        }
        for id in &scope.routes {
            let found: Option<Record<Route>> = self.at(ResourceKind::Route, id, at).await?;
            state.routes.extend(found.map(|found| (id.clone(), found.resource)));
        }
        for id in &scope.issuers {
            let found: Option<IssuerRecord> = self.at(ResourceKind::Issuer, id, at).await?;
            state.issuers.extend(found.map(|found| (*id, found.resource)));
        }
        let routes = state.routes.values().filter_map(|route| route.tenant);
        let issuers = state.issuers.values().filter_map(Issuer::tenant);
        let owners: BTreeSet<_> = routes.chain(issuers).chain(scope.tenants.clone()).collect();
        for owner in owners {
            let found: Option<TenantRecord> = self.at(ResourceKind::Tenant, owner, at).await?;
            let there = found.filter(|found| found.resource.state != TenantState::Deleting);
            state.slugs.extend(there.map(|there| (owner, there.resource.slug)));
        }
        Ok(state)
    }

    async fn document_then(
        &self,
        kind: ResourceKind,
        id: &str,
        at: Revision,
    ) -> Result<Option<Declared>, Error> {
        Ok(match kind {
            ResourceKind::Feature => self.resource_at(id, at).await?.map(Declared::Feature),
            ResourceKind::Plan => self.resource_at(id, at).await?.map(Declared::Plan),
            ResourceKind::Group => self.resource_at(id, at).await?.map(Declared::Group),
            ResourceKind::Upstream => {
                self.resource_at(id, at).await?.map(Box::new).map(Declared::Upstream)
            }
            _ => None,
        })
    }

    async fn resource_at<D: Document>(&self, id: &str, at: Revision) -> Result<Option<D>, Error> {
        let found: Option<Record<D>> = self.at(D::KIND, id, at).await?;
        Ok(found.map(|found| found.resource))
    }

    async fn at<T: DeserializeOwned>(
        &self,
        kind: ResourceKind,
        id: impl std::fmt::Display,
        at: Revision,
    ) -> Result<Option<T>, Error> {
        let found = self.find::<T>(&layout::record(kind, id), Some(at)).await?;
        Ok(found.map(|found| found.value))
    }

    /// What the rows under an index prefix named by the last part of their keys.
    async fn owned_at<T>(&self, prefix: &str, at: Revision) -> Result<BTreeSet<T>, Error>
    where
        T: std::str::FromStr + Ord,
    {
        let store = self.store.status().await.id;
        let after = Bytes::copy_from_slice(prefix.as_bytes());
        let mut cursor = Some(Cursor { store, at, after });
        let mut names = BTreeSet::new();
        while cursor.is_some() {
            let page = self.store.scan(prefix.as_bytes(), cursor, ROWS).await?;
            for row in &page.rows {
                let name = row.key.strip_prefix(prefix.as_bytes());
                let name = name.and_then(|name| std::str::from_utf8(name).ok()?.parse().ok());
                names.insert(name.ok_or_else(|| damaged(&row.key))?);
            }
            cursor = page.next;
        }
        Ok(names)
    }
}

/// An identifier that is part of a key.
fn parsed<T: std::str::FromStr>(id: &str) -> Result<T, Error> {
    id.parse().map_err(|_| damaged(id.as_bytes()))
}
