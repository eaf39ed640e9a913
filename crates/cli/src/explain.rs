//! `tenantry explain`: how a request would be decided, and why.

use std::{fmt::Write as _, net::IpAddr};

use clap::Args;
use tenantry_api::{ExplainRequest, ExplainResponse, ExplainStep};

use crate::{
    error::CliError,
    http,
    output::{Answer, columns, value as json_value},
    session::{Session, with_scheme},
    value,
};

/// A request to explain.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The `Host` header
    #[arg(long)]
    host: String,
    /// The path
    #[arg(long, default_value = "/")]
    path: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The API key
    #[arg(long, conflicts_with = "jwt")]
    key: Option<String>,
    /// The JWT
    #[arg(long)]
    jwt: Option<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from_ip: IpAddr,
    /// The TLS server name
    #[arg(long, value_name = "HOST")]
    sni: Option<String>,
    /// As if the client had shown the certificate that the tenant of the TLS name asks for
    #[arg(long)]
    client_certificate: bool,
    /// Another header NAME=VALUE; may be repeated
    #[arg(long = "header", value_name = "HEADER", value_parser = value::pair)]
    headers: Vec<(String, String)>,
    /// By the live state of the proxy with this name, with what is left of limits there
    #[arg(long, value_name = "NAME")]
    proxy: Option<String>,
    /// Ask the proxy with this admin address, past the control plane
    #[arg(long, value_name = "URL", conflicts_with = "proxy")]
    proxy_admin: Option<String>,
}

impl Explain {
    /// Whether the control plane is not asked at all.
    pub(crate) fn is_direct(&self) -> bool {
        self.proxy_admin.is_some()
    }
}

/// Asks the control plane, or a proxy past it.
pub(crate) async fn run(explain: &Explain, session: &Session) -> Result<Answer, CliError> {
    let request = ExplainRequest {
        host: explain.host.clone(),
        path: explain.path.clone(),
        method: explain.method.clone(),
        key: explain.key.clone(),
        jwt: explain.jwt.clone(),
        from_ip: explain.from_ip,
        sni: explain.sni.clone(),
        client_certificate: explain.client_certificate,
        headers: explain.headers.iter().cloned().collect(),
        proxy: explain.proxy.clone(),
    };
    let explained = match &explain.proxy_admin {
        Some(address) => ask(&with_scheme(address.clone()), &request).await?,
        None => session.ask(session.client.explain(&request)).await?,
    };
    Ok(Answer::Text { text: text(&explained), json: json_value(&explained) })
}

/// Posts a request to the admin listener of a proxy.
pub(crate) async fn ask(
    proxy_admin: &str,
    request: &ExplainRequest,
) -> Result<ExplainResponse, CliError> {
    let answer = http::post(proxy_admin, "/explain", json_value(request).to_string()).await;
    let (status, body) = answer
        .map_err(|source| CliError::NoProxy { proxy_admin: proxy_admin.to_owned(), source })?;
    let refused =
        |said: String| CliError::NotExplained { proxy_admin: proxy_admin.to_owned(), said };
    if !status.is_success() {
        let said = String::from_utf8_lossy(&body);
        return Err(refused(format!("{} ({status})", said.trim())));
    }
    serde_json::from_slice(&body).map_err(|error| refused(error.to_string()))
}

fn text(explained: &ExplainResponse) -> String {
    let ExplainResponse { revision, outcome, status, tenant, route, upstream, .. } = explained;
    let ExplainResponse { proxy, steps, limits, notes, .. } = explained;
    let mut text = match status {
        Some(status) => format!("{outcome} ({status})"),
        None => outcome.clone(),
    };
    let named = [("tenant", tenant), ("route", route), ("upstream", upstream)];
    for (what, name) in named.iter().filter_map(|(what, name)| Some((what, name.as_ref()?))) {
        // Writing to a string cannot fail.
        let _ = write!(text, ", {what} {name}");
    }
    let _ = write!(text, ", at revision {revision}");
    if let Some(proxy) = proxy {
        let _ = write!(text, " of {proxy}");
    }
    let rules = |step: &ExplainStep| {
        let rules = step.rules.iter().map(|rule| match rule.revision {
            Some(revision) => format!("{} {} @{revision}", rule.kind, rule.id),
            None => format!("{} {}", rule.kind, rule.id),
        });
        rules.collect::<Vec<_>>().join(", ")
    };
    let row = |step: &ExplainStep| vec![step.stage.clone(), step.detail.clone(), rules(step)];
    let steps: Vec<_> = steps.iter().map(row).collect();
    let _ = write!(text, "\n\n{}", columns(&["STAGE", "WHAT IT SAID", "BY"], &steps));
    if !limits.is_empty() {
        let names = ["LIMIT", "QUOTA", "WINDOW", "LEFT", "FULL AGAIN IN"];
        let limits = limits.iter().map(|limit| {
            vec![
                limit.name.clone(),
                limit.quota.to_string(),
                format!("{} s", limit.window_seconds),
                limit.remaining.to_string(),
                format!("{:.1} s", limit.reset_seconds),
            ]
        });
        let _ = write!(text, "\n\n{}", columns(&names, &limits.collect::<Vec<_>>()));
    }
    for note in notes {
        let _ = write!(text, "\n\n{note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use tenantry_api::{ExplainRule, LimitLeft};

    use super::*;

    #[test]
    fn outcome_steps_and_limits_are_shown() {
        let step = |stage: &str, detail: &str| ExplainStep {
            stage: stage.to_owned(),
            detail: detail.to_owned(),
            rules: vec![ExplainRule {
                kind: "plan".to_owned(),
                id: "pro".to_owned(),
                revision: (stage == "admit").then_some(3),
            }],
        };
        let limit = LimitLeft {
            name: "burst".to_owned(),
            quota: 5,
            window_seconds: 60,
            remaining: 0,
            reset_seconds: 59.96,
        };
        let explained = ExplainResponse {
            revision: 7,
            outcome: "rate-limited".to_owned(),
            status: Some(429),
            tenant: Some("globex".to_owned()),
            steps: vec![step("tenant", "by host"), step("admit", "burst is spent")],
            limits: vec![limit],
            notes: vec!["Noted.".to_owned()],
            ..ExplainResponse::default()
        };
        assert_eq!(
            text(&explained),
            "rate-limited (429), tenant globex, at revision 7\n\n\
             STAGE   WHAT IT SAID    BY\n\
             tenant  by host         plan pro\n\
             admit   burst is spent  plan pro @3\n\n\
             LIMIT  QUOTA  WINDOW  LEFT  FULL AGAIN IN\n\
             burst  5      60 s    0     60.0 s\n\n\
             Noted."
        );
    }
}
