//! `/api/v1/certificates`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{
    CertificateBody, CertificateQuery, CreateCertificate, PageBody, ReplaceCertificate,
};
use tenantry_model::{Certificate, CertificateId};
use tenantry_tenancy::{
    CertificateRecord, CertificateSpec, Error, PageRequest, TenantRef, Versioned,
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
    openapi::{CertificateName, IfMatch},
};

type Answer = Result<Single<CertificateBody>, Failure>;

/// Stores a certificate, of a tenant or of the platform.
#[utoipa::path(
    post, path = "/api/v1/certificates", operation_id = "createCertificate", tag = "certificates",
    request_body = CreateCertificate, responses((status = 201, body = CertificateBody), (status = 404, description = "")),
    security(("bearer" = ["gateway:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(request): Json<CreateCertificate>,
) -> Answer {
    let CreateCertificate { tenant, domains, chain_pem, key_pem, default } = request;
    let tenant = named(tenant.as_deref())?;
    let spec = CertificateSpec { domains, chain: chain_pem, key_pem, default };
    let created = app.tenancy.create_certificate(&caller, tenant.as_ref(), &spec).await?;
    let created = body(created);
    let location = format!("/api/v1/certificates/{}", created.id);
    Ok(Single::created(location, created.revision, created))
}

/// Certificates, in the order in which they were made.
#[utoipa::path(
    get, path = "/api/v1/certificates", operation_id = "listCertificates", tag = "certificates",
    params(CertificateQuery), responses((status = 200, body = PageBody<CertificateBody>), (status = 404, description = "")),
    security(("bearer" = ["gateway:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<CertificateQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    let tenant = named(query.tenant.as_deref())?;
    Ok(page(app.tenancy.certificates(tenant.as_ref(), &request).await?, body))
}

/// One certificate, without its key.
#[utoipa::path(
    get, path = "/api/v1/certificates/{id}", operation_id = "getCertificate", tag = "certificates",
    params(CertificateName), responses((status = 200, body = CertificateBody)),
    security(("bearer" = ["gateway:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.certificate(parsed(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Replaces chain, key and domains of a certificate.
#[utoipa::path(
    put, path = "/api/v1/certificates/{id}", operation_id = "replaceCertificate", tag = "certificates",
    params(CertificateName, IfMatch), request_body = ReplaceCertificate,
    responses((status = 200, body = CertificateBody)),
    security(("bearer" = ["gateway:write"])),
)]
pub async fn replace(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
    Json(request): Json<ReplaceCertificate>,
) -> Answer {
    let ReplaceCertificate { domains, chain_pem, key_pem, default } = request;
    let spec = CertificateSpec { domains, chain: chain_pem, key_pem, default };
    let (id, precondition) = (parsed(&id)?, &conditions.precondition);
    let changed = app.tenancy.replace_certificate(&caller, id, &spec, precondition).await?;
    let changed = body(changed);
    Ok(Single::ok(changed.revision, changed))
}

/// Removes a certificate.
///
/// Connections that were made with it go on.
#[utoipa::path(
    delete, path = "/api/v1/certificates/{id}", operation_id = "deleteCertificate", tag = "certificates",
    params(CertificateName, IfMatch), responses((status = 204)),
    security(("bearer" = ["gateway:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy.delete_certificate(&caller, parsed(&id)?, &conditions.precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(id: &str) -> Result<CertificateId, Error> {
    id.parse().map_err(|_| Error::not_found("certificate", id))
}

fn named(tenant: Option<&str>) -> Result<Option<TenantRef>, Error> {
    tenant.map(str::parse).transpose()
}

fn body(record: Versioned<CertificateRecord>) -> CertificateBody {
    let Versioned { value, revision } = record;
    let Certificate { id, tenant, domains, chain_pem, default, .. } = value.resource;
    CertificateBody {
        id,
        tenant,
        domains,
        default,
        names: value.names,
        not_before: value.not_before,
        not_after: value.not_after,
        fingerprint: value.fingerprint,
        chain_pem,
        created_at: value.created_at,
        updated_at: value.updated_at,
        revision: revision.as_u64(),
    }
}
