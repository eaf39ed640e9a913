//! `tenantry tenant effective`: what holds for a tenant, and who said so.

use serde_json::Value;
use tenantry_api::{EffectiveBody, EffectiveQuery};
use tenantry_model::Source;

use crate::{
    error::CliError,
    output::{Answer, columns, rate_limit, value, word},
    session::Session,
};

pub(super) async fn run(
    tenant: &str,
    explain: bool,
    session: &Session,
) -> Result<Answer, CliError> {
    let query = EffectiveQuery { explain };
    let body = session.ask(session.client.tenants().effective(tenant, &query)).await?;
    Ok(Answer::Text { text: in_force(&body), json: value(&body) })
}

/// One row for each limit and feature, and the source of each, if it was asked for.
fn in_force(body: &EffectiveBody) -> String {
    let (limits, sources) = (value(&body.limits), body.sources.as_ref());
    let said = |source: Option<&Source>| source.map(word).unwrap_or_default();
    let mut rows = Vec::new();
    for limit in &body.limits.requests {
        let source = sources.and_then(|sources| sources.limits.requests.get(limit.name()));
        rows.push(vec![format!("limit {}", limit.name()), rate_limit(limit), said(source)]);
    }
    let by_limit = sources.map(|sources| value(&sources.limits)).unwrap_or_default();
    let single = limits.as_object().into_iter().flatten().filter(|(name, _)| *name != "requests");
    for (name, limit) in single {
        let limit = if limit.is_null() { "unlimited".to_owned() } else { limit.to_string() };
        let source = by_limit.get(name).and_then(Value::as_str).unwrap_or_default();
        rows.push(vec![name.clone(), limit, source.to_owned()]);
    }
    for (feature, is_on) in &body.features {
        let source = sources.and_then(|sources| sources.features.get(feature));
        let state = if *is_on { "on" } else { "off" };
        rows.push(vec![format!("feature {feature}"), state.to_owned(), said(source)]);
    }
    if sources.is_some() {
        return columns(&["WHAT", "VALUE", "SOURCE"], &rows);
    }
    rows.iter_mut().for_each(|row| row.truncate(2));
    columns(&["WHAT", "VALUE"], &rows)
}
