//! A request as it came, whatever read it, and the facts of it that are decided by.

use std::{net::IpAddr, sync::Arc};

use http::Version;
use pingora::{http::RequestHeader, proxy::Session};
use tenantry_engine::{HeaderFacts, HeaderLookup, Reason, RequestFacts, Single};

use crate::{bootstrap::ConnectionBounds, connection::Connection, tls::TlsFacts};

/// A request as it came.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) version: Version,
    pub(crate) method: &'a str,
    /// The request target; empty if it is no text.
    pub(crate) target: &'a str,
    /// The headers that matter for the decision.
    pub(crate) marked: HeaderFacts<'a>,
    pub(crate) headers: &'a dyn HeaderLookup,
    pub(crate) connection: Option<&'a Arc<Connection>>,
}

impl<'a> Asked<'a> {
    /// What pingora read.
    pub(crate) fn of(session: &'a Session) -> Self {
        Self::by(session.req_header(), Connection::of(session))
    }

    /// What stands in the head of a request.
    pub(crate) fn by(request: &'a RequestHeader, connection: Option<&'a Arc<Connection>>) -> Self {
        Self {
            version: request.version,
            method: request.method.as_str(),
            target: std::str::from_utf8(request.raw_path()).unwrap_or_default(),
            marked: headers(request),
            headers: &request.headers,
            connection,
        }
    }

    /// What is decided by.
    pub(crate) fn facts(&self, client: IpAddr) -> RequestFacts<'a> {
        let tls = self.tls();
        RequestFacts {
            client,
            sni: tls.and_then(|tls| tls.server_name.as_deref()),
            client_certificate: tls.and_then(TlsFacts::verified_client),
            method: self.method,
            path: self.target.split_once('?').map_or(self.target, |(path, _)| path),
            headers: self.marked,
            all_headers: self.headers,
        }
    }

    /// What stands behind the `?`.
    pub(crate) fn query(&self) -> Option<&'a str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// What the TLS handshake settled, if there was one.
    pub(crate) fn tls(&self) -> Option<&'a TlsFacts> {
        self.connection.and_then(|connection| connection.tls.as_ref())
    }
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
        assert_eq!(headers(&request).host, Single::Missing);
        request.set_uri("http://a.example:8443/".parse().unwrap());
        assert_eq!(headers(&request).host, Single::One(b"a.example:8443"));
        request.insert_header("host", "b.example").unwrap();
        assert_eq!(headers(&request).host, Single::Repeated);
    }
}
