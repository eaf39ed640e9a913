//! The facts of a request, out of pingora's session.

use std::net::{IpAddr, Ipv4Addr};

use pingora::{http::RequestHeader, proxy::Session};
use tenantry_engine::{HeaderFacts, RequestFacts, Single};

/// Collects the facts of a request.
pub(crate) fn of(session: &Session) -> RequestFacts<'_> {
    let request = session.req_header();
    RequestFacts {
        client: client(session),
        sni: None,
        method: request.method.as_str(),
        path: path(request),
        headers: headers(session, request),
        all_headers: &request.headers,
    }
}

/// The address of the peer. A connection without one (it was closed meanwhile) is nobody's, and the
/// unspecified address is in no list that allows anything but everything.
pub(crate) fn client(session: &Session) -> IpAddr {
    let inet = session.client_addr().and_then(|address| address.as_inet());
    inet.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical())
}

/// The path of the target, or the whole target if it is not in origin-form, which no path matches.
fn path(request: &RequestHeader) -> &str {
    let target = std::str::from_utf8(request.raw_path()).unwrap_or_default();
    target.split_once('?').map_or(target, |(path, _)| path)
}

fn headers<'a>(session: &Session, request: &'a RequestHeader) -> HeaderFacts<'a> {
    let names_and_values =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut facts = HeaderFacts::collect(names_and_values);
    // HTTP/2 names the host in `:authority`.
    if facts.host == Single::Missing
        && let Some(authority) = request.uri.authority()
    {
        facts.host = Single::One(authority.as_str().as_bytes());
    }
    if facts.transfer_encoding != Single::Missing && was_length_removed(session) {
        facts.content_length = Single::Repeated;
    }
    facts
}

/// Pingora removes `Content-Length` where `Transfer-Encoding` stands too, before anybody can see it.
/// Whoever sends both is smuggling or broken, so the bytes that came are looked at again.
fn was_length_removed(session: &Session) -> bool {
    const NAME: &[u8] = b"\ncontent-length";
    let Some(session) = session.as_downstream().as_http1() else { return false };
    session
        .get_headers_raw_bytes()
        .windows(NAME.len())
        .any(|window| window.eq_ignore_ascii_case(NAME))
}
