//! Explains what would become of a described request, by the code that decides live ones.

use http::{HeaderMap, HeaderName};
use tenantry_api::explain::{ExplainRequest, ExplainResponse, ExplainStep, LimitLeft};
use tenantry_engine::{
    Decision, Explanation, HeaderFacts, LimitLevel, Now, Redirection, RequestFacts, VerifiedClient,
};

use crate::active::ActiveState;

/// Decides a described request and tells each step; nothing is charged.
pub(crate) fn explain(state: &ActiveState, request: &ExplainRequest, now: Now) -> ExplainResponse {
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
        client_certificate: verified_client(state, request),
        method: &request.method,
        path: request.path.split_once('?').map_or(request.path.as_str(), |(path, _)| path),
        headers: HeaderFacts::collect(
            headers.iter().map(|(name, value)| (*name, value.as_bytes())),
        ),
        all_headers: &all_headers,
    };
    let mut explanation = Explanation::default();
    let decision = tenantry_engine::explain(&state.table, &facts, now, &mut explanation);
    let steps = explanation.0.into_iter();
    let steps = steps
        .map(|(stage, detail)| ExplainStep { stage: stage.as_str().to_owned(), detail })
        .collect();
    let mut response = ExplainResponse {
        revision: state.position.revision.as_u64(),
        steps,
        ..ExplainResponse::default()
    };
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
        }
    }
    response
}

/// What a client certificate would prove, if one is to be supposed.
fn verified_client<'a>(
    state: &'a ActiveState,
    request: &ExplainRequest,
) -> Option<VerifiedClient<'a>> {
    let name = request.sni.as_ref().unwrap_or(&request.host).to_ascii_lowercase();
    let name = name.split_once(':').map_or(name.as_str(), |(name, _)| name);
    let tenant = state.table.tenant_of_host(name).filter(|_| request.client_certificate)?;
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
