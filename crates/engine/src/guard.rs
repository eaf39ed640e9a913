//! The first look at a request: is there only one way to read it?
//!
//! Two programs that read a request differently are how requests are smuggled past a gateway. What
//! can be read in two ways is refused before anything else is decided.

use std::borrow::Cow;

use tenantry_model::host::is_dns_name;

use crate::{
    facts::{HeaderFacts, RequestFacts, Single},
    path,
};

/// What is known once a request has passed.
#[derive(Debug)]
pub(crate) struct Guarded<'a> {
    /// The host without port and final dot; may be an IP address, which no tenant owns.
    pub(crate) host: Cow<'a, str>,
    /// The path in normal form.
    pub(crate) path: Cow<'a, str>,
    /// The path without the parameters of its segments, where it has any.
    pub(crate) bare_path: Option<String>,
    /// The length of the body, if it was announced.
    pub(crate) content_length: Option<u64>,
}

/// Refuses a request that is not well formed.
///
/// # Errors
/// A phrase that says what is wrong, fit to be shown to the client.
pub(crate) fn guard<'a>(facts: &RequestFacts<'a>) -> Result<Guarded<'a>, &'static str> {
    let content_length = framing(&facts.headers)?;
    if facts.headers.api_key == Single::Repeated {
        return Err("X-API-Key stands more than once");
    }
    if facts.headers.authorization == Single::Repeated {
        return Err("Authorization stands more than once");
    }
    let host = match facts.headers.host {
        Single::One(value) => host(value)?,
        Single::Missing => return Err("Host is missing"),
        Single::Repeated => return Err("Host stands more than once"),
    };
    if facts.path == "*" && facts.method == "OPTIONS" {
        // It asks about the server as a whole (RFC 9110, section 9.3.7): routed as `/`, sent as it is.
        let bare_path = Some("/".to_owned());
        return Ok(Guarded { host, path: Cow::Borrowed("*"), bare_path, content_length });
    }
    let path::Reading { normal: path, bare: bare_path } = path::read(facts.path)?;
    Ok(Guarded { host, path, bare_path, content_length })
}

/// The host that a request names, without port and in lower case, if it is one.
#[must_use]
pub fn host_of<'a>(facts: &RequestFacts<'a>) -> Option<Cow<'a, str>> {
    facts.headers.host.one().and_then(|value| host(value).ok())
}

/// The path in the one form that routes, upstreams and the log see, if there is one.
#[must_use]
pub fn path_of<'a>(facts: &RequestFacts<'a>) -> Option<Cow<'a, str>> {
    match (facts.path, facts.method) {
        ("*", "OPTIONS") => Some(Cow::Borrowed("*")),
        (path, _) => path::read(path).ok().map(|read| read.normal),
    }
}

impl Guarded<'_> {
    /// The path that routes are found by.
    pub(crate) fn route_path(&self) -> &str {
        self.bare_path.as_deref().unwrap_or(&self.path)
    }
}

/// RFC 9112, sections 6.1 to 6.3, read strictly: one length, told in one way.
fn framing(headers: &HeaderFacts<'_>) -> Result<Option<u64>, &'static str> {
    // HTTP/1 heads were held to this as they were read; what came by HTTP/2 may go on by HTTP/1.
    if headers.framing_in_disguise {
        return Err("a header name is written with `_` that frames a body with `-`");
    }
    match headers.transfer_encoding {
        Single::Missing => {}
        Single::One(value) if value.eq_ignore_ascii_case(b"chunked") => {}
        Single::One(_) | Single::Repeated => {
            return Err("Transfer-Encoding is other than a single chunked");
        }
    }
    match (headers.content_length, headers.transfer_encoding) {
        (Single::Missing, _) => Ok(None),
        (_, Single::One(_)) => Err("Content-Length and Transfer-Encoding exclude each other"),
        (Single::One(value), _) => length(value).map(Some),
        (Single::Repeated, _) => Err("Content-Length stands more than once"),
    }
}

fn length(value: &[u8]) -> Result<u64, &'static str> {
    let digits = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or("Content-Length is not a number")
}

