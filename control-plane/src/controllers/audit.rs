//! `/api/v1/audit`.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use tenantry_api::{AuditEntryBody, AuditQuery, PageBody};
use tenantry_tenancy::{AuditEntry, PageRequest, Versioned};

use crate::{
    app::App,
    http::{body::Parameters, failure::Failure, response::page},
};

/// What was done, newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", operation_id = "listAudit", tag = "platform",
    params(AuditQuery), responses((status = 200, body = PageBody<AuditEntryBody>)),
    security(("bearer" = ["audit:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.audit(query.target.as_deref(), &request).await?, body))
}

fn body(entry: Versioned<AuditEntry>) -> AuditEntryBody {
    let Versioned { value, revision } = entry;
    AuditEntryBody {
        id: value.id.to_string(),
        at: value.at,
        actor: value.actor,
        action: value.action,
        target: value.target,
        tenant: value.tenant,
        before: value.before,
        after: value.after,
        request_id: value.request_id,
        source_address: value.source_address,
        revision: revision.as_u64(),
    }
}
