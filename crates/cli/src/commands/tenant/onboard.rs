//! Making a tenant with all it needs, and saying what to do next.

use std::time::Duration;

use tenantry_api::{CreateTenant, CreatedTenant};
use tenantry_model::{Email, InvitationId};

use crate::{
    error::CliError,
    output::{Answer, value},
    session::Session,
};

/// How long proxies are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Makes the tenant; with `wait`, returns once every connected proxy serves it.
pub(super) async fn onboard(
    session: &Session,
    tenant: &CreateTenant,
    wait: bool,
) -> Result<Answer, CliError> {
    let created = session.ask(session.client.tenants().create(tenant)).await?;
    let secret = created.key.as_ref().and_then(|key| key.secret.clone());
    if wait {
        enforced(session, created.tenant.revision).await?;
    }
    let next = next_steps(session, tenant, &created, secret.as_deref());
    Ok(Answer::Onboarded { item: value(&created), secret, next })
}

/// Waits until every proxy that is connected enforces a revision.
///
/// # Errors
/// [`CliError::NotEnforced`] with those that do not, after a while; what asking can end in.
pub(crate) async fn enforced(session: &Session, revision: u64) -> Result<(), CliError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let proxies = session.ask(session.client.proxies()).await?.items;
        let behind = proxies.iter().filter(|proxy| {
            proxy.connected && proxy.revision.is_none_or(|enforced| enforced < revision)
        });
        let behind: Vec<_> = behind.map(|proxy| proxy.node.clone()).collect();
        if behind.is_empty() && proxies.iter().any(|proxy| proxy.connected) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(CliError::NotEnforced { revision, behind });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
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
