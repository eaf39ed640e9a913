//! What a full state keeps of the table before: the previous form of resources whose new form was
//! refused before it came here.

use std::sync::Arc;

use tenantry_model::{ResourceKind, ResourceRef, Route};

use super::Builder;
use crate::tenant::CompiledTenant;

impl Builder<'_> {
    /// Takes over the previous form of a resource, if it had one. Where a name or a digest has gone to
    /// another resource meanwhile, it stays with that one.
    pub(super) fn keep(&mut self, resource: &ResourceRef) {
        // None: there was nothing before.
        let _ = match resource.kind {
            ResourceKind::Feature => self.keep_feature(&resource.id),
            ResourceKind::Plan => self.keep_plan(&resource.id),
            ResourceKind::Group => self.keep_group(&resource.id),
            ResourceKind::Upstream => self.keep_upstream(&resource.id),
            ResourceKind::Tenant => self.keep_tenant(&resource.id),
            ResourceKind::Route => self.keep_route(&resource.id),
            ResourceKind::Domain => self.keep_domain(&resource.id),
            ResourceKind::ApiKey => self.keep_key(&resource.id),
            ResourceKind::Issuer => self.keep_issuer(&resource.id),
            // Not in the table.
            ResourceKind::Certificate => None,
        };
    }

    fn keep_feature(&mut self, id: &str) -> Option<()> {
        let feature = self.previous.features.get(&id.parse().ok()?)?.clone();
        Arc::make_mut(&mut self.table.features).insert(feature);
        Some(())
    }

    fn keep_plan(&mut self, id: &str) -> Option<()> {
        let (id, plan) = self.previous.plans.get_key_value(id)?;
        Arc::make_mut(&mut self.table.plans).insert(id.clone(), Arc::clone(plan));
        Some(())
    }

    fn keep_group(&mut self, id: &str) -> Option<()> {
        let (id, group) = self.previous.groups.get_key_value(id)?;
        Arc::make_mut(&mut self.table.groups).insert(id.clone(), Arc::clone(group));
        Some(())
    }

    fn keep_upstream(&mut self, id: &str) -> Option<()> {
        let (id, upstream) = self.previous.upstreams.get_key_value(id)?;
        Arc::make_mut(&mut self.table.upstreams).insert(id.clone(), Arc::clone(upstream));
        Some(())
    }

    fn keep_tenant(&mut self, id: &str) -> Option<()> {
        let tenant = self.previous.tenants.get(&id.parse().ok()?)?;
        let routes = self.table.tenant_routes.get(&tenant.id).cloned();
        let tenant = CompiledTenant { routes, ..tenant.as_ref().clone() };
        if self.table.slugs.get(&tenant.slug).is_none() {
            self.table.slugs.insert(tenant.slug.clone(), tenant.id);
        }
        self.table.tenants.insert(tenant.id, Arc::new(tenant));
        Some(())
    }

    fn keep_route(&mut self, id: &str) -> Option<()> {
        let id = id.parse().ok()?;
        let routes = match self.previous.route_owners.get(&id)? {
            None => &self.previous.shared_routes,
            Some(owner) => self.previous.tenant_routes.get(owner)?,
        };
        let route: Route = routes.get(&id)?.clone();
        self.put_route(route);
        Some(())
    }

    fn keep_domain(&mut self, host: &str) -> Option<()> {
        let hash = self.previous.host_hash(host);
        let owner = *self.previous.domains.get(&hash)?;
        self.table.domains.insert(hash, owner);
        Some(())
    }

    fn keep_key(&mut self, id: &str) -> Option<()> {
        let id = id.parse().ok()?;
        let digest = *self.previous.key_digests.get(&id)?;
        let key = self.previous.keys.get(&digest).filter(|key| key.id == id)?.clone();
        if self.table.keys.get(&digest).is_none() {
            self.table.key_digests.insert(id, digest);
            self.table.keys.insert(digest, key);
        }
        Some(())
    }

    fn keep_issuer(&mut self, id: &str) -> Option<()> {
        let issuer = Arc::clone(self.previous.issuers.get(&id.parse().ok()?)?);
        self.set_issuer(issuer);
        Some(())
    }
}
