//! `tenantry tenant status`: which proxies enforce a tenant as it is.

use tenantry_api::{TenantAtProxy, TenantStatusBody};

use crate::{
    error::CliError,
    output::{Answer, columns, value, word},
    session::Session,
};

pub(super) async fn run(tenant: &str, session: &Session) -> Result<Answer, CliError> {
    let status = session.ask(session.client.tenants().status(tenant)).await?;
    Ok(Answer::Text { text: text(&status), json: value(&status) })
}

fn text(status: &TenantStatusBody) -> String {
    let TenantStatusBody {
        slug, revision, enforced, behind, refused, disconnected, elsewhere, ..
    } = status;
    let mut text = format!("{slug}, last changed by revision {revision}: enforced by {enforced}");
    for (count, what) in [
        (behind, "behind"),
        (refused, "refused by"),
        (disconnected, "disconnected"),
        (elsewhere, "elsewhere"),
    ] {
        if *count > 0 {
            text.push_str(&format!(", {what} {count}"));
        }
    }
    if status.proxies.is_empty() {
        return text;
    }
    let rows: Vec<_> = status.proxies.iter().map(row).collect();
    format!("{text}\n\n{}", columns(&["NODE", "STATE", "ENFORCED THROUGH", "REFUSED"], &rows))
}

fn row(proxy: &TenantAtProxy) -> Vec<String> {
    let refused = proxy.refused.iter();
    let refused =
        refused.map(|refused| format!("{} {}: {}", refused.kind, refused.id, refused.reason));
    vec![
        proxy.node.clone(),
        word(&proxy.state),
        proxy.enforced_through.map_or_else(String::new, |revision| revision.to_string()),
        refused.collect::<Vec<_>>().join("; "),
    ]
}
