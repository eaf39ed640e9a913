//! Explains what would become of a described request, by the code that decides live ones.

use tenantry_api::explain::{ExplainRequest, ExplainResponse, ExplainStep, LimitLeft};
use tenantry_engine::{Decision, Explanation, HeaderFacts, LimitLevel, Now, RequestFacts};

use crate::active::ActiveState;

/// Decides a described request and tells each step; nothing is charged.
pub(crate) fn explain(state: &ActiveState, request: &ExplainRequest, now: Now) -> ExplainResponse {
    let authorization = request.jwt.as_ref().map(|jwt| format!("Bearer {jwt}"));
    let headers = [
        ("host", Some(request.host.as_str())),
        ("x-api-key", request.key.as_deref()),
        ("authorization", authorization.as_deref()),
    ];
    let headers =
        headers.iter().filter_map(|(name, value)| value.map(|value| (*name, value.as_bytes())));
    let facts = RequestFacts {
        client: request.from_ip,
        sni: request.sni.as_deref(),
        method: &request.method,
        path: request.path.split_once('?').map_or(request.path.as_str(), |(path, _)| path),
        headers: HeaderFacts::collect(headers),
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
            response.tenant = Some(forward.tenant.slug().to_string());
            response.route = Some(forward.route.id().to_string());
            response.upstream = Some(forward.upstream.spec().id.to_string());
            response.limits = forward.limits().map(limit_left).collect();
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

fn limit_left(level: LimitLevel<'_>) -> LimitLeft {
    let spec = level.limit.spec();
    LimitLeft {
        name: spec.name().to_string(),
        quota: spec.quota().get(),
        window_seconds: spec.window_seconds().get(),
        remaining: level.level.remaining,
        reset_seconds: level.level.reset.as_secs_f64(),
    }
}
