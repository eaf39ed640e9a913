//! `/api/v1/tenants`.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use serde_json::{Map, Value, json, value::RawValue};
use tenantry_api::{
    CreateTenant, CreatedTenant, DeleteTenantQuery, DeletionCertificateBody, EffectiveBody,
    EffectiveQuery, FirstAdmin, ListQuery, PageBody, ProblemKind, PurgeTenant, SuspendTenant,
    TenantBody, TenantQuery,
};
use tenantry_model::{Permission, TenantSpec};
use tenantry_tenancy::{
    Caller, DeletionCertificate, Effective, Error, NewInvitation, NewTenant, PageRequest,
    TenantFilter, TenantRecord, Transition, Versioned, merge,
};

use crate::{
    app::App,
    controllers::{invitations, keys},
    http::{
        body::{Json, Names, Parameters, misplaced, parameter, without_bookkeeping},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{IfMatch, MergePatch, PurgedTenantName, TenantName},
};

/// What who is invited first becomes, unless it is said.
const FIRST_ROLE: &str = "owner";

type Answer = Result<Single<TenantBody>, Failure>;

/// Makes a tenant, with what it starts with, in one commit.
#[utoipa::path(
    post, path = "/api/v1/tenants", operation_id = "createTenant", tag = "tenants",
    request_body = CreateTenant, responses((status = 201, body = CreatedTenant)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(document): Json<Map<String, Value>>,
) -> Result<Single<CreatedTenant>, Failure> {
    let CreateTenant { spec, start } = CreateTenant::parse(document).map_err(misplaced)?;
    // What is made with it needs what it would need by itself.
    needed(&caller, !start.domains.is_empty(), Permission::DomainsWrite)?;
    needed(&caller, start.key.is_some(), Permission::KeysWrite)?;
    needed(&caller, start.admin.is_some(), Permission::MembersWrite)?;
    let invitation = start.admin.map(first_admin).transpose()?;
    let tenant = NewTenant {
        spec,
        domains: start.domains,
        state: start.state.unwrap_or_default().into(),
        key: start.key,
        invitation,
    };
    let Versioned { value, revision } = app.tenancy.create_tenant(&caller, tenant).await?;
    let versioned = |value| Versioned { value, revision };
    let created = CreatedTenant {
        tenant: body(Versioned { value: value.record, revision }),
        key: value.key.map(|key| keys::shown_once(Versioned { value: key, revision })),
        invitation: value.invitation.map(versioned).map(invitations::body),
    };
    let location = format!("/api/v1/tenants/{}", created.tenant.id);
    Ok(Single::created(location, revision.as_u64(), created))
}

/// Who is invited first.
fn needed(caller: &Caller, is_used: bool, permission: Permission) -> Result<(), Failure> {
    if !is_used || caller.principal.may(permission) {
        return Ok(());
    }
    let detail = format!("what the tenant is made with needs the permission {permission}");
    Err(Failure::new(ProblemKind::Forbidden, detail))
}

pub(super) fn first_admin(admin: FirstAdmin) -> Result<NewInvitation, Error> {
    let role = match admin.role {
        Some(role) => role,
        None => merge::parse(FIRST_ROLE.into())?,
    };
    Ok(NewInvitation { email: admin.email, role })
}

/// Tenants.
#[utoipa::path(
    get, path = "/api/v1/tenants", operation_id = "listTenants", tag = "tenants",
    params(TenantQuery), responses((status = 200, body = PageBody<TenantBody>)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Parameters(query): Parameters<TenantQuery>,
) -> Result<impl IntoResponse, Failure> {
    let TenantQuery { limit, cursor, state, plan, group, region, label, q, filter, order_by } =
        query;
    let filter = TenantFilter {
        id: caller.principal.confinement(),
        state,
        plan,
        group,
        region,
        label: parameter("label", label.as_deref())?,
        text: q,
        filter: parameter("filter", filter.as_deref())?,
        order: parameter("order_by", order_by.as_deref())?.unwrap_or_default(),
    };
    let request = PageRequest::new(limit, cursor)?;
    let found = app.tenancy.find_tenants(&filter, &request).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for Versioned { value: id, revision } in found.items {
        items.push(match app.shown_tenants.get(id, revision) {
            Some(shown) => shown,
            None => shown(&app, app.tenancy.tenant_at(id, found.at).await?)?,
        });
    }
    Ok(axum::Json(PageBody { items, next_cursor: found.next_cursor }))
}

/// A tenant as JSON, kept for the next list.
fn shown(app: &App, tenant: Versioned<TenantRecord>) -> Result<Arc<RawValue>, Failure> {
    let (id, revision) = (tenant.value.resource.id, tenant.revision);
    let unwritable = |_| Failure::new(ProblemKind::Internal, "a tenant has no form in JSON");
    app.shown_tenants.keep(id, revision, &body(tenant)).map_err(unwritable)
}

/// One tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}", operation_id = "getTenant", tag = "tenants",
    params(TenantName), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.tenant(&tenant.parse()?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// What holds for a tenant.
///
/// Its limits and features once default, plan, group and its own overrides are put together; with
/// `explain=1` also who said each of them.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/effective", operation_id = "getEffective", tag = "tenants",
    params(TenantName, EffectiveQuery), responses((status = 200, body = EffectiveBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn effective(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<EffectiveQuery>,
    conditions: Conditions,
) -> Result<Single<EffectiveBody>, Failure> {
    let Versioned { value, revision } = app.tenancy.effective(&tenant.parse()?).await?;
    let Effective { tenant, limits, features } = &value;
    let revision = revision.as_u64();
    let body = EffectiveBody::new(tenant, limits, features, query, revision);
    Ok(Single::ok(revision, body).unless(&conditions.known))
}

/// Replaces what may be written of a tenant.
///
/// What is not given falls back to its default. What is read can be sent back as it is: the times and the
/// revision are passed over, and what cannot be written must be what it was.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}", operation_id = "replaceTenant", tag = "tenants",
    params(TenantName, IfMatch), request_body = TenantSpec,
    responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn replace(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(mut document): Json<Map<String, Value>>,
) -> Answer {
    let (tenant, precondition) = (tenant.parse()?, &conditions.precondition);
    without_bookkeeping(&mut document);
    let unwritable = unwritable(&mut document);
    if !unwritable.is_empty() {
        let current = serde_json::to_value(body(app.tenancy.tenant(&tenant).await?));
        let current = current.unwrap_or_default();
        if let Some((name, _)) =
            unwritable.iter().find(|(name, value)| current.get(name) != Some(value))
        {
            let detail =
                "this is not written: leave it out, or as it is; states have actions of their own";
            return Err(Failure::new(ProblemKind::Invalid, detail).at(format!("/{name}")));
        }
    }
    let spec: TenantSpec = merge::parse(Value::Object(document))?;
    changed(app.tenancy.replace_tenant(&caller, &tenant, &spec, precondition).await?)
}

/// Takes out what is shown of a tenant and cannot be written.
fn unwritable(document: &mut Map<String, Value>) -> Vec<(&'static str, Value)> {
    ["id", "state", "suspended_reason", "deleted_at", "purge_at"]
        .into_iter()
        .filter_map(|name| document.remove(name).map(|value| (name, value)))
        .collect()
}

/// Changes some fields of a tenant.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenant}", operation_id = "patchTenant", tag = "tenants",
    params(TenantName, IfMatch),
    request_body(content = MergePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn patch(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(patch): Json<Value>,
) -> Answer {
    let precondition = &conditions.precondition;
    changed(app.tenancy.patch_tenant(&caller, &tenant.parse()?, &patch, precondition).await?)
}

/// Changes some settings of a tenant.
///
/// For those who may not change anything else of it.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenant}/settings", operation_id = "patchTenantSettings",
    tag = "tenants", params(TenantName, IfMatch),
    request_body(content = MergePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, body = TenantBody)),
    security(("bearer" = ["settings:write"])),
)]
pub async fn patch_settings(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(patch): Json<Map<String, Value>>,
) -> Answer {
    let (patch, precondition) = (json!({ "settings": patch }), &conditions.precondition);
    let patched = app.tenancy.patch_tenant(&caller, &tenant.parse()?, &patch, precondition).await;
    changed(patched.map_err(in_settings)?)
}

/// A pointer into the tenant, as one into its settings, which are all that was sent.
fn in_settings(error: Error) -> Error {
    match error {
        Error::Invalid { pointer, detail } => {
            let pointer = pointer.strip_prefix("/settings").unwrap_or(&pointer).to_owned();
            Error::Invalid { pointer, detail }
        }
        error => error,
    }
}

/// Removes a tenant, so that it can be brought back for a while.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}", operation_id = "deleteTenant", tag = "tenants",
    params(TenantName, DeleteTenantQuery, IfMatch), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<DeleteTenantQuery>,
    conditions: Conditions,
) -> Answer {
    let transition = Transition::Delete { retention_days: query.retention_days };
    moved(&app, &caller, &tenant, &transition, &conditions).await
}

/// Serves a tenant that was still to be set up.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/activate", operation_id = "activateTenant", tag = "tenants",
    params(TenantName, IfMatch), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn activate(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    moved(&app, &caller, &tenant, &Transition::Activate, &conditions).await
}

/// Refuses a tenant's requests until it is resumed.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/suspend", operation_id = "suspendTenant", tag = "tenants",
    params(TenantName, IfMatch), request_body = SuspendTenant,
    responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn suspend(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(request): Json<SuspendTenant>,
) -> Answer {
    let transition = Transition::Suspend { reason: request.reason };
    moved(&app, &caller, &tenant, &transition, &conditions).await
}

/// Serves a suspended tenant again.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/resume", operation_id = "resumeTenant", tag = "tenants",
    params(TenantName, IfMatch), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn resume(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    moved(&app, &caller, &tenant, &Transition::Resume, &conditions).await
}

/// Brings a deleted tenant back to what it was.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/undelete", operation_id = "undeleteTenant", tag = "tenants",
    params(TenantName, IfMatch), responses((status = 200, body = TenantBody)),
    security(("bearer" = ["tenants:write"])),
)]
pub async fn undelete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    moved(&app, &caller, &tenant, &Transition::Undelete, &conditions).await
}

