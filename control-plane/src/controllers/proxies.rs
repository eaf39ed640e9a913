//! `/api/v1/proxies`.

use std::sync::Arc;

use axum::{Json, extract::State};
use tenantry_api::{PageBody, ProxyBody, RefusedResource};
use tenantry_model::Revision;

use crate::{
    app::App,
    distributor::{Node, Position},
};

/// The proxies, and what each enforces: all of them, as their number is bounded.
#[utoipa::path(
    get, path = "/api/v1/proxies", operation_id = "listProxies", tag = "platform",
    responses((status = 200, body = PageBody<ProxyBody>)),
    security(("bearer" = ["gateway:read"])),
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<PageBody<ProxyBody>> {
    let standing = app.distributor.standing();
    let items = app.nodes.all().into_iter().map(|node| body(node, standing)).collect();
    Json(PageBody { items, next_cursor: None })
}

fn body(node: Node, standing: Option<(Position, Revision)>) -> ProxyBody {
    let connected = node.is_connected();
    let Node { name, last_seen_at, report, .. } = node;
    let head = standing.map(|(head, _)| head);
    let enforced_through = report.as_ref().zip(standing).and_then(|(report, (head, seen))| {
        let through = if report.revision < head.revision { report.revision } else { seen };
        (report.epoch == head.epoch).then_some(through.as_u64())
    });
    let lag = report.as_ref().zip(head).and_then(|(report, head)| {
        let behind = head.revision.as_u64().saturating_sub(report.revision.as_u64());
        (report.epoch == head.epoch).then_some(behind)
    });
    let refused = report.iter().flat_map(|report| &report.refused).map(|refusal| RefusedResource {
        kind: refusal.resource.kind.clone(),
        id: refusal.resource.id.clone(),
        reason: refusal.reason.clone(),
    });
    ProxyBody {
        node: name.to_string(),
        connected,
        refused: refused.collect(),
        refused_total: report.as_ref().map_or(0, |report| report.refused_total),
        epoch: report.as_ref().map(|report| report.epoch.to_string()),
        revision: report.as_ref().map(|report| report.revision.as_u64()),
        hash: report.as_ref().map(|report| report.hash.to_string()),
        applied_at: report.as_ref().map(|report| report.applied_at),
        tenants: report.as_ref().map(|report| report.tenants),
        version: report.map(|report| report.version),
        lag,
        enforced_through,
        last_seen_at,
    }
}
