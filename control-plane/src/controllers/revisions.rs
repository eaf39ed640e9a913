//! `/api/v1/revisions`: history, and the way back.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use tenantry_api::{
    DiffBody, FieldChangeBody, LeftBody, PageBody, RecordChangeBody, RevisionBody,
    RevisionDetailBody, RevisionDiffQuery, RevisionEntryBody, RevisionQuery, RollbackQuery,
    RolledBackBody,
};
use tenantry_model::TenantId;
use tenantry_tenancy::{
    AuditFilter, Error, FieldChange, Left, PageRequest, RecordChange, RevisionDetail,
    RevisionEntry, RevisionSummary, TenantRef, Versioned,
};

use super::desired::{change, meant};
use crate::{
    app::App,
    http::{
        body::{Names, Parameters},
        failure::Failure,
        request::Asking,
        response::page,
    },
    openapi::RevisionName,
};

/// What was changed, revision by revision, newest first.
///
/// As far as revisions are kept (`kept_revisions`); the audit log goes back further.
#[utoipa::path(
    get, path = "/api/v1/revisions", operation_id = "listRevisions", tag = "platform",
    params(RevisionQuery), responses((status = 200, body = PageBody<RevisionBody>)),
    security(("bearer" = ["audit:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<RevisionQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    let tenant = match &query.tenant {
        None => None,
        Some(tenant) => Some(named(&app, tenant).await?),
    };
    let RevisionQuery { actor, action, target, request_id, since, until, .. } = query;
    let filter = AuditFilter { tenant, target, actor, action, request_id, since, until };
    let found = app.tenancy.revisions(&filter, &request).await?;
    Ok(page(found, |Versioned { value, revision }| summary(revision.as_u64(), value)))
}

/// A revision with all that it changed.
///
/// Secrets are masked; that one was changed is shown.
#[utoipa::path(
    get, path = "/api/v1/revisions/{revision}", operation_id = "getRevision", tag = "platform",
    params(RevisionName),
    responses((status = 200, body = RevisionDetailBody), (status = 410, description = "")),
    security(("bearer" = ["audit:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(revision): Names<String>,
) -> Result<Json<RevisionDetailBody>, Failure> {
    let revision = number(&revision)?;
    let RevisionDetail { summary: made, changes } = app.tenancy.revision(revision).await?;
    let changes = changes.into_iter().map(record).collect();
    Ok(Json(RevisionDetailBody { revision: summary(revision, made), changes }))
}

/// How what there are documents of differs between two revisions.
#[utoipa::path(
    get, path = "/api/v1/revisions/{revision}/diff", operation_id = "diffRevisions",
    tag = "platform", params(RevisionName, RevisionDiffQuery),
    responses((status = 200, body = DiffBody), (status = 410, description = "")),
    security(("bearer" = ["tenants:read", "plans:read", "gateway:read"])),
)]
pub async fn diff(
    State(app): State<Arc<App>>,
    Names(revision): Names<String>,
    Parameters(query): Parameters<RevisionDiffQuery>,
) -> Result<Json<DiffBody>, Failure> {
    let from = number(&revision)?;
    let to = match query.to {
        Some(to) => to,
        None => app.store.status().await.head.as_u64(),
    };
    let changes = app.tenancy.diff_revisions(from, to).await?;
    Ok(Json(DiffBody { changes: changes.into_iter().map(change).collect() }))
}

/// Makes everything there are documents of what it was at a revision, in new revisions.
///
/// All of it is looked at before anything is changed. Keys, people, states and the audit log do not go back.
/// If something cannot come back, nothing is changed, or with `partial` all that can be. If it fits one commit
/// of the store it is done whole or not at all, and otherwise in several commits; the answer says which.
#[utoipa::path(
    post, path = "/api/v1/revisions/{revision}/rollback", operation_id = "rollBack",
    tag = "platform", params(RevisionName, RollbackQuery),
    responses((status = 200, body = RolledBackBody), (status = 410, description = "")),
    security(("bearer" = [
        "tenants:write", "domains:write", "issuers:write", "subscriptions:write", "plans:write",
        "gateway:write",
    ])),
)]
pub async fn roll_back(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(revision): Names<String>,
    Parameters(query): Parameters<RollbackQuery>,
) -> Result<Json<RolledBackBody>, Failure> {
    let is_partial = query.partial.unwrap_or_default();
    let (to, removal) = (number(&revision)?, meant(query.allow_mass_removal));
    let done = app.tenancy.rollback(&caller, to, is_partial, removal).await?;
    Ok(Json(RolledBackBody {
        to: done.to,
        dry_run: caller.is_rehearsal,
        atomic: done.chunks <= 1,
        chunks: done.chunks,
        changes: done.changes.into_iter().map(change).collect(),
        kept: done.kept.into_iter().map(left).collect(),
        lost: done.lost.into_iter().map(left).collect(),
    }))
}

/// What is not a number is the number of nothing.
fn number(revision: &str) -> Result<u64, Error> {
    revision.parse().map_err(|_| Error::not_found("revision", revision))
}

/// A tenant that was purged has left its identifier behind, and no slug.
async fn named(app: &App, tenant: &str) -> Result<TenantId, Error> {
    let found = match tenant.parse() {
        Ok(TenantRef::Id(id)) => return Ok(id),
        Ok(slug) => app.tenancy.tenant(&slug).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => Ok(found.value.resource.id),
        Err(error @ Error::NotFound { .. }) => {
            Err(Error::InvalidQuery { parameter: "tenant", detail: error.to_string() })
        }
        Err(error) => Err(error),
    }
}

fn summary(revision: u64, made: RevisionSummary) -> RevisionBody {
    let RevisionSummary { at, actor, request_id, source_address, rollback_to, entries } = made;
    let entry =
        |RevisionEntry { action, target, tenant }| RevisionEntryBody { action, target, tenant };
    let entries = entries.into_iter().map(entry).collect();
    RevisionBody { revision, at, actor, request_id, source_address, rollback_to, entries }
}

fn record(change: RecordChange) -> RecordChangeBody {
    let RecordChange { kind, id, before, after, fields } = change;
    let field = |FieldChange { pointer, before, after }| FieldChangeBody {
        pointer,
        before: before.unwrap_or_default(),
        after: after.unwrap_or_default(),
    };
    RecordChangeBody { kind, id, before, after, fields: fields.into_iter().map(field).collect() }
}

fn left(left: Left) -> LeftBody {
    let Left { kind, name, reason } = left;
    LeftBody { kind: kind.to_string(), name, reason }
}
