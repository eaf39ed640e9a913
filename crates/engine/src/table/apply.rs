//! Making a new table from an old one and a list of changes.
//!
//! Resources may come in any order: what refers to another one finds it when a request is decided,
//! not when it is compiled. So a table that was changed step by step equals one compiled at once.

mod keep;

use std::{collections::BTreeSet, sync::Arc};

use tenantry_credentials::jwt::JwksError;
use tenantry_model::{
    ApiKey, Issuer, IssuerId, KeyId, Resource, ResourceKind, ResourceRef, Route, RouteId, Tenant,
    TenantId, Upstream,
};

use super::Table;
use crate::{
    issuer::CompiledIssuer,
    policy::CompiledPlan,
    tenant::{CompiledKey, CompiledTenant},
    upstream::{CompiledTls, CompiledUpstream},
};

/// One change of the table's resources.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every change is a `Put`, and none is kept: a box would only cost an allocation"
)]
pub enum Change {
    /// Adds a resource or replaces the one with its identity.
    Put(Resource),
    /// Removes a resource; nothing happens if there is none.
    Delete(ResourceRef),
}

/// A resource that was not accepted. Its previous form, if there was one, stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which resource.
    pub resource: ResourceRef,
    /// Why, as a sentence.
    pub reason: String,
}

/// A new table, and what did not make it in.
#[derive(Debug)]
pub struct Applied {
    /// The new table.
    pub table: Table,
    /// The refused resources.
    pub refused: Vec<Refused>,
}

/// Whether a resource compiles, by the code that compiles it.
///
/// # Errors
/// Why not, as a sentence.
pub fn check(resource: &Resource) -> Result<(), String> {
    match resource {
        Resource::Issuer(issuer) => match CompiledIssuer::new(issuer.clone(), None) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        Resource::Upstream(upstream) => match upstream.tls.as_deref().map(CompiledTls::new) {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(fault)) => Err(fault.reason.to_owned()),
        },
        // The other kinds compile whenever they parse.
        Resource::Feature(_)
        | Resource::Plan(_)
        | Resource::Group(_)
        | Resource::Tenant(_)
        | Resource::Route(_)
        | Resource::Domain(_)
        | Resource::ApiKey(_)
        | Resource::Certificate(_) => Ok(()),
    }
}

impl Table {
    /// This table with some changes.
    #[must_use]
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) -> Applied {
        Builder {
            table: self.clone(),
            previous: self,
            kept: &[],
            touched: Touched::default(),
            refused: Vec::new(),
        }
        .build(changes)
    }

    /// A table of these resources alone, which takes over this table's state: limiters, counters and
    /// fetched keys of what is in both.
    #[must_use]
    pub fn replace(&self, resources: impl IntoIterator<Item = Resource>) -> Applied {
        self.replace_keeping(resources, &[])
    }

    /// The same, with what this table has of some more resources, whose new form cannot be used.
    #[must_use]
    pub fn replace_keeping(
        &self,
        resources: impl IntoIterator<Item = Resource>,
        kept: &[ResourceRef],
    ) -> Applied {
        let table = Self::new(Arc::clone(&self.runtime), self.seed);
        let builder = Builder {
            table,
            previous: self,
            kept,
            touched: Touched::default(),
            refused: Vec::new(),
        };
        let applied = builder.build(resources.into_iter().map(Change::Put));
        for (id, issuer) in self.issuers.iter() {
            if !applied.table.issuers.get(id).is_some_and(|kept| Arc::ptr_eq(kept, issuer)) {
                issuer.retire();
            }
        }
        applied
    }
}

/// Which indexes have to be made anew when all changes are in.
#[derive(Debug, Default)]
struct Touched {
    shared_routes: bool,
    route_owners: BTreeSet<TenantId>,
}

struct Builder<'a> {
    table: Table,
    previous: &'a Table,
    kept: &'a [ResourceRef],
    touched: Touched,
    refused: Vec<Refused>,
}

