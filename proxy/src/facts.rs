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
        headers: headers(request),
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

fn headers(request: &RequestHeader) -> HeaderFacts<'_> {
    let mut facts = HeaderFacts::collect(
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
    );
    // HTTP/2 names the host in `:authority`.
    if facts.host == Single::Missing
        && let Some(authority) = request.uri.authority()
    {
        facts.host = Single::One(authority.as_str().as_bytes());
    }
    facts
}
