//! Decides a recorded request again.

use http::{HeaderMap, HeaderValue, header};
use tenantry_api::replay::{RecordedRequest, ReplayOutcome};
use tenantry_engine::{
    Decision, HeaderFacts, Now, Recorded, Redirection, RequestFacts, Table, VerifiedClient,
};

use crate::host;

/// What becomes of a recorded request by a table. If a client certificate was verified, then by the authorities that
/// its tenant has in the table `recorded_by`.
#[must_use]
pub fn redecide(
    table: &Table,
    recorded_by: &Table,
    request: &RecordedRequest,
    now: Now,
) -> ReplayOutcome {
    let length = request.request_bytes.to_string();
    let length = (request.request_bytes > 0).then_some(("content-length", length.as_str()));
    let headers: Vec<_> = [("host", request.host.as_str())].into_iter().chain(length).collect();
    let mut all_headers = HeaderMap::new();
    all_headers.extend(HeaderValue::try_from(&request.host).ok().map(|host| (header::HOST, host)));
    let facts = RequestFacts {
        client: request.client,
        sni: None,
        client_certificate: verified_client(recorded_by, request),
        method: &request.method,
        path: &request.path,
        headers: HeaderFacts::collect(
            headers.iter().map(|(name, value)| (*name, value.as_bytes())),
        ),
        all_headers: &all_headers,
    };
    let recorded = Recorded {
        tenant: request.tenant_id,
        key: request.key_id,
        has_token: request.has_token,
        is_proven: request.proven,
    };
    outcome(&tenantry_engine::redecide(table, &facts, &recorded, now, &mut ()))
}

fn verified_client<'a>(table: &'a Table, request: &RecordedRequest) -> Option<VerifiedClient<'a>> {
    let of_host = host(&request.host).and_then(|host| table.tenant_of_host(&host));
    let tenant = of_host.or_else(|| table.tenant(request.tenant_id?));
    let tenant = tenant.filter(|_| request.client_certificate)?;
    tenant.client_ca().map(|authorities| VerifiedClient { tenant: tenant.id(), authorities })
}

fn outcome(decision: &Decision) -> ReplayOutcome {
    match decision {
        Decision::Forward(forward) => ReplayOutcome {
            outcome: "forward".to_owned(),
            tenant: forward.tenant().map(|tenant| tenant.slug().to_string()),
            route: Some(forward.route.id().to_string()),
            upstream: Some(forward.upstream.spec().id.to_string()),
            ..ReplayOutcome::default()
        },
        Decision::Redirect(Redirection { admission, route, status, location }) => ReplayOutcome {
            outcome: "redirect".to_owned(),
            status: Some(*status),
            tenant: admission.as_ref().map(|admission| admission.tenant.slug().to_string()),
            route: Some(route.id().to_string()),
            location: Some(location.clone()),
            ..ReplayOutcome::default()
        },
        Decision::Deny(denial) => ReplayOutcome {
            outcome: denial.reason.as_str().to_owned(),
            status: Some(denial.reason.status()),
            tenant: denial.tenant.as_ref().map(|tenant| tenant.slug().to_string()),
            ..ReplayOutcome::default()
        },
    }
}