impl Builder<'_> {
    fn build(mut self, changes: impl IntoIterator<Item = Change>) -> Applied {
        for change in changes {
            match change {
                Change::Put(resource) => self.put(resource),
                Change::Delete(resource) => self.delete(&resource),
            }
        }
        for resource in self.kept {
            self.keep(resource);
        }
        self.reindex_routes();
        Applied { table: self.table, refused: self.refused }
    }

    fn put(&mut self, resource: Resource) {
        match resource {
            Resource::Feature(feature) => Arc::make_mut(&mut self.table.features).insert(feature),
            Resource::Plan(plan) => {
                Arc::make_mut(&mut self.table.plans)
                    .insert(plan.id.clone(), Arc::new(CompiledPlan::new(plan)));
            }
            Resource::Group(group) => {
                Arc::make_mut(&mut self.table.groups).insert(group.id.clone(), Arc::new(group));
            }
            Resource::Upstream(upstream) => self.put_upstream(upstream),
            Resource::Tenant(tenant) => self.put_tenant(tenant),
            Resource::Route(route) => self.put_route(*route),
            Resource::Domain(domain) => {
                let hash = self.table.host_hash(&domain.host.to_string());
                self.table.domains.insert(hash, domain.tenant);
            }
            Resource::ApiKey(api_key) => self.put_key(api_key),
            Resource::Issuer(issuer) => self.put_issuer(issuer),
            // Nothing is decided by it: it is for whoever makes the connections.
            Resource::Certificate(_) => {}
        }
    }

    fn delete(&mut self, resource: &ResourceRef) {
        let id = resource.id.as_str();
        match resource.kind {
            ResourceKind::Feature => {
                id.parse()
                    .map(|id| Arc::make_mut(&mut self.table.features).remove(&id))
                    .unwrap_or_default();
            }
            ResourceKind::Plan => {
                Arc::make_mut(&mut self.table.plans).remove(id);
            }
            ResourceKind::Group => {
                Arc::make_mut(&mut self.table.groups).remove(id);
            }
            ResourceKind::Upstream => {
                Arc::make_mut(&mut self.table.upstreams).remove(id);
            }
            ResourceKind::Tenant => self.delete_tenant(id.parse().ok()),
            ResourceKind::Route => {
                if let Ok(id) = id.parse() {
                    self.remove_route(&id);
                }
            }
            ResourceKind::Domain => {
                let hash = self.table.host_hash(id);
                self.table.domains.remove(&hash);
            }
            ResourceKind::ApiKey => self.delete_key(id.parse().ok()),
            ResourceKind::Issuer => self.delete_issuer(id.parse().ok()),
            ResourceKind::Certificate => {}
        }
    }

    /// The same upstream again stays as it is; a changed one takes over what is known of its endpoints.
    /// One that cannot be used leaves the previous one in force.
    fn put_upstream(&mut self, upstream: Upstream) {
        let previous = &self.previous.upstreams;
        let id = upstream.id.clone();
        let known = self.table.upstreams.get(&id).or_else(|| previous.get(&id)).cloned();
        let compiled = match &known {
            Some(known) if *known.spec() == upstream => Ok(Arc::clone(known)),
            known => CompiledUpstream::new(
                upstream,
                known.as_deref(),
                &self.table.runtime.upstream_names,
            )
            .map(Arc::new),
        };
        let compiled = compiled.map_err(|fault| {
            let resource = ResourceRef { kind: ResourceKind::Upstream, id: id.to_string() };
            self.refused.push(Refused { resource, reason: fault.reason.to_owned() });
        });
        if let Some(compiled) = compiled.ok().or(known) {
            Arc::make_mut(&mut self.table.upstreams).insert(id, compiled);
        }
    }

    fn put_tenant(&mut self, mut tenant: Tenant) {
        let known = self
            .table
            .tenants
            .get(&tenant.id)
            .or_else(|| self.previous.tenants.get(&tenant.id))
            .cloned();
        // One text for all tenants of a plan.
        if let Some((plan, _)) = self.table.plans.get_key_value(&tenant.plan) {
            tenant.plan = plan.clone();
        }
        if let Some(group) = &mut tenant.group
            && let Some((known, _)) = self.table.groups.get_key_value(group)
        {
            *group = known.clone();
        }
        if let Some(known) = self.table.tenants.get(&tenant.id).cloned() {
            self.forget_slug(&known);
        }
        self.table.slugs.insert(tenant.slug.clone(), tenant.id);
        let runtime = known.map(|known| Arc::clone(&known.runtime)).unwrap_or_default();
        let routes = self.table.tenant_routes.get(&tenant.id).cloned();
        self.table
            .tenants
            .insert(tenant.id, Arc::new(CompiledTenant::new(tenant, runtime, routes)));
    }

    fn delete_tenant(&mut self, id: Option<TenantId>) {
        if let Some(tenant) = id.and_then(|id| self.table.tenants.remove(&id)) {
            self.forget_slug(&tenant);
        }
    }

    /// Drops a tenant's slug, unless another tenant has taken it meanwhile.
    fn forget_slug(&mut self, tenant: &CompiledTenant) {
        if self.table.slugs.get(&tenant.slug) == Some(&tenant.id) {
            self.table.slugs.remove(&tenant.slug);
        }
    }

    fn put_route(&mut self, route: Route) {
        if self.table.route_owners.get(&route.id).is_some_and(|owner| *owner != route.tenant) {
            self.remove_route(&route.id);
        }
        self.table.route_owners.insert(route.id.clone(), route.tenant);
        match route.tenant {
            None => {
                self.touched.shared_routes = true;
                Arc::make_mut(&mut self.table.shared_routes).insert(route);
            }
            Some(tenant) => {
                self.touched.route_owners.insert(tenant);
                let mut routes = self.table.tenant_routes.get(&tenant).cloned().unwrap_or_default();
                Arc::make_mut(&mut routes).insert(route);
                self.table.tenant_routes.insert(tenant, routes);
            }
        }
    }

    fn remove_route(&mut self, id: &RouteId) {
        match self.table.route_owners.remove(id) {
            None => {}
            Some(None) => {
                self.touched.shared_routes = true;
                Arc::make_mut(&mut self.table.shared_routes).remove(id);
            }
            Some(Some(tenant)) => {
                self.touched.route_owners.insert(tenant);
                if let Some(mut routes) = self.table.tenant_routes.get(&tenant).cloned() {
                    Arc::make_mut(&mut routes).remove(id);
                    self.table.tenant_routes.insert(tenant, routes);
                }
            }
        }
    }

    fn reindex_routes(&mut self) {
        if self.touched.shared_routes {
            Arc::make_mut(&mut self.table.shared_routes).reindex();
        }
        for owner in std::mem::take(&mut self.touched.route_owners) {
            let routes =
                self.table.tenant_routes.remove(&owner).filter(|routes| !routes.is_empty());
            let routes = routes.map(|mut routes| {
                Arc::make_mut(&mut routes).reindex();
                routes
            });
            if let Some(routes) = &routes {
                self.table.tenant_routes.insert(owner, Arc::clone(routes));
            }
            if let Some(tenant) = self.table.tenants.get(&owner) {
                let tenant = CompiledTenant { routes, ..tenant.as_ref().clone() };
                self.table.tenants.insert(owner, Arc::new(tenant));
            }
        }
    }

    fn put_key(&mut self, api_key: ApiKey) {
        self.delete_key(Some(api_key.id));
        self.table.key_digests.insert(api_key.id, api_key.digest);
        let digest = api_key.digest;
        self.table.keys.insert(digest, CompiledKey::new(api_key));
    }

    fn delete_key(&mut self, id: Option<KeyId>) {
        if let Some(digest) = id.and_then(|id| self.table.key_digests.remove(&id)) {
            self.table.keys.remove(&digest);
        }
    }

    fn put_issuer(&mut self, issuer: Issuer) {
        let id = issuer.id();
        let known = self.table.issuers.get(&id).or_else(|| self.previous.issuers.get(&id)).cloned();
        match compile_issuer(issuer, known.as_ref()) {
            Ok(compiled) => self.set_issuer(compiled),
            Err(error) => {
                let resource = ResourceRef { kind: ResourceKind::Issuer, id: id.to_string() };
                self.refused.push(Refused { resource, reason: error.to_string() });
                if let Some(known) = known {
                    self.set_issuer(known);
                }
            }
        }
    }

    fn set_issuer(&mut self, issuer: Arc<CompiledIssuer>) {
        let id = issuer.spec().id();
        if self.table.issuers.get(&id).is_some_and(|known| Arc::ptr_eq(known, &issuer)) {
            return;
        }
        self.delete_issuer(Some(id));
        let name: Arc<str> = issuer.spec().issuer().into();
        let namesakes = self.table.issuers_by_name.get(&name).map_or(&[][..], |issuers| issuers);
        let mut namesakes: Vec<_> =
            namesakes.iter().cloned().chain([Arc::clone(&issuer)]).collect();
        namesakes.sort_by_key(|issuer| issuer.spec().id());
        self.table.issuers_by_name.insert(name, namesakes.into());
        self.table.issuers.insert(id, issuer);
    }

    fn delete_issuer(&mut self, id: Option<IssuerId>) {
        let Some(issuer) = id.and_then(|id| self.table.issuers.remove(&id)) else { return };
        let name = issuer.spec().issuer();
        let namesakes = self.table.issuers_by_name.remove(name);
        let others: Arc<[_]> = namesakes
            .iter()
            .flat_map(|issuers| issuers.iter())
            .filter(|other| !Arc::ptr_eq(other, &issuer))
            .cloned()
            .collect();
        if !others.is_empty() {
            self.table.issuers_by_name.insert(name.into(), others);
        }
        issuer.retire();
    }
}

/// The same issuer again stays as it is, with its keys and the tokens verified by them.
fn compile_issuer(
    issuer: Issuer,
    known: Option<&Arc<CompiledIssuer>>,
) -> Result<Arc<CompiledIssuer>, JwksError> {
    match known {
        Some(known) if *known.spec() == issuer => Ok(Arc::clone(known)),
        known => CompiledIssuer::new(issuer, known.map(AsRef::as_ref)).map(Arc::new),
    }
}
