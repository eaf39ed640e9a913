//! `/api/v1/sessions` and `/api/v1/me`.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{
    Json as Plain,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use tenantry_api::{LogIn, PrincipalBody, ProblemKind, SessionBody};
use tenantry_credentials::{
    access_token::{self, Presented},
    password::{Password, PasswordHash},
};
use tenantry_tenancy::{CreatedSession, Credential, Error, Principal, SessionRecord};

use crate::{
    app::App,
    http::{body::Json, failure::Failure, guard, request::Asking, response::Single},
};

/// An operator logs in.
///
/// Whoever the address belongs to, and whether it belongs to anybody, the answer to a wrong password
/// is the same and takes the same work.
#[utoipa::path(
    post, path = "/api/v1/sessions", operation_id = "logIn", tag = "sessions",
    request_body = LogIn,
    responses((status = 201, body = SessionBody)),
    security(()),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(request): Json<LogIn>,
) -> Result<Single<SessionBody>, Failure> {
    let LogIn { email, password } = request;
    let from = caller.source_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    app.attempts.take(&email, from, app.clock.now()).map_err(too_many)?;
    let account = app.tenancy.log_in_with(&email).await?;
    let (operator, hash) = match account {
        Some((operator, hash)) => (Some(operator), hash),
        None => (None, PasswordHash::nobodys()),
    };
    let (expected, password) = (hash.clone(), Password::presented(password));
    let is_right = app.passwords.run(move || expected.is_of(&password)).await?;
    let operator = operator.filter(|_| is_right).ok_or_else(wrong)?;
    let created = match app.tenancy.create_session(&caller, operator, &hash).await {
        Err(Error::NotFound { .. }) => return Err(wrong()),
        other => other?,
    };
    app.attempts.succeeded(&email, from);
    let CreatedSession { record, secret } = created.value;
    let SessionRecord { id, operator, created_at, expires_at, .. } = record;
    // Nobody can name a log-in, so there is always one.
    let secret = secret.map(|secret| secret.expose().to_owned()).unwrap_or_default();
    let body = SessionBody { id, operator, created_at, expires_at, secret };
    let location = "/api/v1/sessions/current".to_owned();
    Ok(Single::created(location, created.revision.as_u64(), body))
}

/// The session that is presented ends.
#[utoipa::path(
    delete, path = "/api/v1/sessions/current", operation_id = "logOut", tag = "sessions",
    responses((status = 204), (status = 404, description = "")),
    security(("bearer" = [])),
)]
pub async fn end(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    match guard::presented(&headers).and_then(access_token::parse) {
        Some(Presented::Session(digest)) => {
            app.tenancy.end_session(&caller, digest).await?;
            Ok(StatusCode::NO_CONTENT)
        }
        _ => Err(Error::not_found("session", "current").into()),
    }
}

/// Who asks, and what that one may do.
#[utoipa::path(
    get, path = "/api/v1/me", operation_id = "getMe", tag = "sessions",
    responses((status = 200, body = PrincipalBody)),
    security(("bearer" = [])),
)]
pub async fn me(Asking(caller): Asking) -> Plain<PrincipalBody> {
    let principal = caller.principal;
    let mut body = PrincipalBody {
        actor: principal.to_string(),
        operator: None,
        token: None,
        session: None,
        tenant: principal.confinement(),
        permissions: principal.permissions(),
    };
    match principal {
        Principal::Operator { operator, credential, .. } => {
            body.operator = Some(operator);
            match credential {
                Credential::Token(token) => body.token = Some(token),
                Credential::Session(session) => body.session = Some(session),
            }
        }
        Principal::Tenant { token, .. } => body.token = Some(token),
        _ => {}
    }
    Plain(body)
}

fn wrong() -> Failure {
    Failure::new(ProblemKind::Unauthorized, "the address or the password is wrong").with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"tenantry\""),
    )
}

fn too_many(seconds: u64) -> Failure {
    let detail = format!("too many attempts; try again in {seconds} seconds");
    Failure::new(ProblemKind::TooManyAttempts, detail)
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}
