//! `/api/v1/proxies`.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Extension, Json, extract::State};
use tenantry_api::{
    AllowRemoval, PageBody, ProxyBody, RefusedResource, RemovalAllowedBody, TenantAtProxy,
    TenantAtProxyState, TenantStatusBody,
};
use tenantry_distribution::{Refusal, ResourceName};
use tenantry_model::{RegionId, ResourceKind, Revision, Timestamp};
use tenantry_tenancy::{Principal, TenantRef};

use crate::{
    app::App,
    distributor::{Awaited, Node, Position, State as Standing},
    http::{
        body::{Json as JsonBody, Names},
        changes::sees_proxies,
        failure::Failure,
        request::Asking,
        response::Single,
    },
    openapi::TenantName,
};

/// The proxies, and what each enforces: all of them, as their number is bounded.
#[utoipa::path(
    get, path = "/api/v1/proxies", operation_id = "listProxies", tag = "platform",
    responses((status = 200, body = PageBody<ProxyBody>)),
    security(("bearer" = ["gateway:read"])),
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<PageBody<ProxyBody>> {
    let items = app.nodes.all().into_iter().map(|node| body(&app, node)).collect();
    Json(PageBody { items, next_cursor: None })
}

/// Lets proxies take it for meant if most of their tenants go, for some minutes.
///
/// A proxy refuses a state that would take all tenants from it, or more than half of a hundred or more, because that is
/// rarely what was meant, and goes on with what it has.
#[utoipa::path(
    post, path = "/api/v1/distribution/removal", operation_id = "allowRemoval", tag = "platform",
    request_body = AllowRemoval,
    responses((status = 200, body = RemovalAllowedBody)),
    security(("bearer" = ["gateway:write"])),
)]
pub async fn allow_removal(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    JsonBody(request): JsonBody<AllowRemoval>,
) -> Result<Single<RemovalAllowedBody>, Failure> {
    let allowed = app.tenancy.allow_removal(&caller, request.minutes).await?;
    let (until, revision) = (allowed.value.until, allowed.revision.as_u64());
    if !caller.is_rehearsal {
        app.distributor.allow_removal(until);
    }
    Ok(Single::ok(revision, RemovalAllowedBody { until, revision }))
}

fn body(app: &App, node: Node) -> ProxyBody {
    let track = app.distributor.track_of(&node);
    let standing = app.distributor.standing(&track);
    let connected = node.is_connected();
    let enforced_through = node.enforced_through(standing).map(Revision::as_u64);
    let Node { name, view, last_seen_at, report, .. } = node;
    let head = standing.map(|(head, _)| head);
    let lag = report.as_ref().zip(head).and_then(|(report, head)| {
        let behind = head.revision.as_u64().saturating_sub(report.revision.as_u64());
        (report.epoch == head.epoch).then_some(behind)
    });
    let known = report.as_ref().zip(head).filter(|(report, head)| report.epoch == head.epoch);
    let hash_expected = known.and_then(|(report, _)| {
        app.distributor.hash_at(&track, report.epoch, report.revision).map(|hash| hash.to_string())
    });
    let config_age_seconds = known.map(|(report, _)| {
        let superseded = app.distributor.superseded_at(&track, report.epoch, report.revision);
        let since = superseded.map(Timestamp::unix_ms);
        since.map_or(0, |since| app.clock.now().unix_ms().saturating_sub(since) / 1000)
    });
    let refused = report.iter().flat_map(|report| &report.refused).map(refused);
    ProxyBody {
        node: name.to_string(),
        connected,
        refused: refused.collect(),
        refused_total: report.as_ref().map_or(0, |report| report.refused_total),
        epoch: report.as_ref().map(|report| report.epoch.to_string()),
        revision: report.as_ref().map(|report| report.revision.as_u64()),
        hash_expected,
        config_age_seconds,
        region: view.or_else(|| report.as_ref().and_then(|report| report.region.clone())),
        hash: report.as_ref().map(|report| report.hash.to_string()),
        applied_at: report.as_ref().map(|report| report.applied_at),
        tenants: report.as_ref().map(|report| report.tenants),
        version: report.map(|report| report.version),
        lag,
        enforced_through,
        last_seen_at,
    }
}

