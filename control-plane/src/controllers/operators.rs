//! `/api/v1/operators`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde_json::Value;
use tenantry_api::{CreateOperator, ListQuery, OperatorBody, PageBody, SetPassword};
use tenantry_credentials::password::Password;
use tenantry_model::OperatorId;
use tenantry_tenancy::{Error, OperatorRecord, OperatorSpec, PageRequest, Versioned};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{IfMatch, MergePatch, OperatorName},
};

type Answer = Result<Single<OperatorBody>, Failure>;

/// Makes an operator.
#[utoipa::path(
    post, path = "/api/v1/operators", operation_id = "createOperator", tag = "operators",
    request_body = CreateOperator,
    responses((status = 201, body = OperatorBody)),
    security(("bearer" = ["operators:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(request): Json<CreateOperator>,
) -> Answer {
    let CreateOperator { name, email, roles, disabled } = request;
    let spec = OperatorSpec { name, email, roles, disabled };
    let created = body(app.tenancy.create_operator(&caller, spec).await?);
    let location = format!("/api/v1/operators/{}", created.id);
    Ok(Single::created(location, created.revision, created))
}

/// The operators of the platform.
#[utoipa::path(
    get, path = "/api/v1/operators", operation_id = "listOperators", tag = "operators",
    params(ListQuery),
    responses((status = 200, body = PageBody<OperatorBody>)),
    security(("bearer" = ["operators:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.operators(&request).await?, body))
}

/// One operator.
#[utoipa::path(
    get, path = "/api/v1/operators/{operator}", operation_id = "getOperator", tag = "operators",
    params(OperatorName),
    responses((status = 200, body = OperatorBody)),
    security(("bearer" = ["operators:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(operator): Names<String>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.operator(parsed(&operator)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Changes an operator.
#[utoipa::path(
    patch, path = "/api/v1/operators/{operator}", operation_id = "patchOperator", tag = "operators",
    params(OperatorName, IfMatch),
    request_body(content = MergePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, body = OperatorBody)),
    security(("bearer" = ["operators:write"])),
)]
pub async fn patch(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(operator): Names<String>,
    conditions: Conditions,
    Json(patch): Json<Value>,
) -> Answer {
    let (operator, precondition) = (parsed(&operator)?, &conditions.precondition);
    changed(app.tenancy.patch_operator(&caller, operator, &patch, precondition).await?)
}

/// Replaces an operator's password, and ends its sessions.
#[utoipa::path(
    put, path = "/api/v1/operators/{operator}/password", operation_id = "setOperatorPassword", tag = "operators",
    params(OperatorName),
    request_body = SetPassword,
    responses((status = 200, body = OperatorBody)),
    security(("bearer" = ["operators:write"])),
)]
pub async fn set_password(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(operator): Names<String>,
    Json(request): Json<SetPassword>,
) -> Answer {
    let operator = parsed(&operator)?;
    let password = Password::try_from(request.password).map_err(|error| {
        Failure::new(tenantry_api::ProblemKind::Invalid, error.to_string()).at("/password")
    })?;
    let hashing = Arc::clone(&app);
    let hash = app.passwords.run(move || hashing.tenancy.hashed(&password)).await?;
    changed(app.tenancy.set_operator_password(&caller, operator, hash).await?)
}

/// Removes an operator; its tokens and sessions are void.
#[utoipa::path(
    delete, path = "/api/v1/operators/{operator}", operation_id = "deleteOperator", tag = "operators",
    params(OperatorName, IfMatch),
    responses((status = 204)),
    security(("bearer" = ["operators:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(operator): Names<String>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy.delete_operator(&caller, parsed(&operator)?, &conditions.precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[expect(clippy::unnecessary_wraps, reason = "it ends handlers, which can fail")]
fn changed(record: Versioned<OperatorRecord>) -> Answer {
    let changed = body(record);
    Ok(Single::ok(changed.revision, changed))
}

pub(super) fn parsed(id: &str) -> Result<OperatorId, Error> {
    id.parse().map_err(|_| Error::not_found("operator", id))
}

fn body(record: Versioned<OperatorRecord>) -> OperatorBody {
    let OperatorRecord { id, spec, password, created_at, updated_at, .. } = record.value;
    let OperatorSpec { name, email, roles, disabled } = spec;
    OperatorBody {
        id,
        name,
        email,
        roles,
        disabled,
        has_password: password.is_some(),
        created_at,
        updated_at,
        revision: record.revision.as_u64(),
    }
}
