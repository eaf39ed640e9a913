//! `/api/v1/tenants/{tenant}/keys`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde_json::Value;
use tenantry_api::{ApiKeyBody, CreateApiKey, CreatedApiKey, ListQuery, RollApiKey};
use tenantry_model::{ApiKey, KeyId, Timestamp};
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
};

/// `POST` on the collection. This and rolling answer with the secret, and nothing else ever does.
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(key): Json<CreateApiKey>,
) -> Result<Single<CreatedApiKey>, Failure> {
    let tenant: TenantRef = tenant.parse()?;
    Ok(created(app.tenancy.create_key(&caller, &tenant, key).await?))
}

/// `GET` on the collection.
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

/// `GET` on one. It is always sent whole: when it was last used is no part of its revision.
pub async fn get(
    State(app): State<Arc<App>>,
    Names((tenant, id)): Names<(String, String)>,
) -> Result<Single<ApiKeyBody>, Failure> {
    shown(&app, app.tenancy.key(&tenant.parse()?, parsed(&id)?).await?).await
}

/// `PUT` on one.
pub async fn replace(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
    Json(key): Json<CreateApiKey>,
) -> Result<Single<ApiKeyBody>, Failure> {
    let (tenant, id) = (tenant.parse()?, parsed(&id)?);
    let precondition = &conditions.precondition;
    shown(&app, app.tenancy.replace_key(&caller, &tenant, id, &key, precondition).await?).await
}

/// `PATCH` on one.
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

/// `POST .../roll`: a new key in the place of an old one.
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

fn created(created: Versioned<CreatedKey>) -> Single<CreatedApiKey> {
    let Versioned { value: CreatedKey { record, secret }, revision } = created;
    let key = body(Versioned { value: record, revision }, None);
    let location = format!("/api/v1/tenants/{}/keys/{}", key.tenant, key.id);
    let created = CreatedApiKey { key, secret: secret.expose().to_owned() };
    Single::created(location, revision.as_u64(), created)
}

async fn shown(app: &App, record: Versioned<ApiKeyRecord>) -> Result<Single<ApiKeyBody>, Failure> {
    let last_used = app.tenancy.key_last_used(record.value.resource.id).await?;
    let shown = body(record, last_used);
    Ok(Single::ok(shown.revision, shown))
}

fn body(record: Versioned<ApiKeyRecord>, last_used_at: Option<Timestamp>) -> ApiKeyBody {
    let ApiKeyRecord { resource, name, hint, replaces, created_at, updated_at } = record.value;
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
        last_used_at,
        created_at,
        updated_at,
        revision: record.revision.as_u64(),
    }
}
