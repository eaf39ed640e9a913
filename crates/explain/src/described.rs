//! Decides a described request and tells each step.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName};
use tenantry_api::explain::{ExplainRequest, ExplainResponse, ExplainRule, ExplainStep, LimitLeft};
use tenantry_engine::{
    Decision, Denial, Explanation, HeaderFacts, LimitLevel, Now, Redirection, RequestFacts, Step,
    Table, VerifiedClient, host_of,
};
use tenantry_model::{ResourceRef, Revision};

/// Decides a described request and tells each step; nothing is charged.
#[must_use]
pub fn explain(
    table: &Table,
    revision: Revision,
    request: &ExplainRequest,
    now: Now,
) -> ExplainResponse {
    let authorization = request.jwt.as_ref().map(|jwt| format!("Bearer {jwt}"));
    let headers = [
        ("host", Some(request.host.as_str())),
        ("x-api-key", request.key.as_deref()),
        ("authorization", authorization.as_deref()),
    ];
    let headers = headers.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
    let others = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let headers: Vec<_> = headers.chain(others).collect();
    let mut all_headers = HeaderMap::new();
    for (name, value) in &headers {
        // One that is not valid would not have come this far.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            all_headers.append(name, value);
        }
    }
    let facts = RequestFacts {
        client: request.from_ip,
        sni: request.sni.as_deref(),
        client_certificate: verified_client(table, request),
        method: &request.method,
        path: request.path.split_once('?').map_or(request.path.as_str(), |(path, _)| path),
        headers: HeaderFacts::collect(
            headers.iter().map(|(name, value)| (*name, value.as_bytes())),
        ),
        all_headers: &all_headers,
    };
    let mut explanation = Explanation::default();
    let decision = tenantry_engine::explain(table, &facts, now, &mut explanation);
    let steps = explanation.0.into_iter().map(step).collect();
    let mut response =
        ExplainResponse { revision: revision.as_u64(), steps, ..ExplainResponse::default() };
    match &decision {
        Decision::Forward(forward) => {
            response.outcome = "forward".to_owned();
            response.status = None;
            response.tenant = forward.tenant().map(|tenant| tenant.slug().to_string());
            response.route = Some(forward.route.id().to_string());
            response.upstream = Some(forward.upstream.spec().id.to_string());
            response.limits = forward.limits().map(limit_left).collect();
        }
        Decision::Redirect(Redirection { admission, route, status, .. }) => {
            response.outcome = "redirect".to_owned();
            response.status = Some(*status);
            response.route = Some(route.id().to_string());
            if let Some(admission) = admission {
                response.tenant = Some(admission.tenant.slug().to_string());
                response.limits = admission.limits().map(limit_left).collect();
            }
        }
        Decision::Deny(denial) => {
            response.outcome = denial.reason.as_str().to_owned();
            response.status = Some(denial.reason.status());
            response.tenant = denial.tenant.as_ref().map(|tenant| tenant.slug().to_string());
            response.limits = denial.limits().map(limit_left).collect();
            response.notes.extend(note(denial));
        }
    }
    response
}

fn step(step: Step) -> ExplainStep {
    let rule = |ResourceRef { kind, id }| ExplainRule {
        kind: kind.as_str().to_owned(),
        id,
        revision: None,
    };
    ExplainStep {
        stage: step.stage.as_str().to_owned(),
        detail: step.detail,
        rules: step.rules.into_iter().map(rule).collect(),
    }
}

/// A refusal that newer keys could turn.
fn note(denial: &Denial) -> Option<String> {
    let issuer = denial.keys_wanted.as_ref()?;
    Some(format!(
        "the token names a key of {} that is not here: keys that are behind a URL are fetched by proxies, as requests need them",
        issuer.spec().issuer()
    ))
}

/// A host as a table knows it: in lower case, without a port and without a final dot. None if it is none.
#[must_use]
pub fn host(text: &str) -> Option<String> {
    let headers = HeaderFacts::collect([("host", text.as_bytes())]);
    let facts = RequestFacts {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        sni: None,
        client_certificate: None,
        method: "GET",
        path: "/",
        headers,
        all_headers: &(),
    };
    host_of(&facts).map(|host| host.to_ascii_lowercase())
}

/// What a client certificate would prove, if one is to be supposed.
fn verified_client<'a>(table: &'a Table, request: &ExplainRequest) -> Option<VerifiedClient<'a>> {
    let name = request.sni.as_ref().unwrap_or(&request.host).to_ascii_lowercase();
    let name = name.split_once(':').map_or(name.as_str(), |(name, _)| name);
    let tenant = table.tenant_of_host(name).filter(|_| request.client_certificate)?;
    tenant.client_ca().map(|authorities| VerifiedClient { tenant: tenant.id(), authorities })
}

fn limit_left(level: LimitLevel<'_>) -> LimitLeft {
    let spec = level.limit.spec();
    LimitLeft {
        name: level.name().into_owned(),
        quota: spec.quota().get(),
        window_seconds: spec.window_seconds().get(),
        remaining: level.level.remaining,
        reset_seconds: level.level.reset.as_secs_f64(),
    }
}
