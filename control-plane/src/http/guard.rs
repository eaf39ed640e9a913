//! Who may ask: every request of the API passes here before any handler runs.
//!
//! First who asks, then how far that one reaches, then what the operation needs, which its attribute
//! says ([`Need`]). One that does not say cannot be reached. Whoever
//! belongs to a tenant is told of another one what it would be told of none: 404, in the same words,
//! before anything else of the request is looked at.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts as _, MatchedPath, RawPathParams, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tenantry_api::ProblemKind;
use tenantry_credentials::access_token;
use tenantry_model::TenantId;
use tenantry_tenancy::{Denial, Error, Principal, TenantRef};

use super::{failure::Failure, rate::Subject, request::caller};
use crate::{
    app::App,
    openapi::{Document, Need},
    token::Token,
};

/// What is under one tenant, for those who belong to it as for operators.
const OF_TENANTS: &str = "/api/v1/tenants/{tenant}";
/// Where whoever belongs to a tenant sees that one.
const TENANTS: &str = "/api/v1/tenants";

/// Lets pass who may ask for this, and writes down who may not.
pub async fn guard(
    State((app, document)): State<(Arc<App>, Arc<Document>)>,
    request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let admitted = admitted(&app, &document, &mut parts).await;
    let (mut answer, is_denied, level) =
        match app.rate_limiter.admit(subject(&parts), app.clock.now()) {
            // What comes too fast is counted by the limiter.
            Err((failure, level)) => (failure.into_response(), false, level),
            Ok(level) => match admitted {
                Ok(principal) => {
                    parts.extensions.insert(principal.clone());
                    let answer = next.run(Request::from_parts(parts.clone(), body)).await;
                    let is_denied = is_denied(&principal, answer.status());
                    (answer, is_denied, level)
                }
                Err(failure) => {
                    let answer = failure.into_response();
                    let status = answer.status();
                    let is_denied =
                        status.is_client_error() && status != StatusCode::METHOD_NOT_ALLOWED;
                    (answer, is_denied, level)
                }
            },
        };
    level.show(&mut answer);
    if is_denied {
        note(&app, &parts, answer.status()).await;
    }
    answer
}

/// Whether a handler has refused who asks, not only what was asked for.
fn is_denied(principal: &Principal, status: StatusCode) -> bool {
    match status {
        StatusCode::FORBIDDEN => true,
        // A password or a token in the body was wrong, or there were too many of them.
        StatusCode::UNAUTHORIZED
        | StatusCode::NOT_FOUND
        | StatusCode::GONE
        | StatusCode::TOO_MANY_REQUESTS => *principal == Principal::Anonymous,
        _ => false,
    }
}

/// Whose requests are counted together.
fn subject(parts: &Parts) -> Subject {
    match parts.extensions.get::<Principal>() {
        None | Some(Principal::Anonymous) => {
            let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            Subject::address(from.map_or(Ipv4Addr::UNSPECIFIED.into(), |from| from.0.ip()))
        }
        Some(Principal::Operator { operator, .. }) => Subject::Principal(operator.to_string()),
        Some(principal) => Subject::Principal(principal.to_string()),
    }
}

/// Who asks, if it may.
async fn admitted(app: &App, document: &Document, parts: &mut Parts) -> Result<Principal, Failure> {
    let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let need = path.as_deref().and_then(|path| document.need(&parts.method, path));
    if need == Some(&Need::Nothing) {
        return Ok(Principal::Anonymous);
    }
    let Some(principal) = principal(app, &parts.headers).await? else {
        return Err(unauthorized("send a valid token as `Authorization: Bearer ...`"));
    };
    // Kept for whoever writes down a refusal.
    parts.extensions.insert(principal.clone());
    // What is not there at all is answered behind.
    let Some(path) = path else { return Ok(principal) };
    let Some(Need::All(permissions)) = need else {
        return Err(no_such_method(&parts.method, document.allowed(&path)));
    };
    if let Some(tenant) = principal.confinement() {
        if path.starts_with(OF_TENANTS) {
            reaches(app, parts, tenant).await?;
        } else if !(permissions.is_empty() || (path == TENANTS && parts.method.is_safe())) {
            let detail = "your credential is of one tenant; this concerns the whole platform";
            return Err(Failure::new(ProblemKind::Forbidden, detail));
        }
    }
    match permissions.iter().find(|permission| !principal.may(**permission)) {
        None => Ok(principal),
        Some(permission) => {
            let detail = format!("this needs the permission {permission}");
            Err(Failure::new(ProblemKind::Forbidden, detail))
        }
    }
}

/// The answer is one and the same whether the tenant is another one or none.
async fn reaches(app: &App, parts: &mut Parts, own: TenantId) -> Result<(), Failure> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok();
    let named =
        params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "tenant"));
    let named = named.map(|(_, value)| value).unwrap_or_default();
    let is_own = match named.parse()? {
        TenantRef::Id(id) => id == own,
        TenantRef::Slug(slug) => {
            let tenant = app.tenancy.tenant(&TenantRef::Id(own)).await?;
            tenant.value.resource.slug == slug
        }
    };
    if is_own { Ok(()) } else { Err(Error::not_found("tenant", named).into()) }
}

async fn principal(app: &App, headers: &HeaderMap) -> Result<Option<Principal>, Failure> {
    let Some(presented) = presented(headers) else { return Ok(None) };
    if is(&app.root_token, presented) {
        return Ok(Some(Principal::Root));
    }
    match access_token::parse(presented) {
        Some(presented) => Ok(app.tenancy.principal(presented).await?),
        None => Ok(None),
    }
}

/// The one bearer token of a request.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, presented) = value.to_str().ok()?.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case("Bearer ").then_some(presented)
}

fn is(token: &Token, presented: &str) -> bool {
    token.is(presented.as_bytes())
}

pub(crate) fn unauthorized(detail: &'static str) -> Failure {
    Failure::new(ProblemKind::Unauthorized, detail).with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"tenantry\""),
    )
}

fn no_such_method(method: &Method, allowed: Option<String>) -> Failure {
    let failure = Failure::new(
        ProblemKind::MethodNotAllowed,
        format!("{method} is not one of those in Allow"),
    );
    match allowed.and_then(|allowed| HeaderValue::try_from(allowed).ok()) {
        Some(allowed) => failure.with_header(header::ALLOW, allowed),
        None => failure,
    }
}

/// Writes down an attempt that was refused, within the bounds of [`Denials`].
///
/// [`Denials`]: super::denials::Denials
async fn note(app: &App, parts: &Parts, status: StatusCode) {
    let principal = parts.extensions.get::<Principal>().unwrap_or(&Principal::Anonymous);
    let source = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
    if !app.denials.is_shown(principal, source) {
        return;
    }
    let denial = Denial {
        method: Some(parts.method.to_string()),
        path: Some(parts.uri.path().chars().take(MAX_SHOWN_PATH).collect()),
        status: Some(status.as_u16()),
        count: 1,
        source: None,
    };
    if let Err(error) = app.tenancy.record_denial(&caller(parts), &denial).await {
        tracing::warn!(%error, "a refused attempt could not be written down");
    }
}

/// Characters of a path that an audit entry shows.
const MAX_SHOWN_PATH: usize = 200;
