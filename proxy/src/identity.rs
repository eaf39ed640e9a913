//! What the upstream is told about the request, and what it is not told.
//!
//! Called from `upstream_request_filter` and from nowhere else: pingora has by then removed the
//! headers that the client's `Connection` header names, so nothing set here can be removed by a client.

use http::HeaderName;
use pingora::http::RequestHeader;
use tenantry_engine::{Admission, Forward, Identity, Table};

use crate::{filters, request_id::RequestId};

/// Headers that only the gateway may set; a client's own are removed.
const RESERVED: &str = "x-tenant-";
/// What says for whom, or to which path, a request was sent before; some servers believe it.
const FORWARDED: [&str; 8] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-original-url",
    "x-rewrite-url",
    "x-real-ip",
];

/// What is known of a request when it is sent on.
pub(crate) struct Outgoing<'a> {
    pub(crate) table: &'a Table,
    pub(crate) forward: &'a Forward,
    pub(crate) request_id: RequestId,
    pub(crate) client: std::net::IpAddr,
    /// Whether the client spoke TLS, with us or with a trusted proxy in front.
    pub(crate) is_https: bool,
    /// The client's `Host`, as it was sent.
    pub(crate) host: Option<http::HeaderValue>,
}

/// Rewrites the request that goes to the upstream.
///
/// # Errors
/// A value that no header can carry; none of ours is.
pub(crate) fn apply(outgoing: &Outgoing<'_>, request: &mut RequestHeader) -> pingora::Result<()> {
    remove_reserved(request);
    join_cookies(request)?;
    let forward = outgoing.forward;
    filters::edit_request(&forward.route, request)?;
    if let Some(path) = &forward.path {
        rewrite_path(request, path)?;
    }
    if let Some(admission) = &forward.admission {
        if !forward.route.forwards_credential() {
            remove_credentials(&admission.identity, request);
        }
        introduce(outgoing.table, admission, request)?;
    }
    request.insert_header("x-forwarded-for", outgoing.client.to_string())?;
    request.insert_header("x-forwarded-proto", if outgoing.is_https { "https" } else { "http" })?;
    if let Some(host) = &outgoing.host {
        request.insert_header("x-forwarded-host", host.clone())?;
    }
    request.insert_header("x-request-id", outgoing.request_id.to_string())
}

fn remove_credentials(identity: &Identity, request: &mut RequestHeader) {
    if identity.api_key_is_ours {
        request.remove_header("x-api-key");
    }
    if identity.authorization_is_ours {
        request.remove_header("authorization");
    }
}

/// Says whose request it is and who calls.
fn introduce(
    table: &Table,
    admission: &Admission,
    request: &mut RequestHeader,
) -> pingora::Result<()> {
    let Admission { tenant, policy, identity, .. } = admission;
    request.insert_header("x-tenant-id", tenant.id().to_string())?;
    request.insert_header("x-tenant-slug", tenant.slug().as_str())?;
    request.insert_header("x-tenant-plan", tenant.plan().as_str())?;
    request.insert_header("x-tenant-features", table.features_of(tenant, policy))?;
    if let Some(key) = &identity.key {
        request.insert_header("x-tenant-key-id", key.id.to_string())?;
    }
    match identity.token.as_ref().and_then(|token| token.subject()) {
        Some(subject) => request.insert_header("x-tenant-subject", subject),
        None => Ok(()),
    }
}

/// Some servers read `_` in a header name as `-`, so both spellings are reserved.
fn remove_reserved(request: &mut RequestHeader) {
    let is_reserved = |name: &HeaderName| {
        let name = name.as_str();
        let same = |reserved: &str| {
            name.len() >= reserved.len()
                && name
                    .bytes()
                    .zip(reserved.bytes())
                    .all(|(a, b)| a == b || (a == b'_' && b == b'-'))
        };
        same(RESERVED)
            || FORWARDED.iter().any(|forwarded| name.len() == forwarded.len() && same(forwarded))
    };
    let reserved: Vec<HeaderName> =
        request.headers.keys().filter(|name| is_reserved(name)).cloned().collect();
    for name in reserved {
        request.remove_header(&name);
    }
}

/// HTTP/2 may send cookies in several lines, which HTTP/1 knows as one (RFC 9113, section 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> pingora::Result<()> {
    let cookies = request.headers.get_all(http::header::COOKIE).iter();
    let cookies: Vec<&[u8]> = cookies.map(http::HeaderValue::as_bytes).collect();
    if cookies.len() < 2 {
        return Ok(());
    }
    let joined = cookies.join(b"; ".as_slice());
    request.insert_header(http::header::COOKIE, joined)
}

fn rewrite_path(request: &mut RequestHeader, path: &str) -> pingora::Result<()> {
    let target = match request.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    request.set_raw_path(target.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_headers_go_in_every_spelling() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for name in [
            "X-Tenant-Id",
            "x_tenant_id",
            "X-Tenant_Evil",
            "x-TENANT-anything",
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-Original-URL",
            "Forwarded",
        ] {
            request.append_header(name.to_owned(), "evil").unwrap();
        }
        for name in ["x-tenancy", "x-tenant", "x-forwarded-client-cert", "accept"] {
            request.append_header(name.to_owned(), "kept").unwrap();
        }
        remove_reserved(&mut request);
        assert!(request.headers.values().all(|value| value == "kept"), "{:?}", request.headers);
        assert_eq!(request.headers.len(), 4);
    }

    #[test]
    fn cookies_go_in_one_line() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for cookie in ["a=1", "b=2", "c=3"] {
            request.append_header("cookie", cookie).unwrap();
        }
        join_cookies(&mut request).unwrap();
        let cookies: Vec<_> = request.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn a_rewritten_path_keeps_its_query() {
        let mut request = RequestHeader::build("GET", b"/%72eports?a=%72&b", None).unwrap();
        rewrite_path(&mut request, "/reports").unwrap();
        assert_eq!(request.raw_path(), b"/reports?a=%72&b");
    }
}
