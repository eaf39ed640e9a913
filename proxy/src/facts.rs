//! The facts of a request, out of pingora's session.

use std::net::IpAddr;

use pingora::{http::RequestHeader, proxy::Session};
use tenantry_engine::{HeaderFacts, RequestFacts, Single};

/// Collects the facts.
pub(crate) fn of(session: &Session, client: IpAddr) -> RequestFacts<'_> {
    let request = session.req_header();
    RequestFacts {
        client,
        sni: None,
        method: request.method.as_str(),
        path: path(request),
        headers: headers(request),
        all_headers: &request.headers,
    }
}

/// The path of the target, or the whole target if it is not in origin-form, which no path matches.
fn path(request: &RequestHeader) -> &str {
    let target = std::str::from_utf8(request.raw_path()).unwrap_or_default();
    target.split_once('?').map_or(target, |(path, _)| path)
}

fn headers(request: &RequestHeader) -> HeaderFacts<'_> {
    let names_and_values =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut facts = HeaderFacts::collect(names_and_values);
    // HTTP/2 names the host in `:authority`; a `Host` beside it must say the same (RFC 9113, 8.3.1).
    if let Some(authority) = request.uri.authority() {
        let authority = authority.as_str().as_bytes();
        facts.host = match facts.host {
            Single::Missing => Single::One(authority),
            Single::One(host) if host.eq_ignore_ascii_case(authority) => Single::One(host),
            Single::One(_) | Single::Repeated => Single::Repeated,
        };
    }
    facts
}