/// The settings that a tenant can have: the JSON Schema of each key.
#[utoipa::path(
    get, path = "/api/v1/settings", operation_id = "listSettings", tag = "tenants",
    responses((status = 200, body = BTreeMap<String, Object>)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn settings(State(app): State<Arc<App>>) -> axum::Json<Map<String, Value>> {
    axum::Json(app.tenancy.setting_schemas())
}

/// Removes a deleted tenant for good.
///
/// What is left is a certificate of its deletion.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/purge", operation_id = "purgeTenant", tag = "tenants",
    params(TenantName, IfMatch), request_body = PurgeTenant,
    responses((status = 200, body = DeletionCertificateBody)),
    security(("bearer" = ["tenants:purge"])),
)]
pub async fn purge(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(request): Json<PurgeTenant>,
) -> Result<Single<DeletionCertificateBody>, Failure> {
    let (tenant, precondition) = (tenant.parse()?, &conditions.precondition);
    let purged = app.tenancy.purge_tenant(&caller, &tenant, &request.confirm, precondition).await?;
    Ok(Single::ok(purged.revision.as_u64(), certificate(purged)))
}

/// The certificate of a tenant's deletion.
#[utoipa::path(
    get, path = "/api/v1/purged-tenants/{tenant}", operation_id = "getPurgedTenant", tag = "tenants",
    params(PurgedTenantName), responses((status = 200, body = DeletionCertificateBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn purged(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Result<Single<DeletionCertificateBody>, Failure> {
    let id = tenant.parse().map_err(|_| Error::not_found("purged tenant", &tenant))?;
    let found = certificate(app.tenancy.deletion_certificate(id).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// The certificates of deleted tenants.
#[utoipa::path(
    get, path = "/api/v1/purged-tenants", operation_id = "listPurgedTenants", tag = "tenants",
    params(ListQuery), responses((status = 200, body = PageBody<DeletionCertificateBody>)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn list_purged(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.deletion_certificates(&request).await?, certificate))
}

async fn moved(
    app: &App,
    caller: &Caller,
    tenant: &str,
    transition: &Transition,
    conditions: &Conditions,
) -> Answer {
    let (tenant, precondition) = (tenant.parse()?, &conditions.precondition);
    changed(app.tenancy.move_tenant(caller, &tenant, transition, precondition).await?)
}

#[expect(clippy::unnecessary_wraps, reason = "it ends handlers, which can fail")]
fn changed(record: Versioned<TenantRecord>) -> Answer {
    let changed = body(record);
    Ok(Single::ok(changed.revision, changed))
}

fn body(record: Versioned<TenantRecord>) -> TenantBody {
    let Versioned { value, revision } = record;
    TenantBody {
        id: value.resource.id,
        spec: value.spec(),
        state: value.resource.state,
        suspended_reason: value.suspended_reason,
        deleted_at: value.deleted_at,
        purge_at: value.purge_at,
        created_at: value.created_at,
        updated_at: value.updated_at,
        revision: revision.as_u64(),
    }
}

fn certificate(certificate: Versioned<DeletionCertificate>) -> DeletionCertificateBody {
    let Versioned { value, revision } = certificate;
    DeletionCertificateBody {
        tenant: value.tenant,
        deleted_at: value.deleted_at,
        requested_by: value.requested_by,
        requested_at: value.requested_at,
        purged_at: value.purged_at,
        removed: value.removed,
        digest: value.digest,
        revision: revision.as_u64(),
    }
}
