//! `/api/v1/tenants/{tenant}/keys`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{ApiKeyBody, CreateApiKey, CreatedApiKey, ListQuery};
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
};

/// `POST` on the collection. The only answer that ever holds the secret.
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
    let created = CreatedApiKey { key, secret: secret.expose().to_owned() };
    Ok(Single::created(location, revision.as_u64(), created))
}

/// `GET` on the collection.
pub async fn list(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.keys(&tenant.parse()?, &request).await?, body))
}

/// `GET` on one.
pub async fn get(
    State(app): State<Arc<App>>,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<Single<ApiKeyBody>, Failure> {
    let found = body(app.tenancy.key(&tenant.parse()?, parsed(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// `DELETE` on one: the key is revoked.
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
