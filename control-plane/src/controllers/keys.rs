//! `/api/v1/tenants/{tenant}/keys`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde_json::Value;
use tenantry_api::{ApiKeyBody, CreatedApiKey, ListQuery, PageBody, RollApiKey};
use tenantry_model::{ApiKey, KeyId, KeySpec, Timestamp};
use tenantry_tenancy::{
    ApiKeyRecord, CreatedKey, Error, KeyRoll, PageRequest, TenantRef, Versioned,
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
    openapi::{IfMatch, KeyName, MergePatch, TenantName},
};

/// Makes an API key.
///
/// This and rolling answer with the secret, and nothing else ever does.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/keys", operation_id = "createKey", tag = "keys",
    params(TenantName), request_body = KeySpec,
    responses((status = 201, body = CreatedApiKey)),
    security(("bearer" = ["keys:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(key): Json<KeySpec>,
) -> Result<Single<CreatedApiKey>, Failure> {
    let tenant: TenantRef = tenant.parse()?;
    Ok(created(app.tenancy.create_key(&caller, &tenant, key).await?))
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
    let keys = app.tenancy.keys(&tenant.parse()?, &request).await?;
    let mut last_used = Vec::with_capacity(keys.items.len());
    for key in &keys.items {
        last_used.push(app.tenancy.key_last_used(key.value.resource.id).await?);
    }
    let mut last_used = last_used.into_iter();
    Ok(page(keys, move |key| body(key, last_used.next().flatten())))
}

/// One API key of a tenant, without its secret.
///
/// It is always sent whole: when it was last used is no part of its revision.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/keys/{id}", operation_id = "getKey", tag = "keys",
    params(KeyName), responses((status = 200, body = ApiKeyBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names((tenant, id)): Names<(String, String)>,
) -> Result<Single<ApiKeyBody>, Failure> {
    shown(&app, app.tenancy.key(&tenant.parse()?, parsed(&id)?).await?).await
}

/// Replaces what may be written of an API key.
///
/// What is not given falls back to its default. The secret stays.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/keys/{id}", operation_id = "replaceKey", tag = "keys",
    params(KeyName, IfMatch), request_body = KeySpec,
    responses((status = 200, body = ApiKeyBody)),
    security(("bearer" = ["keys:write"])),
)]
pub async fn replace(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
    Json(key): Json<KeySpec>,
) -> Result<Single<ApiKeyBody>, Failure> {
    let (tenant, id) = (tenant.parse()?, parsed(&id)?);
    let precondition = &conditions.precondition;
    shown(&app, app.tenancy.replace_key(&caller, &tenant, id, &key, precondition).await?).await
}

/// Changes some fields of an API key.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenant}/keys/{id}", operation_id = "patchKey", tag = "keys",
    params(KeyName, IfMatch),
    request_body(content = MergePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, body = ApiKeyBody)),
    security(("bearer" = ["keys:write"])),
)]
pub async fn patch(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
    Json(patch): Json<Value>,
) -> Result<Single<ApiKeyBody>, Failure> {
    let (tenant, id) = (tenant.parse()?, parsed(&id)?);
    let precondition = &conditions.precondition;
    shown(&app, app.tenancy.patch_key(&caller, &tenant, id, &patch, precondition).await?).await
}

/// Makes a new API key in the place of an old one.
///
/// The new key may do what the old one may. The old one expires when the overlap ends, and is refused at
/// once if there is none.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/keys/{id}/roll", operation_id = "rollKey", tag = "keys",
    params(KeyName, IfMatch), request_body = RollApiKey,
    responses((status = 201, body = CreatedApiKey)),
    security(("bearer" = ["keys:write"])),
)]
pub async fn roll(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
    Json(request): Json<RollApiKey>,
) -> Result<Single<CreatedApiKey>, Failure> {
    let (tenant, id) = (tenant.parse()?, parsed(&id)?);
    let RollApiKey { overlap_seconds, expires_at } = request;
    let roll = KeyRoll { overlap_seconds, expires_at };
    Ok(created(app.tenancy.roll_key(&caller, &tenant, id, roll, &conditions.precondition).await?))
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

fn created(created: Versioned<CreatedKey>) -> Single<CreatedApiKey> {
    let created = shown_once(created);
    let location = format!("/api/v1/tenants/{}/keys/{}", created.key.tenant, created.key.id);
    Single::created(location, created.key.revision, created)
}

/// The key with its secret, which nothing else answers with.
pub(super) fn shown_once(created: Versioned<CreatedKey>) -> CreatedApiKey {
    let Versioned { value: CreatedKey { record, secret }, revision } = created;
    let key = body(Versioned { value: record, revision }, None);
    CreatedApiKey { key, secret: secret.map(|secret| secret.expose().to_owned()) }
}

async fn shown(app: &App, record: Versioned<ApiKeyRecord>) -> Result<Single<ApiKeyBody>, Failure> {
    let last_used = app.tenancy.key_last_used(record.value.resource.id).await?;
    let shown = body(record, last_used);
    Ok(Single::ok(shown.revision, shown))
}

fn body(record: Versioned<ApiKeyRecord>, last_used_at: Option<Timestamp>) -> ApiKeyBody {
    let ApiKeyRecord { resource, name, hint, replaces, replaced_by, created_at, updated_at } =
        record.value;
    let ApiKey { id, tenant, scopes, expires_at, enabled, allowed_networks, rate_limits, .. } =
        resource;
    ApiKeyBody {
        id,
        tenant,
        name,
        hint,
        scopes,
        expires_at,
        enabled,
        allowed_networks,
        rate_limits,
        replaces,
        replaced_by,
        last_used_at,
        created_at,
        updated_at,
        revision: record.revision.as_u64(),
    }
}
