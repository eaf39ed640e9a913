//! `/api/v1/export`, `/diff` and `/apply`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::Value;
use tenantry_api::{
    AppliedBody, ApplyQuery, ChangeAction, ChangeBody, DesiredState, DiffBody, DiffQuery,
    ExportFormat, ExportQuery, ProblemKind,
};
use tenantry_tenancy::{Difference, MassRemoval, desired::Written};

use crate::{
    app::App,
    http::{
        body::{Parameters, parameter},
        failure::Failure,
        request::Asking,
        yaml::{self, Documents},
    },
};

/// As [`DesiredState`], with the members of documents in their order.
#[derive(Serialize)]
struct Export {
    documents: Vec<Written>,
    left_out: Vec<String>,
}

/// Everything there are documents of, as documents.
///
/// They hold no secrets: what they leave out is listed beside them.
#[utoipa::path(
    get, path = "/api/v1/export", operation_id = "export", tag = "platform",
    params(ExportQuery),
    responses((status = 200, content(
        (DesiredState = "application/json"),
        (String = "application/yaml"),
    ))),
    security(("bearer" = ["tenants:read", "plans:read", "gateway:read"])),
)]
pub async fn export(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<ExportQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let label = parameter("label", query.label.as_deref())?;
    let exported = app.tenancy.export(label.as_ref()).await?;
    let export = Export { documents: exported.documents, left_out: exported.left_out };
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_yaml = match query.format {
        Some(format) => format == ExportFormat::Yaml,
        None => accepted.is_some_and(|accepted| accepted.contains("yaml")),
    };
    if is_yaml {
        let kind = [(header::CONTENT_TYPE, "application/yaml")];
        return Ok((kind, yaml::written(&export)?).into_response());
    }
    Ok(Json(export).into_response())
}

/// How what is there differs from the documents.
#[utoipa::path(
    post, path = "/api/v1/diff", operation_id = "diff", tag = "platform", params(DiffQuery),
    request_body(content(
        (DesiredState = "application/json"),
        (String = "application/yaml"),
    )),
    responses((status = 200, body = DiffBody)),
    security(("bearer" = ["tenants:read", "plans:read", "gateway:read"])),
)]
pub async fn diff(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<DiffQuery>,
    Documents(desired): Documents<DesiredState>,
) -> Result<Json<DiffBody>, Failure> {
    let prune = parameter("prune", query.prune.as_deref())?;
    let changes = app.tenancy.diff(&desired.documents, prune.as_ref()).await?;
    Ok(Json(DiffBody { changes: changes.into_iter().map(change).collect() }))
}

/// Makes everything as the documents say.
///
/// All of it is looked at before anything is changed. If it fits one commit of the store it is done
/// whole or not at all, and otherwise in several commits; the answer says which. Sent again, it does
/// what is left to do.
#[utoipa::path(
    post, path = "/api/v1/apply", operation_id = "apply", tag = "platform", params(ApplyQuery),
    request_body(content(
        (DesiredState = "application/json"),
        (String = "application/yaml"),
    )),
    responses((status = 200, body = AppliedBody)),
    security(("bearer" = [
        "tenants:write", "domains:write", "issuers:write", "subscriptions:write", "plans:write",
        "gateway:write",
    ])),
)]
pub async fn apply(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Parameters(query): Parameters<ApplyQuery>,
    Documents(desired): Documents<DesiredState>,
) -> Result<Json<AppliedBody>, Failure> {
    let prune = parameter("prune", query.prune.as_deref())?;
    let dry_run = caller.is_rehearsal;
    if caller.idempotency.is_some() {
        let detail = "leave Idempotency-Key out: documents can be applied again as they are";
        return Err(Failure::new(ProblemKind::InvalidHeader, detail));
    }
    let removal = meant(query.allow_mass_removal);
    let documents = &desired.documents;
    let applied = app.tenancy.apply(&caller, documents, prune.as_ref(), removal, dry_run).await?;
    Ok(Json(AppliedBody {
        dry_run,
        atomic: applied.chunks <= 1,
        chunks: applied.chunks,
        changes: applied.changes.into_iter().map(change).collect(),
    }))
}

/// Whether a mass removal is.
pub(super) fn meant(allowed: Option<bool>) -> MassRemoval {
    if allowed.unwrap_or_default() { MassRemoval::Meant } else { MassRemoval::Refused }
}

pub(super) fn change(difference: Difference) -> ChangeBody {
    let Difference { kind, name, before, after } = difference;
    let action = match (&before, &after) {
        (None, _) => ChangeAction::Create,
        (Some(_), Some(_)) => ChangeAction::Update,
        (Some(_), None) => ChangeAction::Delete,
    };
    // Documents always have a form in JSON: they are made of it.
    let shown = |document: Option<Written>| {
        document.map(|document| serde_json::to_value(document).unwrap_or(Value::Null))
    };
    let (before, after) = (shown(before), shown(after));
    ChangeBody { action, kind: kind.to_string(), name, before, after }
}
