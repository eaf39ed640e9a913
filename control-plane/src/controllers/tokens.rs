//! `/api/v1/operators/{operator}/tokens` and `/api/v1/tenants/{tenant}/tokens`.

use std::{fmt::Display, sync::Arc};

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{CreateTenantToken, CreateToken, CreatedToken, ListQuery, PageBody, TokenBody};
use tenantry_model::{TenantId, TokenId};
use tenantry_tenancy::{
    Caller, Error, NewToken, PageRequest, TenantGrant, TenantRef, TokenHolder, TokenRecord,
    Versioned, token,
};

use super::operators;
use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::Single,
    },
    openapi::{IfMatch, OperatorName, OperatorTokenName, TenantName, TenantTokenName},
};

/// Makes an access token of an operator.
///
/// The answer is the only one that ever holds the secret.
#[utoipa::path(
    post, path = "/api/v1/operators/{operator}/tokens", operation_id = "createOperatorToken", tag = "operators",
    params(OperatorName),
    request_body = CreateToken,
    responses((status = 201, body = CreatedToken)),
    security(("bearer" = ["operators:write"])),
)]
pub async fn create_of_operator(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(operator): Names<String>,
    Json(request): Json<CreateToken>,
) -> Result<Single<CreatedToken>, Failure> {
    let CreateToken { name, scopes, expires_at } = request;
    let operator = operators::parsed(&operator)?;
    let token = NewToken { name, grant: scopes, expires_at };
    let made = app.tenancy.create_operator_token(&caller, operator, token).await?;
    Ok(created(&format!("operators/{operator}"), made))
}

/// Makes an access token that reaches one tenant only.
///
/// The answer is the only one that ever holds the secret.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/tokens", operation_id = "createTenantToken", tag = "members",
    params(TenantName),
    request_body = CreateTenantToken,
    responses((status = 201, body = CreatedToken)),
    security(("bearer" = ["members:write"])),
)]
pub async fn create_of_tenant(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(request): Json<CreateTenantToken>,
) -> Result<Single<CreatedToken>, Failure> {
    let tenant: TenantRef = tenant.parse()?;
    let CreateTenantToken { name, role, member, scopes, expires_at } = request;
    let grant = match (role, member, scopes) {
        (Some(role), None, None) => TenantGrant::Role(role),
        (None, Some(member), None) => TenantGrant::Member(member),
        (None, None, Some(scopes)) => TenantGrant::Scopes(scopes),
        _ => {
            let detail = "give one of role, member and scopes".to_owned();
            return Err(Error::Invalid { pointer: String::new(), detail }.into());
        }
    };
    let token = NewToken { name, grant, expires_at };
    let made = app.tenancy.create_tenant_token(&caller, &tenant, token).await?;
    Ok(created(&format!("tenants/{tenant}"), made))
}

/// The access tokens of an operator, without their secrets.
#[utoipa::path(
    get, path = "/api/v1/operators/{operator}/tokens", operation_id = "listOperatorTokens", tag = "operators",
    params(OperatorName, ListQuery),
    responses((status = 200, body = PageBody<TokenBody>)),
    security(("bearer" = ["operators:read"])),
)]
pub async fn list_of_operator(
    State(app): State<Arc<App>>,
    Names(operator): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let operator = app.tenancy.operator(operators::parsed(&operator)?).await?.value.id;
    listed(&app, operator, query).await
}

/// The access tokens of a tenant, without their secrets.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/tokens", operation_id = "listTenantTokens", tag = "members",
    params(TenantName, ListQuery),
    responses((status = 200, body = PageBody<TokenBody>)),
    security(("bearer" = ["members:read"])),
)]
pub async fn list_of_tenant(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    listed(&app, owner(&app, &tenant).await?, query).await
}

