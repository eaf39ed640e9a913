//! Answers that the gateway gives itself: problems (RFC 9457), and rate-limit headers
//! (draft-ietf-httpapi-ratelimit-headers-11) on them and on what upstreams answer.

use std::time::Duration;

use bytes::Bytes;
use pingora::{http::ResponseHeader, proxy::Session};
use serde::Serialize;
use tenantry_engine::{Denial, LimitLevel, Reason, Table};
use tenantry_model::Branding;

use crate::{error_page, grpc, request_id::RequestId};

/// What every problem `type` begins with; the reason's name follows.
const PROBLEM_TYPE: &str = "urn:tenantry:problem:";

/// How long a client waits when nothing better is known.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// A refusal, ready to be told.
#[derive(Debug)]
pub(crate) struct Refusal {
    reason: Reason,
    detail: Option<&'static str>,
    retry_after: Option<Duration>,
    rate_limit: Option<RateLimitHeaders>,
}

impl From<&Denial> for Refusal {
    fn from(denial: &Denial) -> Self {
        Self {
            reason: denial.reason,
            detail: denial.detail,
            retry_after: denial.retry_after,
            rate_limit: RateLimitHeaders::new(denial.limits()),
        }
    }
}

impl Refusal {
    pub(crate) fn new(reason: Reason, detail: Option<&'static str>) -> Self {
        Self { detail, ..Self::from(reason) }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        let retry_after = matches!(reason, Reason::Overloaded | Reason::UpstreamUnavailable)
            .then_some(RETRY_SOON);
        Self { reason, detail: None, retry_after, rate_limit: None }
    }
}

impl Refusal {
    /// Says what exactly; nothing about tenants.
    pub(crate) fn because(self, detail: Option<&'static str>) -> Self {
        Self { detail: detail.or(self.detail), ..self }
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    request_id: String,
}

/// Answers a request with a problem: JSON, a page where the client prefers that, or the status of a gRPC
/// call. The table says whose branding the page has.
pub(crate) async fn refuse(
    session: &mut Session,
    refusal: &Refusal,
    request_id: RequestId,
    table: Option<&Table>,
) -> pingora::Result<()> {
    let mut response = ResponseHeader::build(refusal.reason.status(), Some(10))?;
    let grpc = grpc::is_call(session);
    let (content_type, body) = if grpc {
        grpc::refuse(&mut response, refusal.reason)?
    } else if error_page::is_preferred(session) {
        let branding = table.and_then(|table| error_page::branding(session, table));
        let policy = error_page::policy(request_id, branding);
        response.insert_header("content-security-policy", policy)?;
        response.insert_header("referrer-policy", "no-referrer")?;
        html(refusal, request_id, branding)
    } else {
        json(refusal, request_id)
    };
    response.insert_header("vary", "accept")?;
    response.insert_header("x-content-type-options", "nosniff")?;
    response.insert_header("content-type", content_type)?;
    response.insert_header("content-length", body.len().to_string())?;
    response.insert_header("cache-control", "no-store")?;
    response.insert_header("x-request-id", request_id.to_string())?;
    if refusal.reason.status() == 401 {
        response.insert_header("www-authenticate", "Bearer realm=\"tenantry\"")?;
    }
    if let Some(retry_after) = refusal.retry_after {
        response.insert_header("retry-after", whole_seconds(retry_after).to_string())?;
    }
    if let Some(rate_limit) = &refusal.rate_limit {
        rate_limit.apply(&mut response)?;
    }
    let has_body = !grpc && session.req_header().method != http::Method::HEAD;
    session.write_response_header(Box::new(response), !has_body).await?;
    if has_body {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// The whole answer to what never became a request, for a connection that closes after it.
pub(crate) fn unparsed(refusal: &Refusal, request_id: RequestId) -> Vec<u8> {
    let (content_type, body) = json(refusal, request_id);
    let status = http::StatusCode::from_u16(refusal.reason.status()).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nx-request-id: {request_id}\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

fn json(refusal: &Refusal, request_id: RequestId) -> (&'static str, Bytes) {
    let problem = Problem {
        r#type: format!("{PROBLEM_TYPE}{}", refusal.reason.as_str()),
        title: refusal.reason.title(),
        status: refusal.reason.status(),
        detail: refusal.detail,
        request_id: request_id.to_string(),
    };
    ("application/problem+json", serde_json::to_vec(&problem).unwrap_or_default().into())
}

fn html(
    refusal: &Refusal,
    request_id: RequestId,
    branding: Option<&Branding>,
) -> (&'static str, Bytes) {
    let text = error_page::Text {
        status: refusal.reason.status(),
        title: refusal.reason.title(),
        detail: refusal.detail,
        reason: refusal.reason.as_str(),
        request_id,
    };
    ("text/html; charset=utf-8", error_page::page(&text, branding).into())
}

/// `RateLimit-Policy` and `RateLimit`.
#[derive(Debug)]
pub(crate) struct RateLimitHeaders {
    policy: String,
    state: String,
}

impl RateLimitHeaders {
    /// Of all limits of a tenant; none if it has none.
    pub(crate) fn new<'a>(limits: impl Iterator<Item = LimitLevel<'a>>) -> Option<Self> {
        let (mut policy, mut state) = (String::new(), String::new());
        for left in limits {
            let (spec, level) = (left.limit.spec(), left.level);
            let (quota, window) = (spec.quota().get().into(), spec.window_seconds().get().into());
            item(&mut policy, &left, [("q", quota), ("w", window)]);
            let (remaining, reset) = (level.remaining.into(), whole_seconds(level.reset));
            item(&mut state, &left, [("r", remaining), ("t", reset)]);
        }
        (!policy.is_empty()).then_some(Self { policy, state })
    }

    pub(crate) fn apply(&self, response: &mut ResponseHeader) -> pingora::Result<()> {
        self.lines().into_iter().try_for_each(|(name, value)| response.insert_header(name, value))
    }

    /// Names and values.
    pub(crate) fn lines(&self) -> [(&'static str, &str); 2] {
        [("ratelimit-policy", &self.policy), ("ratelimit", &self.state)]
    }
}

/// Adds one limit to a list. By hand: every answer has it, and formatting is slow.
fn item(list: &mut String, limit: &LimitLevel<'_>, parameters: [(&str, u64); 2]) {
    list.reserve(64);
    list.push_str(if list.is_empty() { "\"" } else { ", \"" });
    limit.name_parts().into_iter().for_each(|part| list.push_str(part));
    list.push('"');
    for (name, value) in parameters {
        for part in [";", name, "=", itoa::Buffer::new().format(value)] {
            list.push_str(part);
        }
    }
}

/// Rounded up: who waits that long has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
