//! `/api/v1/tenants/{tenant}/keys`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{ApiKeyBody, CreateApiKey, CreatedApiKey, ListQuery, PageBody};
use tenantry_model::{ApiKey, KeyId};
use tenantry_tenancy::{
    ApiKeyRecord, CreatedKey, Error, NewKey, PageRequest, TenantRef, Versioned,
};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{IfMatch, KeyName, TenantName},
};

/// Makes an API key.
///
/// The answer is the only one that ever holds the secret.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/keys", operation_id = "createKey", tag = "keys",
    params(TenantName), request_body = CreateApiKey,
    responses((status = 201, body = CreatedApiKey)),
    security(("bearer" = ["keys:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(request): Json<CreateApiKey>,
) -> Result<Single<CreatedApiKey>, Failure> {
    let tenant: TenantRef = tenant.parse()?;
    let CreateApiKey { name, scopes, expires_at } = request;
    let key = NewKey { name, scopes, expires_at };
    let Versioned { value, revision } = app.tenancy.create_key(&caller, &tenant, key).await?;
    let CreatedKey { record, secret } = value;
    let key = body(Versioned { value: record, revision });
    let location = format!("/api/v1/tenants/{}/keys/{}", key.tenant, key.id);
    let created = CreatedApiKey { key, secret: secret.map(|secret| secret.expose().to_owned()) };
    Ok(Single::created(location, revision.as_u64(), created))
}

/// The API keys of a tenant, without their secrets.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/keys", operation_id = "listKeys", tag = "keys",
    params(TenantName, ListQuery), responses((status = 200, body = PageBody<ApiKeyBody>)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.keys(&tenant.parse()?, &request).await?, body))
}

/// One API key of a tenant, without its secret.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/keys/{id}", operation_id = "getKey", tag = "keys",
    params(KeyName), responses((status = 200, body = ApiKeyBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<Single<ApiKeyBody>, Failure> {
    let found = body(app.tenancy.key(&tenant.parse()?, parsed(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Revokes an API key for good.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/keys/{id}", operation_id = "revokeKey", tag = "keys",
    params(KeyName, IfMatch), responses((status = 204)),
    security(("bearer" = ["keys:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy
        .revoke_key(&caller, &tenant.parse()?, parsed(&id)?, &conditions.precondition)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(id: &str) -> Result<KeyId, Error> {
    id.parse().map_err(|_| Error::not_found("key", id))
}

fn body(record: Versioned<ApiKeyRecord>) -> ApiKeyBody {
    let ApiKeyRecord { resource, name, hint, created_at } = record.value;
    let ApiKey { id, tenant, scopes, expires_at, .. } = resource;
    let revision = record.revision.as_u64();
    ApiKeyBody { id, tenant, name, hint, scopes, expires_at, created_at, revision }
}
