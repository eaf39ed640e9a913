//! The facts of a request, out of pingora's session.

use std::net::IpAddr;

use http::HeaderValue;
use pingora::{http::RequestHeader, proxy::Session};
use tenantry_engine::{HeaderFacts, Reason, RequestFacts, Single};

use crate::{bootstrap::ConnectionBounds, connection::Connection, tls::TlsFacts};

/// Collects the facts.
pub(crate) fn of(session: &Session, client: IpAddr) -> RequestFacts<'_> {
    let request = session.req_header();
    let tls = Connection::of(session).and_then(|connection| connection.tls.as_ref());
    RequestFacts {
        client,
        sni: tls.and_then(|tls| tls.server_name.as_deref()),
        client_certificate: tls.and_then(TlsFacts::verified_client),
        method: request.method.as_str(),
        path: path(request),
        headers: headers(request),
        all_headers: &request.headers,
    }
}

/// The host as the client named it: `Host`, or `:authority` in HTTP/2.
pub(crate) fn host(request: &RequestHeader) -> Option<HeaderValue> {
    let named = request.headers.get(http::header::HOST).cloned();
    named.or_else(|| HeaderValue::from_str(request.uri.authority()?.as_str()).ok())
}

/// What a request has too much of: a head that came by HTTP/2 (HTTP/1 heads are read within the same bounds),
/// or a body that is announced as longer than any may be.
pub(crate) fn oversized(request: &RequestHeader, bounds: &ConnectionBounds) -> Option<Reason> {
    if request.raw_path().len() > bounds.target_bytes.get() {
        return Some(Reason::TargetTooLong);
    }
    if request.headers.len() > bounds.headers.get() {
        return Some(Reason::HeadersTooLarge);
    }
    let length = request.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.filter(|length| *length > bounds.body_bytes.get()).map(|_| Reason::BodyTooLarge)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::{Bootstrap, Flags};

    #[test]
    fn requests_by_http2_keep_to_the_same_bounds() {
        let mut bounds = Bootstrap::load(&Flags::default()).unwrap().connections;
        (bounds.target_bytes, bounds.headers) = (5.try_into().unwrap(), 1.try_into().unwrap());
        bounds.body_bytes = 9.try_into().unwrap();
        let mut request = RequestHeader::build("GET", b"/abcd", None).unwrap();
        request.append_header("x-a", "1").unwrap();
        assert_eq!(oversized(&request, &bounds), None);
        request.append_header("x-a", "2").unwrap();
        assert_eq!(oversized(&request, &bounds), Some(Reason::HeadersTooLarge));
        let request = RequestHeader::build("GET", b"/abcde", None).unwrap();
        assert_eq!(oversized(&request, &bounds), Some(Reason::TargetTooLong));
        let mut request = RequestHeader::build("POST", b"/", None).unwrap();
        request.append_header("content-length", "10").unwrap();
        assert_eq!(oversized(&request, &bounds), Some(Reason::BodyTooLarge));
    }

    #[test]
    fn the_host_is_the_authority_of_http2() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        assert_eq!(host(&request), None);
        request.set_uri("http://a.example:8443/".parse().unwrap());
        assert_eq!(host(&request).unwrap(), "a.example:8443");
    }
}
