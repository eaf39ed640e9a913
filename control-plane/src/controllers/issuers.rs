//! `/api/v1/tenants/{tenant}/issuers`, and `/api/v1/issuers` for those of all tenants.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{CreateIssuer, IssuerBody, ListQuery, PageBody};
use tenantry_model::{IssuerId, KeySource};
use tenantry_tenancy::{Caller, Error, IssuerRecord, NewIssuer, PageRequest, TenantRef, Versioned};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{IfMatch, IssuerName, SharedIssuerName, TenantName},
};

type Answer = Result<Single<IssuerBody>, Failure>;

/// Trusts a JWT issuer for one tenant.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/issuers", operation_id = "createTenantIssuer", tag = "issuers",
    params(TenantName), request_body = CreateIssuer, responses((status = 201, body = IssuerBody)),
    security(("bearer" = ["issuers:write"])),
)]
pub async fn create_of_tenant(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(request): Json<CreateIssuer>,
) -> Answer {
    let tenant: TenantRef = tenant.parse()?;
    let created = body(app.tenancy.create_issuer(&caller, Some(&tenant), issuer(request)).await?);
    let owner = created.tenant.map_or_else(|| tenant.to_string(), |id| id.to_string());
    let location = format!("/api/v1/tenants/{owner}/issuers/{}", created.id);
    Ok(Single::created(location, created.revision, created))
}

/// The issuers of a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/issuers", operation_id = "listTenantIssuers", tag = "issuers",
    params(TenantName, ListQuery), responses((status = 200, body = PageBody<IssuerBody>)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn list_of_tenant(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let (tenant, request) = (tenant.parse()?, PageRequest::new(query.limit, query.cursor)?);
    Ok(page(app.tenancy.issuers(Some(&tenant), &request).await?, body))
}

/// One issuer of a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/issuers/{id}", operation_id = "getTenantIssuer", tag = "issuers",
    params(IssuerName), responses((status = 200, body = IssuerBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn get_of_tenant(
    State(app): State<Arc<App>>,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.issuer(Some(&tenant.parse()?), parsed(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Trusts an issuer of a tenant no longer.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/issuers/{id}", operation_id = "deleteTenantIssuer", tag = "issuers",
    params(IssuerName, IfMatch), responses((status = 204)),
    security(("bearer" = ["issuers:write"])),
)]
pub async fn delete_of_tenant(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy
        .delete_issuer(&caller, Some(&tenant.parse()?), parsed(&id)?, &conditions.precondition)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Trusts a JWT issuer for all tenants.
#[utoipa::path(
    post, path = "/api/v1/issuers", operation_id = "createIssuer", tag = "issuers",
    request_body = CreateIssuer, responses((status = 201, body = IssuerBody)),
    security(("bearer" = ["gateway:write"])),
)]
pub async fn create_shared(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(request): Json<CreateIssuer>,
) -> Answer {
    let created = body(app.tenancy.create_issuer(&caller, None, issuer(request)).await?);
    let location = format!("/api/v1/issuers/{}", created.id);
    Ok(Single::created(location, created.revision, created))
}

/// The issuers of all tenants.
#[utoipa::path(
    get, path = "/api/v1/issuers", operation_id = "listIssuers", tag = "issuers",
    params(ListQuery), responses((status = 200, body = PageBody<IssuerBody>)),
    security(("bearer" = ["gateway:read"])),
)]
pub async fn list_shared(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.issuers(None, &request).await?, body))
}

/// One issuer of all tenants.
#[utoipa::path(
    get, path = "/api/v1/issuers/{id}", operation_id = "getIssuer", tag = "issuers",
    params(SharedIssuerName), responses((status = 200, body = IssuerBody)),
    security(("bearer" = ["gateway:read"])),
)]
pub async fn get_shared(
    State(app): State<Arc<App>>,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.issuer(None, parsed(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Trusts an issuer of all tenants no longer.
#[utoipa::path(
    delete, path = "/api/v1/issuers/{id}", operation_id = "deleteIssuer", tag = "issuers",
    params(SharedIssuerName, IfMatch), responses((status = 204)),
    security(("bearer" = ["gateway:write"])),
)]
pub async fn delete_shared(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy.delete_issuer(&caller, None, parsed(&id)?, &conditions.precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces an issuer of a tenant.
///
/// All of it is given again, its keys too: what is secret of them is shown to nobody.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/issuers/{id}", operation_id = "replaceTenantIssuer",
    tag = "issuers", params(IssuerName, IfMatch), request_body = CreateIssuer,
    responses((status = 200, body = IssuerBody)),
    security(("bearer" = ["issuers:write"])),
)]
pub async fn replace_of_tenant(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
    Json(request): Json<CreateIssuer>,
) -> Answer {
    let tenant: TenantRef = tenant.parse()?;
    replaced(&app, &caller, Some(&tenant), &id, request, &conditions).await
}

/// Replaces an issuer of all tenants.
///
/// All of it is given again, its keys too: what is secret of them is shown to nobody.
#[utoipa::path(
    put, path = "/api/v1/issuers/{id}", operation_id = "replaceSharedIssuer", tag = "issuers",
    params(SharedIssuerName, IfMatch), request_body = CreateIssuer,
    responses((status = 200, body = IssuerBody)),
    security(("bearer" = ["gateway:write"])),
)]
pub async fn replace_shared(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
    Json(request): Json<CreateIssuer>,
) -> Answer {
    replaced(&app, &caller, None, &id, request, &conditions).await
}

async fn replaced(
    app: &App,
    caller: &Caller,
    owner: Option<&TenantRef>,
    id: &str,
    request: CreateIssuer,
    conditions: &Conditions,
) -> Answer {
    let (id, issuer) = (parsed(id)?, issuer(request));
    let precondition = &conditions.precondition;
    let replaced = app.tenancy.replace_issuer(caller, owner, id, issuer, precondition).await?;
    let replaced = body(replaced);
    Ok(Single::ok(replaced.revision, replaced))
}

fn parsed(id: &str) -> Result<IssuerId, Error> {
    id.parse().map_err(|_| Error::not_found("issuer", id))
}

fn issuer(request: CreateIssuer) -> NewIssuer {
    let CreateIssuer {
        issuer,
        audiences,
        algorithms,
        tenant_claim,
        scope_claim,
        roles_claim,
        jwks,
        jwks_url,
    } = request;
    NewIssuer {
        issuer,
        audiences,
        algorithms,
        tenant_claim,
        scope_claim,
        roles_claim,
        jwks,
        jwks_url,
    }
}

fn body(record: Versioned<IssuerRecord>) -> IssuerBody {
    let Versioned { value, revision } = record;
    let issuer = &value.resource;
    let jwks_url = match issuer.keys() {
        KeySource::Url(url) => Some(url.clone()),
        KeySource::Inline(_) => None,
    };
    IssuerBody {
        id: issuer.id(),
        tenant: issuer.tenant(),
        issuer: issuer.issuer().to_owned(),
        audiences: issuer.audiences().clone(),
        algorithms: issuer.algorithms().clone(),
        tenant_claim: issuer.tenant_claim().map(str::to_owned),
        scope_claim: issuer.scope_claim().cloned(),
        roles_claim: issuer.roles_claim().cloned(),
        jwks: value.shown_keys(),
        jwks_url,
        created_at: value.created_at,
        updated_at: value.updated_at,
        revision: revision.as_u64(),
    }
}
