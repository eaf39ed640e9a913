//! `/api/v1/tenants/{tenant}/roles`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{CreateRole, ListQuery, PageBody, ReplaceRole, RoleBody};
use tenantry_model::RoleId;
use tenantry_tenancy::{Error, PageRequest, RoleRecord, RoleSpec, Versioned};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{IfMatch, RoleName, TenantName},
};

type Answer = Result<Single<RoleBody>, Failure>;

/// Defines a role of a tenant.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/roles", operation_id = "createRole", tag = "members",
    params(TenantName),
    request_body = CreateRole,
    responses((status = 201, body = RoleBody)),
    security(("bearer" = ["members:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(request): Json<CreateRole>,
) -> Answer {
    let CreateRole { id, description, permissions } = request;
    let spec = RoleSpec { description, permissions };
    let created = body(app.tenancy.create_role(&caller, &tenant.parse()?, id, spec).await?);
    let location = format!("/api/v1/tenants/{}/roles/{}", created.tenant, created.id);
    Ok(Single::created(location, created.revision, created))
}

/// The roles that a tenant has defined.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/roles", operation_id = "listRoles", tag = "members",
    params(TenantName, ListQuery),
    responses((status = 200, body = PageBody<RoleBody>)),
    security(("bearer" = ["members:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.roles(&tenant.parse()?, &request).await?, body))
}

/// One role that a tenant has defined.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/roles/{role}", operation_id = "getRole", tag = "members",
    params(RoleName),
    responses((status = 200, body = RoleBody)),
    security(("bearer" = ["members:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names((tenant, role)): Names<(String, String)>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.role(&tenant.parse()?, &parsed(&role)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Defines a role anew; it holds from the next call on.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/roles/{role}", operation_id = "replaceRole", tag = "members",
    params(RoleName, IfMatch),
    request_body = ReplaceRole,
    responses((status = 200, body = RoleBody)),
    security(("bearer" = ["members:write"])),
)]
pub async fn replace(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, role)): Names<(String, String)>,
    conditions: Conditions,
    Json(request): Json<ReplaceRole>,
) -> Answer {
    let ReplaceRole { description, permissions } = request;
    let (tenant, role) = (tenant.parse()?, parsed(&role)?);
    let (spec, precondition) = (RoleSpec { description, permissions }, &conditions.precondition);
    let changed = app.tenancy.replace_role(&caller, &tenant, role, spec, precondition).await?;
    let changed = body(changed);
    Ok(Single::ok(changed.revision, changed))
}

/// Removes a role that nobody has.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/roles/{role}", operation_id = "deleteRole", tag = "members",
    params(RoleName, IfMatch),
    responses((status = 204)),
    security(("bearer" = ["members:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, role)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    let (tenant, role) = (tenant.parse()?, parsed(&role)?);
    app.tenancy.delete_role(&caller, &tenant, role, &conditions.precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(role: &str) -> Result<RoleId, Error> {
    role.parse().map_err(|_| Error::not_found("role", role))
}

fn body(record: Versioned<RoleRecord>) -> RoleBody {
    let RoleRecord { id, tenant, spec, created_at, updated_at } = record.value;
    let RoleSpec { description, permissions } = spec;
    let revision = record.revision.as_u64();
    RoleBody { id, tenant, description, permissions, created_at, updated_at, revision }
}
