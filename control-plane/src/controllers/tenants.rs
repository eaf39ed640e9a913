//! `/api/v1/tenants`.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use serde_json::Value;
use tenantry_api::{CreateTenant, PageBody, ReplaceTenant, SuspendTenant, TenantBody, TenantQuery};
use tenantry_model::Tenant;
use tenantry_tenancy::{NewTenant, PageRequest, TenantFilter, TenantRecord, TenantSpec, Versioned};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{IfMatch, MergePatch, TenantName},
};

type Answer = Result<Single<TenantBody>, Failure>;

/// Makes a tenant, with its first domains.
#[utoipa::path(
    post, path = "/api/v1/tenants", operation_id = "createTenant", tag = "tenants",
    request_body = CreateTenant, responses((status = 201, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(request): Json<CreateTenant>,
) -> Answer {
    let created = body(app.tenancy.create_tenant(&caller, new_tenant(request)).await?);
    let location = format!("/api/v1/tenants/{}", created.id);
    Ok(Single::created(location, created.revision, created))
}

/// Tenants, in the order in which they were made.
#[utoipa::path(
    get, path = "/api/v1/tenants", operation_id = "listTenants", tag = "tenants",
    params(TenantQuery), responses((status = 200, body = PageBody<TenantBody>)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<TenantQuery>,
) -> Result<impl IntoResponse, Failure> {
    let TenantQuery { limit, cursor, state, plan, q } = query;
    let filter = TenantFilter { state, plan, text: q };
    let request = PageRequest::new(limit, cursor)?;
    Ok(page(app.tenancy.tenants(&filter, &request).await?, body))
}

/// One tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}", operation_id = "getTenant", tag = "tenants",
    params(TenantName), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.tenant(&tenant.parse()?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Replaces what may be written of a tenant.
///
/// What is not given falls back to its default.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}", operation_id = "replaceTenant", tag = "tenants",
    params(TenantName, IfMatch), request_body = ReplaceTenant,
    responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn replace(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(request): Json<ReplaceTenant>,
) -> Answer {
    let (tenant, spec) = (tenant.parse()?, spec(request));
    let precondition = &conditions.precondition;
    changed(app.tenancy.replace_tenant(&caller, &tenant, &spec, precondition).await?)
}

/// Changes some fields of a tenant.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenant}", operation_id = "patchTenant", tag = "tenants",
    params(TenantName, IfMatch),
    request_body(content = MergePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn patch(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(patch): Json<Value>,
) -> Answer {
    let precondition = &conditions.precondition;
    changed(app.tenancy.patch_tenant(&caller, &tenant.parse()?, &patch, precondition).await?)
}

/// Removes a tenant, so that it can be brought back.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}", operation_id = "deleteTenant", tag = "tenants",
    params(TenantName, IfMatch), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    let precondition = &conditions.precondition;
    changed(app.tenancy.delete_tenant(&caller, &tenant.parse()?, precondition).await?)
}

/// Refuses a tenant's requests until it is resumed.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/suspend", operation_id = "suspendTenant", tag = "tenants",
    params(TenantName, IfMatch), request_body = SuspendTenant,
    responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn suspend(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(request): Json<SuspendTenant>,
) -> Answer {
    let (tenant, precondition) = (tenant.parse()?, &conditions.precondition);
    changed(app.tenancy.suspend_tenant(&caller, &tenant, &request.reason, precondition).await?)
}

/// Serves a suspended tenant again.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/resume", operation_id = "resumeTenant", tag = "tenants",
    params(TenantName, IfMatch), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn resume(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    let precondition = &conditions.precondition;
    changed(app.tenancy.resume_tenant(&caller, &tenant.parse()?, precondition).await?)
}

/// Brings a deleted tenant back to what it was.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/undelete", operation_id = "undeleteTenant", tag = "tenants",
    params(TenantName, IfMatch), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn undelete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    let precondition = &conditions.precondition;
    changed(app.tenancy.undelete_tenant(&caller, &tenant.parse()?, precondition).await?)
}

#[expect(clippy::unnecessary_wraps, reason = "it ends handlers, which can fail")]
fn changed(record: Versioned<TenantRecord>) -> Answer {
    let changed = body(record);
    Ok(Single::ok(changed.revision, changed))
}

fn new_tenant(request: CreateTenant) -> NewTenant {
    let CreateTenant {
        slug,
        name,
        plan,
        domains,
        auth,
        access,
        features,
        limits,
        client_ca_pem,
        labels,
        metadata,
        region,
        branding,
        access_log,
    } = request;
    let spec = TenantSpec {
        slug,
        name,
        plan,
        auth,
        access,
        features,
        limits,
        labels,
        metadata,
        region,
        client_ca_pem,
        branding,
        access_log,
    };
    NewTenant { spec, domains }
}

fn spec(request: ReplaceTenant) -> TenantSpec {
    let ReplaceTenant {
        slug,
        name,
        plan,
        auth,
        access,
        features,
        limits,
        client_ca_pem,
        labels,
        metadata,
        region,
        branding,
        access_log,
    } = request;
    TenantSpec {
        slug,
        name,
        plan,
        auth,
        access,
        features,
        limits,
        labels,
        metadata,
        region,
        client_ca_pem,
        branding,
        access_log,
    }
}

fn body(record: Versioned<TenantRecord>) -> TenantBody {
    let Versioned { value, revision } = record;
    let Tenant {
        id,
        slug,
        state,
        plan,
        auth,
        access,
        features,
        limits,
        region,
        client_ca_pem,
        branding,
        access_log,
    } = value.resource;
    TenantBody {
        id,
        slug,
        name: value.name,
        state,
        plan,
        auth,
        access,
        features,
        limits,
        client_ca_pem,
        labels: value.labels,
        metadata: value.metadata,
        region,
        branding,
        access_log,
        suspended_reason: value.suspended_reason,
        deleted_at: value.deleted_at,
        created_at: value.created_at,
        updated_at: value.updated_at,
        revision: revision.as_u64(),
    }
}
