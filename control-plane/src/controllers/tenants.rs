//! `/api/v1/tenants`.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use serde_json::{Map, Value};
use tenantry_api::{
    CreateTenant, DeleteTenantQuery, DeletionCertificateBody, EffectiveBody, EffectiveQuery,
    ListQuery, PurgeTenant, SuspendTenant, TenantBody, TenantQuery,
};
use tenantry_model::TenantSpec;
use tenantry_tenancy::{
    Caller, DeletionCertificate, Effective, Error, NewTenant, PageRequest, TenantFilter,
    TenantRecord, Transition, Versioned,
};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters, misplaced},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
};

type Answer = Result<Single<TenantBody>, Failure>;

/// `POST /api/v1/tenants`.
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(document): Json<Map<String, Value>>,
) -> Answer {
    let CreateTenant { spec, start } = CreateTenant::parse(document).map_err(misplaced)?;
    let state = start.state.unwrap_or_default().into();
    let tenant = NewTenant { spec, domains: start.domains, state };
    let created = body(app.tenancy.create_tenant(&caller, tenant).await?);
    let location = format!("/api/v1/tenants/{}", created.id);
    Ok(Single::created(location, created.revision, created))
}

/// `GET /api/v1/tenants`.
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<TenantQuery>,
) -> Result<impl IntoResponse, Failure> {
    let TenantQuery { limit, cursor, state, plan, q } = query;
    let filter = TenantFilter { state, plan, text: q };
    let request = PageRequest::new(limit, cursor)?;
    Ok(page(app.tenancy.tenants(&filter, &request).await?, body))
}

/// `GET /api/v1/tenants/{tenant}`.
pub async fn get(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.tenant(&tenant.parse()?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// `GET /api/v1/tenants/{tenant}/effective`.
pub async fn effective(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    Parameters(query): Parameters<EffectiveQuery>,
) -> Result<Single<EffectiveBody>, Failure> {
    let Versioned { value, revision } = app.tenancy.effective(&tenant.parse()?).await?;
    let Effective { tenant, limits, features } = &value;
    let revision = revision.as_u64();
    let body = EffectiveBody::new(tenant, limits, features, query, revision);
    Ok(Single::ok(revision, body))
}

/// `PUT /api/v1/tenants/{tenant}`.
pub async fn replace(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(spec): Json<TenantSpec>,
) -> Answer {
    let precondition = &conditions.precondition;
    changed(app.tenancy.replace_tenant(&caller, &tenant.parse()?, &spec, precondition).await?)
}

/// `PATCH /api/v1/tenants/{tenant}`.
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

/// `DELETE /api/v1/tenants/{tenant}`.
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

/// `POST /api/v1/tenants/{tenant}/activate`.
pub async fn activate(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    moved(&app, &caller, &tenant, &Transition::Activate, &conditions).await
}

/// `POST /api/v1/tenants/{tenant}/suspend`.
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

/// `POST /api/v1/tenants/{tenant}/resume`.
pub async fn resume(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    moved(&app, &caller, &tenant, &Transition::Resume, &conditions).await
}

/// `POST /api/v1/tenants/{tenant}/undelete`.
pub async fn undelete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    moved(&app, &caller, &tenant, &Transition::Undelete, &conditions).await
}

/// `POST /api/v1/tenants/{tenant}/purge`.
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

/// `GET /api/v1/purged-tenants/{tenant}`.
pub async fn purged(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Result<Single<DeletionCertificateBody>, Failure> {
    let id = tenant.parse().map_err(|_| Error::not_found("purged tenant", &tenant))?;
    let found = certificate(app.tenancy.deletion_certificate(id).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// `GET /api/v1/purged-tenants`.
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
