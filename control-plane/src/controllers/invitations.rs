//! `/api/v1/tenants/{tenant}/invitations` and `/api/v1/invitations/accept`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{
    AcceptInvitation, CreateInvitation, InvitationBody, ListQuery, MemberBody, PageBody,
};
use tenantry_credentials::access_token::parse_invitation;
use tenantry_model::InvitationId;
use tenantry_tenancy::{
    Error, InvitationRecord, InvitationState, NewInvitation, PageRequest, Versioned,
};

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
    openapi::{IfMatch, InvitationName, TenantName},
};

type Answer = Result<Single<InvitationBody>, Failure>;

/// Invites somebody to a tenant.
///
/// The letter is sent soon after; an address has at most one invitation to a tenant at a time.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/invitations", operation_id = "createInvitation",
    tag = "members", params(TenantName), request_body = CreateInvitation,
    responses((status = 201, body = InvitationBody)),
    security(("bearer" = ["members:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(request): Json<CreateInvitation>,
) -> Answer {
    let CreateInvitation { email, role } = request;
    let new = NewInvitation { email, role };
    let created = body(app.tenancy.invite(&caller, &tenant.parse()?, new).await?);
    let location = format!("/api/v1/tenants/{}/invitations/{}", created.tenant, created.id);
    Ok(Single::created(location, created.revision, created))
}

/// The invitations of a tenant, whatever has become of them.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/invitations", operation_id = "listInvitations",
    tag = "members", params(TenantName, ListQuery),
    responses((status = 200, body = PageBody<InvitationBody>)),
    security(("bearer" = ["members:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.invitations(&tenant.parse()?, &request).await?, body))
}

/// One invitation of a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/invitations/{id}", operation_id = "getInvitation",
    tag = "members", params(InvitationName), responses((status = 200, body = InvitationBody)),
    security(("bearer" = ["members:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.invitation(&tenant.parse()?, parsed(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Sends a new token for a pending invitation; the old one is void.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/invitations/{id}/resend",
    operation_id = "resendInvitation", tag = "members", params(InvitationName),
    responses((status = 200, body = InvitationBody), (status = 410)),
    security(("bearer" = ["members:write"])),
)]
pub async fn resend(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
) -> Answer {
    let (tenant, id) = (tenant.parse()?, parsed(&id)?);
    let sent = body(app.tenancy.resend_invitation(&caller, &tenant, id).await?);
    Ok(Single::ok(sent.revision, sent))
}

/// Takes a pending invitation back.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/invitations/{id}",
    operation_id = "revokeInvitation", tag = "members", params(InvitationName, IfMatch),
    responses((status = 204), (status = 410)),
    security(("bearer" = ["members:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, id)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    let (tenant, id, precondition) = (tenant.parse()?, parsed(&id)?, &conditions.precondition);
    app.tenancy.revoke_invitation(&caller, &tenant, id, precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes whoever has the token of an invitation a member.
///
/// No other credential is needed. An unknown token is 404; one that was used, taken back, or has
/// expired is 410.
#[utoipa::path(
    post, path = "/api/v1/invitations/accept", operation_id = "acceptInvitation", tag = "members",
    request_body = AcceptInvitation,
    responses((status = 200, body = MemberBody), (status = 404), (status = 410)),
    security(()),
)]
pub async fn accept(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(request): Json<AcceptInvitation>,
) -> Result<Single<MemberBody>, Failure> {
    let digest = parse_invitation(&request.token)
        .ok_or_else(|| Error::not_found("invitation", "with this token"))?;
    let member = app.tenancy.accept_invitation(&caller, digest).await?;
    let member = members::body(&app, member).await?;
    Ok(Single::ok(member.revision, member))
}

fn parsed(id: &str) -> Result<InvitationId, Error> {
    id.parse().map_err(|_| Error::not_found("invitation", id))
}

pub(super) fn body(record: Versioned<InvitationRecord>) -> InvitationBody {
    let InvitationRecord {
        id,
        tenant,
        email,
        role,
        state,
        invited_by,
        expires_at,
        accepted_by,
        created_at,
        updated_at,
        ..
    } = record.value;
    let state = match state {
        InvitationState::Pending => "pending",
        InvitationState::Accepted => "accepted",
        InvitationState::Revoked => "revoked",
        InvitationState::Expired => "expired",
    };
    InvitationBody {
        id,
        tenant,
        email,
        role,
        state: state.to_owned(),
        invited_by,
        expires_at,
        accepted_by,
        created_at,
        updated_at,
        revision: record.revision.as_u64(),
    }
}
