//! `/api/v1/tenants/{tenant}/members`.

use std::sync::Arc;

use axum::{Json as Plain, extract::State, http::StatusCode};
use tenantry_api::{AddMember, ChangeMember, ListQuery, MemberBody, PageBody};
use tenantry_model::UserId;
use tenantry_tenancy::{Error, Joining, Listing, MemberRecord, PageRequest, TenantRef, Versioned};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::Single,
    },
    openapi::{IfMatch, MemberName, TenantName},
};

type Answer = Result<Single<MemberBody>, Failure>;

/// Makes somebody a member without asking. Tenants invite instead.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/members", operation_id = "addMember", tag = "members",
    params(TenantName),
    request_body = AddMember,
    responses((status = 201, body = MemberBody)),
    security(("bearer" = ["users:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Json(request): Json<AddMember>,
) -> Answer {
    let tenant: TenantRef = tenant.parse()?;
    let AddMember { user, email, role } = request;
    let who = match (user, email) {
        (Some(user), None) => Joining::User(user),
        (None, Some(email)) => Joining::Email(email),
        _ => {
            let detail = "give either a user or an e-mail address".to_owned();
            return Err(Error::Invalid { pointer: String::new(), detail }.into());
        }
    };
    let added = body(&app, app.tenancy.add_member(&caller, &tenant, who, role).await?).await?;
    let location = format!("/api/v1/tenants/{}/members/{}", added.tenant, added.user);
    Ok(Single::created(location, added.revision, added))
}

/// The members of a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/members", operation_id = "listMembers", tag = "members",
    params(TenantName, ListQuery),
    responses((status = 200, body = PageBody<MemberBody>)),
    security(("bearer" = ["members:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Plain<PageBody<MemberBody>>, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    shown(&app, app.tenancy.members(&tenant.parse()?, &request).await?).await
}

/// One member of a tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/members/{user}", operation_id = "getMember", tag = "members",
    params(MemberName),
    responses((status = 200, body = MemberBody)),
    security(("bearer" = ["members:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names((tenant, user)): Names<(String, String)>,
    conditions: Conditions,
) -> Answer {
    let found = app.tenancy.member(&tenant.parse()?, parsed(&user)?).await?;
    let found = body(&app, found).await?;
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Gives a member another role. The last owner stays one.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenant}/members/{user}", operation_id = "changeMember", tag = "members",
    params(MemberName, IfMatch),
    request_body = ChangeMember,
    responses((status = 200, body = MemberBody)),
    security(("bearer" = ["members:write"])),
)]
pub async fn change(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, user)): Names<(String, String)>,
    conditions: Conditions,
    Json(request): Json<ChangeMember>,
) -> Answer {
    let (tenant, user, precondition) = (tenant.parse()?, parsed(&user)?, &conditions.precondition);
    let changed =
        app.tenancy.change_role(&caller, &tenant, user, request.role, precondition).await?;
    let changed = body(&app, changed).await?;
    Ok(Single::ok(changed.revision, changed))
}

/// Ends a membership. The last owner stays.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/members/{user}", operation_id = "removeMember", tag = "members",
    params(MemberName, IfMatch),
    responses((status = 204)),
    security(("bearer" = ["members:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, user)): Names<(String, String)>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    let (tenant, user, precondition) = (tenant.parse()?, parsed(&user)?, &conditions.precondition);
    app.tenancy.remove_member(&caller, &tenant, user, precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(id: &str) -> Result<UserId, Error> {
    id.parse().map_err(|_| Error::not_found("member", id))
}

/// Memberships with what is known of their users.
pub(super) async fn shown(
    app: &App,
    listing: Listing<MemberRecord>,
) -> Result<Plain<PageBody<MemberBody>>, Failure> {
    let mut items = Vec::with_capacity(listing.items.len());
    for member in listing.items {
        items.push(body(app, member).await?);
    }
    Ok(Plain(PageBody { items, next_cursor: listing.next_cursor }))
}

pub(super) async fn body(
    app: &App,
    record: Versioned<MemberRecord>,
) -> Result<MemberBody, Failure> {
    let MemberRecord { tenant, user, role, created_at, updated_at } = record.value;
    // A user who is removed while the page is made has left all tenants before.
    let person = match app.tenancy.user(user).await {
        Ok(person) => Some(person.value.spec),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(MemberBody {
        tenant,
        user,
        name: person.as_ref().and_then(|person| person.name.clone()),
        email: person.as_ref().and_then(|person| person.email.clone()),
        role,
        preferred: person.is_some_and(|person| person.preferred_tenant == Some(tenant)),
        created_at,
        updated_at,
        revision: record.revision.as_u64(),
    })
}
