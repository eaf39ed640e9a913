//! The single steps of a way back.

use tenantry_model::{DomainPattern, IssuerId, ResourceKind, Route, RouteId, TenantId, TenantSpec};

use super::declared::{Declared, Name};
use crate::{Error, NewIssuer, SubscriptionSpec, Tenancy, TenantRef, Transition, draft::Draft};

/// One change on the way back, which has one audit entry.
#[derive(Debug, Clone)]
pub(super) enum Undo {
    /// A tenant gives up a domain.
    Leave(TenantId, DomainPattern),
    /// A feature, plan, group or upstream is as it was.
    Document(Box<Declared>),
    /// A tenant is deleted, or brought back.
    Move(TenantId, Transition),
    Respecify(TenantId, Box<TenantSpec>),
    Join(TenantId, DomainPattern),
    /// Terms of a subscription, or none.
    Subscribe(TenantId, Option<SubscriptionSpec>),
    Route(Box<Route>),
    Issuer(Option<TenantId>, Option<IssuerId>, Box<NewIssuer>),
    DropRoute(RouteId),
    DropIssuer(Option<TenantId>, IssuerId),
    /// A feature, plan, group or upstream goes.
    Drop(ResourceKind, String),
}

/// A step, and what it is about.
#[derive(Debug, Clone)]
pub(super) struct Todo {
    pub(super) name: Name,
    pub(super) undo: Undo,
}

impl Undo {
    /// Whether it takes away what came since, which may stay where something needs it.
    pub(super) fn is_removal(&self) -> bool {
        matches!(self, Self::Leave(..) | Self::DropRoute(_) | Self::DropIssuer(..) | Self::Drop(..))
    }

    pub(super) async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        match self {
            Self::Leave(tenant, host) => {
                tenancy.draft_removed_domain(&TenantRef::Id(*tenant), host).await
            }
            Self::Document(declared) => document(tenancy, declared).await,
            Self::Move(tenant, transition) => {
                tenancy.draft_moved(&TenantRef::Id(*tenant), transition).await
            }
            Self::Respecify(tenant, spec) => {
                tenancy.draft_respecified(&TenantRef::Id(*tenant), spec).await
            }
            Self::Join(tenant, host) => {
                let tenant = TenantRef::Id(*tenant);
                tenancy.draft_added_domain(&tenant, host.clone(), String::new()).await
            }
            Self::Subscribe(tenant, Some(terms)) => {
                tenancy.draft_subscribed(&TenantRef::Id(*tenant), terms).await
            }
            Self::Subscribe(tenant, None) => {
                tenancy.draft_unsubscribed(&TenantRef::Id(*tenant)).await
            }
            Self::Route(route) => tenancy.draft_written(route.as_ref()).await,
            Self::Issuer(owner, id, issuer) => {
                let owner = owner.map(TenantRef::Id);
                tenancy.draft_issuer(owner.as_ref(), *id, (**issuer).clone()).await
            }
            Self::DropRoute(id) => tenancy.draft_deleted::<Route>(id).await,
            Self::DropIssuer(owner, id) => {
                let owner = owner.map(TenantRef::Id);
                tenancy.draft_deleted_issuer(owner.as_ref(), *id).await
            }
            Self::Drop(kind, id) => dropped(tenancy, *kind, id).await,
        }
    }
}

async fn document(tenancy: &Tenancy, declared: &Declared) -> Result<Draft<()>, Error> {
    match declared {
        Declared::Feature(feature) => tenancy.draft_written(feature).await,
        Declared::Plan(plan) => tenancy.draft_written(plan).await,
        Declared::Group(group) => tenancy.draft_written(group).await,
        Declared::Upstream(upstream) => {
            let current = super::walk::found(tenancy.get(&upstream.id).await)?;
            let current = current.map(|found| found.value.resource);
            let upstream = upstream.as_ref().clone();
            let upstream = tenancy.with_former_client_key(upstream, current.as_ref())?;
            tenancy.draft_written(&upstream).await
        }
        // These have steps of their own.
        Declared::Tenant(_) | Declared::Route(_) | Declared::Issuer(_) => Ok(Draft::quiet(())),
    }
}

async fn dropped(tenancy: &Tenancy, kind: ResourceKind, id: &str) -> Result<Draft<()>, Error> {
    use tenantry_model::{Feature, Group, Plan, Upstream};
    let unknown = || Error::not_found(kind.as_str(), id);
    match kind {
        ResourceKind::Feature => {
            tenancy.draft_deleted::<Feature>(&id.parse().map_err(|_| unknown())?).await
        }
        ResourceKind::Plan => {
            tenancy.draft_deleted::<Plan>(&id.parse().map_err(|_| unknown())?).await
        }
        ResourceKind::Group => {
            tenancy.draft_deleted::<Group>(&id.parse().map_err(|_| unknown())?).await
        }
        ResourceKind::Upstream => {
            tenancy.draft_deleted::<Upstream>(&id.parse().map_err(|_| unknown())?).await
        }
        _ => Err(unknown()),
    }
}
