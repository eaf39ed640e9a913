//! `/api/v1/audit`.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use tenantry_api::{AuditEntryBody, AuditQuery, AuditVerification, PageBody, VerifyAuditQuery};
use tenantry_model::TenantId;
use tenantry_store::Revision;
use tenantry_tenancy::{AuditEntry, AuditFilter, Error, Listing, PageRequest, Versioned};

use crate::{
    app::App,
    http::{
        body::{Names, Parameters},
        failure::Failure,
        request::Asking,
        response::page,
    },
    openapi::TenantName,
};

/// How the names of a tenant's own actors begin.
const OWN_ACTORS: [&str; 2] = ["token/", "invitation/"];
/// Entries that are read at once for an export.
const EXPORT_PAGE: usize = 500;

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
    let request = PageRequest::new(query.limit, query.cursor.clone())?;
    Ok(page(app.tenancy.audit(&filter(query, None), &request).await?, body))
}

/// What was done to a tenant and what belongs to it, newest first.
///
/// Whoever belongs to the tenant is not told from where the platform's own people and programs came.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/audit", operation_id = "listTenantAudit", tag = "tenants",
    params(TenantName, AuditQuery), responses((status = 200, body = PageBody<AuditEntryBody>)),
    security(("bearer" = ["audit:read"])),
)]
pub async fn list_of_tenant(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor.clone())?;
    let tenant = app.tenancy.tenant(&tenant.parse()?).await?.value.resource.id;
    let found = app.tenancy.audit(&filter(query, Some(tenant)), &request).await?;
    let is_confined = caller.principal.confinement().is_some();
    Ok(page(found, move |entry| {
        let mut entry = body(entry);
        if is_confined && !OWN_ACTORS.iter().any(|own| entry.actor.starts_with(own)) {
            entry.source_address = None;
        }
        entry
    }))
}

/// All that was done, newest first, a line of JSON for each entry.
///
/// If reading fails half-way, the answer is cut off, so that it cannot be taken for whole.
#[utoipa::path(
    get, path = "/api/v1/audit/export", operation_id = "exportAudit", tag = "platform",
    params(AuditQuery),
    responses((status = 200, body = String, content_type = "application/x-ndjson")),
    security(("bearer" = ["audit:read"])),
)]
pub async fn export(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<Response, Failure> {
    if query.limit.is_some() {
        let detail = "an export is of everything: narrow it by its filters".to_owned();
        return Err(Error::InvalidQuery { parameter: "limit", detail }.into());
    }
    let cursor = query.cursor.clone();
    let filter = Arc::new(filter(query, None));
    let first = exported(&app, &filter, cursor).await?;
    let pages = stream::unfold(Some(Ok(first)), move |page| {
        let (app, filter) = (Arc::clone(&app), Arc::clone(&filter));
        async move {
            match page? {
                Ok(Listing { items, next_cursor, .. }) => {
                    let next = match next_cursor {
                        Some(cursor) => Some(exported(&app, &filter, Some(cursor)).await),
                        None => None,
                    };
                    Some((lines(items), next))
                }
                Err(error) => Some((Err(std::io::Error::other(error)), None)),
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(pages)).into_response())
}

/// Follows the hash chain over all entries, and says whether it is whole.
#[utoipa::path(
    get, path = "/api/v1/audit/verify", operation_id = "verifyAudit", tag = "platform",
    params(VerifyAuditQuery), responses((status = 200, body = AuditVerification)),
    security(("bearer" = ["audit:read"])),
)]
pub async fn verify(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<VerifyAuditQuery>,
) -> Result<Json<AuditVerification>, Failure> {
    let noted = match (query.sequence, &query.hash) {
        (Some(sequence), Some(hash)) => Some((sequence, hash.as_str())),
        (None, None) => None,
        (sequence, _) => {
            let parameter = if sequence.is_none() { "sequence" } else { "hash" };
            let detail = "a noted link is given by both sequence and hash".to_owned();
            return Err(Error::InvalidQuery { parameter, detail }.into());
        }
    };
    let found = app.tenancy.verify_audit(noted).await?;
    Ok(Json(AuditVerification {
        intact: found.fault.is_none(),
        fault: found.fault.map(|fault| fault.to_string()),
        sealed: found.sealed,
        unsealed: found.unsealed,
        sequence: found.head.sequence,
        hash: found.head.hash,
    }))
}

async fn exported(
    app: &App,
    filter: &AuditFilter,
    cursor: Option<String>,
) -> Result<Listing<AuditEntry>, Error> {
    app.tenancy.audit(filter, &PageRequest::new(Some(EXPORT_PAGE), cursor)?).await
}

fn lines(items: Vec<Versioned<AuditEntry>>) -> std::io::Result<Bytes> {
    let mut lines = Vec::new();
    for item in items {
        serde_json::to_writer(&mut lines, &body(item))?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

fn filter(query: AuditQuery, tenant: Option<TenantId>) -> AuditFilter {
    let AuditQuery { limit: _, cursor: _, target, actor, action, request_id, since, until } = query;
    AuditFilter { tenant, target, actor, action, request_id, since, until }
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
        rollback_to: value.rollback_to.map(Revision::as_u64),
        revision: revision.as_u64(),
    }
}
