//! `/api/v1/tenants/{tenant}/domains`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{AddDomain, DomainBody, ListQuery, PageBody};
use tenantry_model::{Domain, DomainPattern};
use tenantry_tenancy::{DomainRecord, Error, PageRequest, TenantRef, Versioned};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{DomainName, IfMatch, TenantName},
};

/// Adds a domain to a tenant.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/domains", operation_id = "addDomain", tag = "domains",
    params(TenantName), request_body = AddDomain, responses((status = 201, body = DomainBody)),
    security(("bearer" = ["domains:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(request): Json<AddDomain>,
) -> Result<Single<DomainBody>, Failure> {
    let tenant: TenantRef = tenant.parse()?;
    let added = body(app.tenancy.add_domain(&caller, &tenant, request.host).await?);
    let location = format!("/api/v1/tenants/{}/domains/{}", added.tenant, added.host);
    Ok(Single::created(location, added.revision, added))
}

/// The domains of a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/domains", operation_id = "listDomains", tag = "domains",
    params(TenantName, ListQuery), responses((status = 200, body = PageBody<DomainBody>)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.domains(&tenant.parse()?, &request).await?, body))
}

/// One domain of a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/domains/{host}", operation_id = "getDomain", tag = "domains",
    params(DomainName), responses((status = 200, body = DomainBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names((tenant, host)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<Single<DomainBody>, Failure> {
    let found = body(app.tenancy.domain(&tenant.parse()?, &parsed(&host)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Takes a domain from a tenant.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/domains/{host}", operation_id = "removeDomain", tag = "domains",
    params(DomainName, IfMatch), responses((status = 204)),
    security(("bearer" = ["domains:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, host)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy
        .remove_domain(&caller, &tenant.parse()?, &parsed(&host)?, &conditions.precondition)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(host: &str) -> Result<DomainPattern, Error> {
    host.parse().map_err(|_| Error::not_found("domain", host))
}

fn body(record: Versioned<DomainRecord>) -> DomainBody {
    let DomainRecord { resource: Domain { host, tenant }, created_at } = record.value;
    DomainBody { host, tenant, created_at, revision: record.revision.as_u64() }
}