/// The name in a `Host` header: a DNS name or an IP address, and perhaps a port (RFC 9110, 7.2).
fn host(value: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    const INVALID: &str = "Host is not a host name or address";
    let text = std::str::from_utf8(value).map_err(|_| INVALID)?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(INVALID)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| INVALID)?;
            (address, after)
        }
        None => {
            // By hand, as searching takes longer than a name is.
            let end = text.bytes().position(|byte| byte == b':').unwrap_or(text.len());
            text.split_at_checked(end).ok_or(INVALID)?
        }
    };
    match port.strip_prefix(':') {
        Some(port)
            if port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok() => {}
        None if port.is_empty() => {}
        _ => return Err("the port in Host is not a port"),
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_address = || text.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
    if !is_dns_name(name) && !is_address() {
        return Err(INVALID);
    }
    Ok(if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(headers: &[(&str, &str)], expected: Result<(&str, Option<u64>), &str>) {
        let headers =
            HeaderFacts::collect(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        let facts = RequestFacts {
            client: [127, 0, 0, 1].into(),
            sni: None,
            client_certificate: None,
            method: "GET",
            path: "/",
            headers,
            all_headers: &(),
        };
        match (guard(&facts), expected) {
            (Ok(guarded), Ok((host, length))) => {
                assert_eq!(
                    (guarded.host.as_ref(), guarded.content_length),
                    (host, length),
                    "{headers:?}"
                );
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{headers:?}: {error}"),
            (got, _) => panic!("{headers:?}: {got:?}"),
        }
    }

    #[test]
    fn hosts() {
        let host = |value: &str, expected: Result<&str, &str>| {
            check(&[("Host", value)], expected.map(|host| (host, None)));
        };
        host("acme.example.com", Ok("acme.example.com"));
        host("ACME.example.com.:8080", Ok("acme.example.com"));
        host("127.0.0.1:80", Ok("127.0.0.1"));
        host("[::1]:80", Ok("::1"));
        host("[::1]", Ok("::1"));
        for bad in [
            "", ".", "a b", "a/b", "user@a", "a_b.com", "ä.com", "[::1", "[a]", "a..b", "a,b",
            "1.2.3",
        ] {
            host(bad, Err("not a host"));
        }
        for bad in ["a:", "a:x", "a:99999", "a:80:80", "[::1]80", "a:+1", "[::1]x"] {
            // An empty port is allowed by the grammar and by nobody's use; it is refused with the rest.
            host(bad, Err("port"));
        }
        check(&[], Err("Host is missing"));
        check(&[("host", "a"), ("HOST", "a")], Err("more than once"));
    }

    #[test]
    fn framings() {
        let framing = |headers: &[(&str, &str)], expected: Result<Option<u64>, &str>| {
            let headers: Vec<_> =
                [("host", "a")].into_iter().chain(headers.iter().copied()).collect();
            check(&headers, expected.map(|length| ("a", length)));
        };
        framing(&[("Content-Length", "58")], Ok(Some(58)));
        framing(&[("Transfer-Encoding", "Chunked")], Ok(None));
        framing(&[("content-length", "1"), ("transfer-encoding", "chunked")], Err("exclude"));
        framing(&[("content-length", "1"), ("content-length", "1")], Err("more than once"));
        for bad in ["", "+1", "-1", "0x1", "1,1", "58,58", "18446744073709551616", " 1", "1 "] {
            framing(&[("content-length", bad)], Err("not a number"));
        }
        for bad in ["", "gzip", "gzip, chunked", "chunked, chunked", "xchunked", "chunked;q=1"] {
            framing(&[("transfer-encoding", bad)], Err("chunked"));
        }
        for disguised in ["content_length", "Transfer_Encoding"] {
            framing(&[(disguised, "5")], Err("written with `_`"));
        }
        framing(&[("x-api-key", "a"), ("X-API-Key", "a")], Err("X-API-Key"));
        framing(&[("authorization", "a"), ("authorization", "b")], Err("Authorization"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = host(&value);
            let _ = length(&value);
        }
    }
}