/// One access token of an operator.
#[utoipa::path(
    get, path = "/api/v1/operators/{operator}/tokens/{id}", operation_id = "getOperatorToken", tag = "operators",
    params(OperatorTokenName),
    responses((status = 200, body = TokenBody)),
    security(("bearer" = ["operators:read"])),
)]
pub async fn get_of_operator(
    State(app): State<Arc<App>>,
    Names((operator, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<Single<TokenBody>, Failure> {
    shown(&app, operators::parsed(&operator)?, &id, &conditions).await
}

/// One access token of a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/tokens/{id}", operation_id = "getTenantToken", tag = "members",
    params(TenantTokenName),
    responses((status = 200, body = TokenBody)),
    security(("bearer" = ["members:read"])),
)]
pub async fn get_of_tenant(
    State(app): State<Arc<App>>,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<Single<TokenBody>, Failure> {
    shown(&app, owner(&app, &tenant).await?, &id, &conditions).await
}

/// Revokes an access token of an operator for good.
#[utoipa::path(
    delete, path = "/api/v1/operators/{operator}/tokens/{id}", operation_id = "revokeOperatorToken", tag = "operators",
    params(OperatorTokenName, IfMatch),
    responses((status = 204)),
    security(("bearer" = ["operators:write"])),
)]
pub async fn delete_of_operator(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((operator, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    revoked(&app, &caller, operators::parsed(&operator)?, &id, &conditions).await
}

/// Revokes an access token of a tenant for good.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/tokens/{id}", operation_id = "revokeTenantToken", tag = "members",
    params(TenantTokenName, IfMatch),
    responses((status = 204)),
    security(("bearer" = ["members:write"])),
)]
pub async fn delete_of_tenant(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    revoked(&app, &caller, owner(&app, &tenant).await?, &id, &conditions).await
}

async fn owner(app: &App, tenant: &str) -> Result<TenantId, Error> {
    Ok(app.tenancy.tenant(&tenant.parse()?).await?.value.resource.id)
}

async fn listed(
    app: &App,
    holder: impl Display,
    query: ListQuery,
) -> Result<axum::Json<PageBody<TokenBody>>, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    let found = app.tenancy.tokens(holder, &request).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for token in found.items {
        items.push(body(app, token).await?);
    }
    Ok(axum::Json(PageBody { items, next_cursor: found.next_cursor }))
}

async fn shown(
    app: &App,
    holder: impl Display,
    id: &str,
    conditions: &Conditions,
) -> Result<Single<TokenBody>, Failure> {
    let found = body(app, app.tenancy.token(holder, parsed(id)?).await?).await?;
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

async fn revoked(
    app: &App,
    caller: &Caller,
    holder: impl Display,
    id: &str,
    conditions: &Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy.revoke_token(caller, holder, parsed(id)?, &conditions.precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(id: &str) -> Result<TokenId, Error> {
    id.parse().map_err(|_| Error::not_found("token", id))
}

fn created(under: &str, made: Versioned<token::CreatedToken>) -> Single<CreatedToken> {
    let Versioned { value: token::CreatedToken { record, secret }, revision } = made;
    let token = unused(Versioned { value: record, revision });
    let location = format!("/api/v1/{under}/tokens/{}", token.id);
    let created = CreatedToken { token, secret: secret.map(|secret| secret.expose().to_owned()) };
    Single::created(location, revision.as_u64(), created)
}

async fn body(app: &App, record: Versioned<TokenRecord>) -> Result<TokenBody, Error> {
    let last_used_at = app.tenancy.token_used(record.value.id).await?;
    Ok(TokenBody { last_used_at, ..unused(record) })
}

fn unused(record: Versioned<TokenRecord>) -> TokenBody {
    let TokenRecord { id, name, holder, hint, expires_at, created_at, .. } = record.value;
    let mut body = TokenBody {
        id,
        name,
        operator: None,
        tenant: None,
        role: None,
        member: None,
        scopes: None,
        hint,
        expires_at,
        last_used_at: None,
        created_at,
        revision: record.revision.as_u64(),
    };
    match holder {
        TokenHolder::Operator { id, scopes } => {
            body.operator = Some(id);
            body.scopes = scopes;
        }
        TokenHolder::Tenant { id, grant } => {
            body.tenant = Some(id);
            match grant {
                TenantGrant::Role(role) => body.role = Some(role),
                TenantGrant::Member(member) => body.member = Some(member),
                TenantGrant::Scopes(scopes) => body.scopes = Some(scopes),
            }
        }
    }
    body
}
