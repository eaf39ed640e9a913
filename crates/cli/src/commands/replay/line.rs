//! One line of the access log, as far as a request can be decided again from it.

use serde::Deserialize;
use tenantry_api::RecordedRequest;
use tenantry_model::{KeyId, TenantId};

/// Refusals for what no log has: a credential that was wrong, bytes that were no request.
const NOT_DECIDABLE: [&str; 9] = [
    "aborted",
    "bad-request",
    "client-certificate-required",
    "credential-expired",
    "credential-invalid",
    "headers-too-large",
    "misdirected",
    "request-timeout",
    "tenant-mismatch",
];

/// Refusals that come after credentials were looked at. The log does not say whose these were.
const AFTER_CREDENTIALS: [&str; 10] = [
    "body-too-large",
    "feature-disabled",
    "ip-denied",
    "no-route",
    "overloaded",
    "rate-limited",
    "scope-missing",
    "tenant-inactive",
    "tenant-suspended",
    "too-many-concurrent",
];

/// What of a line matters here. Others may be there.
#[derive(Deserialize)]
struct Line {
    client: String,
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    tenant_id: Option<TenantId>,
    key_id: Option<KeyId>,
    subject: Option<String>,
    client_certificate_sha256: Option<String>,
    decision: String,
    #[serde(default)]
    request_bytes: u64,
    sampled_one_in: Option<u64>,
}

/// The request of a line, and for how many it stands; nothing, if the line is empty.
///
/// # Errors
/// Why it cannot be decided again, in few words.
pub(super) fn read(line: &[u8]) -> Result<Option<(RecordedRequest, u64)>, String> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: Line =
        serde_json::from_slice(line).map_err(|_| "lines of another form".to_owned())?;
    if NOT_DECIDABLE.contains(&line.decision.as_str()) {
        return Err(line.decision);
    }
    let whole = |text: Option<String>| text.filter(|text| !text.ends_with('…'));
    let parts = (whole(line.method), line.host, whole(line.path), line.client.parse().ok());
    let (Some(method), Some(host), Some(path), Some(client)) = parts else {
        return Err("without a whole host, method or path".to_owned());
    };
    let request = RecordedRequest {
        host,
        path,
        method,
        client,
        tenant_id: line.tenant_id,
        key_id: line.key_id,
        has_token: line.subject.is_some(),
        proven: line.tenant_id.is_some() && AFTER_CREDENTIALS.contains(&line.decision.as_str()),
        client_certificate: line.client_certificate_sha256.is_some(),
        request_bytes: line.request_bytes,
    };
    Ok(Some((request, line.sampled_one_in.unwrap_or(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_request_or_says_why_not() {
        let line = |more: &str| {
            format!(
                r#"{{"time":"2026-11-21T06:23:37.334Z","client":"192.0.2.1","method":"GET","host":"a.example","path":"/a"{more}}}"#
            )
        };
        let (request, count) =
            read(line(r#","decision":"forward","subject":"ada","sampled_one_in":10"#).as_bytes())
                .unwrap()
                .unwrap();
        assert_eq!((request.host.as_str(), request.has_token, count), ("a.example", true, 10));
        assert!(request.key_id.is_none() && !request.client_certificate);
        for (text, why) in [
            (line(r#","decision":"credential-invalid""#), "credential-invalid"),
            (r#"{"client":"192.0.2.1","decision":"no-route"}"#.to_owned(), "without a whole"),
            ("x".to_owned(), "of another form"),
        ] {
            let said = read(text.as_bytes()).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        let id = r#","decision":"rate-limited","tenant_id":"ten_01HZZZZZZZZZZZZZZZZZZZZZZZ""#;
        assert!(read(line(id).as_bytes()).unwrap().unwrap().0.proven);
        assert_eq!(read(b"\n"), Ok(None));
    }
}
