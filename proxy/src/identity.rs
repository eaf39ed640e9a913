//! What the upstream is told about the request, and what it is not told.
//!
//! By pingora it is told in `upstream_request_filter` and nowhere else: the headers that the client's `Connection`
//! header names are gone by then, so nothing set here can be removed by a client. The [relay](crate::relay) takes no
//! request with such names, and tells the same last.

use std::{fmt::Write as _, net::IpAddr};

use arrayvec::ArrayString;
use http::HeaderName;
use pingora::http::RequestHeader;
use tenantry_engine::{Admission, Forward, HeaderLookup, Identity, Table};

use crate::{
    filters,
    request_id::RequestId,
    trace::{TRACEPARENT, TRACESTATE, Trace},
};

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
    pub(crate) client: IpAddr,
    /// Whether the client spoke TLS, with us or with a trusted proxy in front.
    pub(crate) is_https: bool,
    /// The client's `Host`, as it was sent.
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) trace: Trace,
    /// Whether the request's own part of its trace can be found anywhere.
    pub(crate) has_span: bool,
    /// All headers, as the client sent them.
    pub(crate) headers: &'a dyn HeaderLookup,
}

/// Takes headers that the gateway sets.
pub(crate) trait Told {
    /// Sets a header; one of that name that is there is replaced.
    ///
    /// # Errors
    /// A value that no header can carry; none of ours is.
    fn tell(&mut self, name: &'static str, value: &[u8]) -> pingora::Result<()>;
}

impl Told for RequestHeader {
    fn tell(&mut self, name: &'static str, value: &[u8]) -> pingora::Result<()> {
        self.insert_header(name, value)
    }
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
    for name in outgoing.credentials() {
        request.remove_header(name);
    }
    request.remove_header(TRACESTATE);
    outgoing.tell(request)
}

impl Outgoing<'_> {
    /// The headers that hold credentials of ours, which are not for the upstream.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &'static str> {
        let identity =
            self.forward.identity().filter(|_| !self.forward.route.forwards_credential());
        let has = |is_ours: fn(&Identity) -> bool| identity.is_some_and(is_ours);
        let api_key = has(|identity| identity.api_key_is_ours).then_some("x-api-key");
        let authorization =
            has(|identity| identity.authorization_is_ours).then_some("authorization");
        api_key.into_iter().chain(authorization)
    }

    /// Tells all that the gateway knows of the request.
    ///
    /// # Errors
    /// As [`Told::tell`].
    pub(crate) fn tell(&self, told: &mut impl Told) -> pingora::Result<()> {
        if let Some(admission) = &self.forward.admission {
            introduce(self.table, admission, told)?;
        }
        told.tell("x-forwarded-for", text_of(self.client).as_bytes())?;
        told.tell("x-forwarded-proto", if self.is_https { b"https" } else { b"http" })?;
        if let Some(host) = self.host {
            told.tell("x-forwarded-host", host)?;
        }
        told.tell("x-request-id", &self.request_id.text())?;
        told.tell(TRACEPARENT, &self.trace.parent_of_upstream(self.has_span).text())?;
        match self.trace.state(self.headers) {
            Some(state) => told.tell(TRACESTATE, state.as_bytes()),
            None => Ok(()),
        }
    }
}

/// Bytes of the longest address: six groups of four digits and an address of version 4.
const ADDRESS: usize = 45;

/// An address as text. Version 4 by hand: every request has an address, and formatting is slow.
fn text_of(address: IpAddr) -> ArrayString<ADDRESS> {
    let mut text = ArrayString::new();
    // All that is written fits.
    let IpAddr::V4(address) = address else {
        let _ = write!(text, "{address}");
        return text;
    };
    for (place, octet) in address.octets().into_iter().enumerate() {
        let _ = text.try_push_str(if place == 0 { "" } else { "." });
        let _ = text.try_push_str(itoa::Buffer::new().format(octet));
    }
    text
}

/// Says whose request it is and who calls.
fn introduce(table: &Table, admission: &Admission, told: &mut impl Told) -> pingora::Result<()> {
    let Admission { tenant, policy, identity, .. } = admission;
    told.tell("x-tenant-id", &tenant.id().text())?;
    told.tell("x-tenant-slug", tenant.slug().as_str().as_bytes())?;
    told.tell("x-tenant-plan", tenant.plan().as_str().as_bytes())?;
    told.tell("x-tenant-features", table.features_of(tenant, policy).as_bytes())?;
    if let Some(key) = &identity.key {
        told.tell("x-tenant-key-id", &key.id.text())?;
    }
    let Some(token) = &identity.token else { return Ok(()) };
    if let Some(subject) = token.subject() {
        told.tell("x-tenant-subject", subject.as_bytes())?;
    }
    match token.roles() {
        Some(roles) => told.tell("x-tenant-roles", roles.as_bytes()),
        None => Ok(()),
    }
}

/// Whether only the gateway may set a header. Some servers read `_` in a name as `-`, so both spellings are reserved.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    // Almost every name begins with another letter.
    if !matches!(name.first(), Some(b'x' | b'X' | b'f' | b'F')) {
        return false;
    }
    let same = |reserved: &str| {
        name.len() >= reserved.len()
            && name
                .iter()
                .zip(reserved.bytes())
                .all(|(a, b)| a.eq_ignore_ascii_case(&b) || (*a == b'_' && b == b'-'))
    };
    same(RESERVED)
        || FORWARDED.iter().any(|forwarded| name.len() == forwarded.len() && same(forwarded))
}

fn remove_reserved(request: &mut RequestHeader) {
    let names = request.headers.keys();
    let reserved: Vec<HeaderName> =
        names.filter(|name| is_reserved(name.as_str().as_bytes())).cloned().collect();
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
    fn addresses_are_written_whole() {
        let longest = "2001:1db8:1111:2222:3333:4444:5555:6666";
        for address in
            ["0.0.0.0", "127.0.0.1", "255.255.255.255", "::1", "::ffff:192.168.100.200", longest]
        {
            assert_eq!(text_of(address.parse().unwrap()).as_str(), address);
        }
    }

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
