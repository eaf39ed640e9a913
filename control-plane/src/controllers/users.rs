//! `/api/v1/users`.

use std::sync::Arc;

use axum::{Json as Plain, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::Value;
use tenantry_api::{CreateUser, ListQuery, MemberBody, PageBody, UserBody, UserQuery};
use tenantry_model::UserId;
use tenantry_tenancy::{Error, PageRequest, UserRecord, UserSpec, Versioned};

use super::members;
use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{IfMatch, MergePatch, UserName},
};

type Answer = Result<Single<UserBody>, Failure>;

/// Makes a user who belongs to no tenant yet.
#[utoipa::path(
    post, path = "/api/v1/users", operation_id = "createUser", tag = "users",
    request_body = CreateUser,
    responses((status = 201, body = UserBody)),
    security(("bearer" = ["users:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(request): Json<CreateUser>,
) -> Answer {
    let CreateUser { name, email, issuer, subject, preferred_tenant } = request;
    let spec = UserSpec { name, email, issuer, subject, preferred_tenant };
    let created = body(app.tenancy.create_user(&caller, spec).await?);
    let location = format!("/api/v1/users/{}", created.id);
    Ok(Single::created(location, created.revision, created))
}

/// The users of all tenants, or the one with an address.
#[utoipa::path(
    get, path = "/api/v1/users", operation_id = "listUsers", tag = "users",
    params(UserQuery),
    responses((status = 200, body = PageBody<UserBody>)),
    security(("bearer" = ["users:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<UserQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.users(query.email.as_ref(), &request).await?, body))
}

/// One user.
#[utoipa::path(
    get, path = "/api/v1/users/{user}", operation_id = "getUser", tag = "users",
    params(UserName),
    responses((status = 200, body = UserBody)),
    security(("bearer" = ["users:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(user): Names<String>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.user(parsed(&user)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// The tenants that a user belongs to.
#[utoipa::path(
    get, path = "/api/v1/users/{user}/memberships", operation_id = "listMemberships", tag = "users",
    params(UserName, ListQuery),
    responses((status = 200, body = PageBody<MemberBody>)),
    security(("bearer" = ["users:read"])),
)]
pub async fn memberships(
    State(app): State<Arc<App>>,
    Names(user): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Plain<PageBody<MemberBody>>, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    members::shown(&app, app.tenancy.memberships(parsed(&user)?, &request).await?).await
}

/// Changes a user.
#[utoipa::path(
    patch, path = "/api/v1/users/{user}", operation_id = "patchUser", tag = "users",
    params(UserName, IfMatch),
    request_body(content = MergePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, body = UserBody)),
    security(("bearer" = ["users:write"])),
)]
pub async fn patch(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(user): Names<String>,
    conditions: Conditions,
    Json(patch): Json<Value>,
) -> Answer {
    let (user, precondition) = (parsed(&user)?, &conditions.precondition);
    let changed = body(app.tenancy.patch_user(&caller, user, &patch, precondition).await?);
    Ok(Single::ok(changed.revision, changed))
}

/// Removes a user who belongs to no tenant.
#[utoipa::path(
    delete, path = "/api/v1/users/{user}", operation_id = "deleteUser", tag = "users",
    params(UserName, IfMatch),
    responses((status = 204)),
    security(("bearer" = ["users:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(user): Names<String>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy.delete_user(&caller, parsed(&user)?, &conditions.precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn parsed(id: &str) -> Result<UserId, Error> {
    id.parse().map_err(|_| Error::not_found("user", id))
}

fn body(record: Versioned<UserRecord>) -> UserBody {
    let UserRecord { id, spec, created_at, updated_at } = record.value;
    let UserSpec { name, email, issuer, subject, preferred_tenant } = spec;
    let revision = record.revision.as_u64();
    UserBody {
        id,
        name,
        email,
        issuer,
        subject,
        preferred_tenant,
        created_at,
        updated_at,
        revision,
    }
}
