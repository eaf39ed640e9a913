//! Making a tenant with all it needs, and saying what to do next.

use tenantry_api::{CreateTenant, CreatedTenant};
use tenantry_model::{Email, InvitationId};

use crate::{
    error::CliError,
    output::{Answer, value},
    session::Session,
};

/// Makes the tenant.
pub(super) async fn onboard(session: &Session, tenant: &CreateTenant) -> Result<Answer, CliError> {
    let created = session.ask(session.client.tenants().create(tenant)).await?;
    let secret = created.key.as_ref().and_then(|key| key.secret.clone());
    if session.client.has_rehearsed() {
        return Ok(Answer::item(&created));
    }
    let next = next_steps(session, tenant, &created, secret.as_deref());
    Ok(Answer::Onboarded { item: value(&created), secret, next })
}

fn next_steps(
    session: &Session,
    tenant: &CreateTenant,
    created: &CreatedTenant,
    secret: Option<&str>,
) -> Vec<String> {
    let slug = &created.tenant.spec.slug;
    let mut steps = Vec::new();
    match (tenant.start.domains.first(), secret) {
        (Some(host), secret) => {
            let key = secret.map(|key| format!(" -H 'X-API-Key: {key}'")).unwrap_or_default();
            steps.push(format!("curl -i -H 'Host: {host}'{key} {}/", session.proxy()));
        }
        (None, Some(key)) => {
            steps.push(format!("curl -i -H 'X-API-Key: {key}' {}/", session.proxy()));
        }
        (None, None) => {
            steps.push(format!("tenantry domain add {slug} {slug}.example.com"));
        }
    }
    if secret.is_none() {
        steps.push(format!("tenantry key create {slug} --name ci"));
    }
    steps.push(format!("tenantry tenant effective {slug} --explain"));
    if let Some((id, email)) = invited(created) {
        steps.push(format!("tenantry invitation resend {slug} {id}   # if {email} got no letter"));
    }
    steps
}

fn invited(created: &CreatedTenant) -> Option<(InvitationId, &Email)> {
    created.invitation.as_ref().map(|invitation| (invitation.id, &invitation.email))
}