fn refused(refusal: &Refusal) -> RefusedResource {
    RefusedResource {
        kind: refusal.resource.kind.clone(),
        id: refusal.resource.id.clone(),
        reason: refusal.reason.clone(),
    }
}

/// What the proxies have made of a tenant's last change.
///
/// It is that of the tenant or of anything that belongs to it. Who belongs to a tenant is told how many proxies
/// enforce it; which these are is for whoever may see them.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/status", operation_id = "getTenantStatus", tag = "tenants",
    params(TenantName),
    responses((status = 200, body = TenantStatusBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn tenant_status(
    State(app): State<Arc<App>>,
    Extension(principal): Extension<Principal>,
    Names(tenant): Names<String>,
) -> Result<Json<TenantStatusBody>, Failure> {
    let tenant: TenantRef = tenant.parse()?;
    let found = app.tenancy.tenant(&tenant).await?;
    let revision = app.tenancy.last_change(&found).await?;
    let (id, slug) = (found.value.resource.id, found.value.resource.slug.to_string());
    let nodes = app.nodes.all();
    let own = name(ResourceKind::Tenant, id.to_string());
    let mut resources = BTreeSet::from([own]);
    let refusals = nodes.iter().filter_map(|node| node.report.as_ref());
    let refusals: BTreeSet<_> =
        refusals.flat_map(|report| &report.refused).map(|refusal| &refusal.resource).collect();
    for resource in refusals {
        if app.tenancy.is_of(&found.value, &resource.kind, &resource.id).await? {
            resources.insert(resource.clone());
        }
    }
    let awaited = Awaited { revision, resources };
    let region = found.value.resource.region.as_ref();
    let at_proxy = |node: &Node| {
        at_proxy(node, region, app.distributor.standing(&app.distributor.track_of(node)), &awaited)
    };
    let proxies: Vec<_> = nodes.iter().map(at_proxy).collect();
    let count = |state| proxies.iter().filter(|proxy| proxy.state == state).count() as u64;
    Ok(Json(TenantStatusBody {
        tenant_id: id,
        slug,
        revision: revision.as_u64(),
        enforced: count(TenantAtProxyState::Enforced),
        behind: count(TenantAtProxyState::Behind),
        refused: count(TenantAtProxyState::Refused),
        disconnected: count(TenantAtProxyState::Disconnected),
        elsewhere: count(TenantAtProxyState::Elsewhere),
        proxies: if sees_proxies(Some(&principal)) { proxies } else { Vec::new() },
    }))
}

fn name(kind: ResourceKind, id: String) -> ResourceName {
    ResourceName { kind: kind.as_str().to_owned(), id }
}

fn at_proxy(
    node: &Node,
    region: Option<&RegionId>,
    standing: Option<(Position, Revision)>,
    awaited: &Awaited,
) -> TenantAtProxy {
    let through = node.enforced_through(standing);
    let is_elsewhere = region.zip(node.view.as_ref()).is_some_and(|(its, seen)| its != seen);
    let state = match Standing::of(through, node.report.as_ref(), awaited) {
        _ if !node.is_connected() => TenantAtProxyState::Disconnected,
        Standing::Enforced if is_elsewhere => TenantAtProxyState::Elsewhere,
        Standing::Enforced => TenantAtProxyState::Enforced,
        Standing::Behind => TenantAtProxyState::Behind,
        Standing::Refused(_) => TenantAtProxyState::Refused,
    };
    let refusals = node.report.iter().flat_map(|report| &report.refused);
    let own = refusals.filter(|refusal| awaited.resources.contains(&refusal.resource));
    TenantAtProxy {
        node: node.name.to_string(),
        state,
        enforced_through: through.map(Revision::as_u64),
        refused: own.map(refused).collect(),
    }
}
