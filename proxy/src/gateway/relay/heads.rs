//! Heads as the relay writes them: of the request to the upstream, and of the answer to the client.

use pingora::protocols::http::date::get_cached_date;
use tenantry_engine::CompiledRoute;
use tenantry_model::route::HeaderEdits;
use tenantry_wire::response::{self, ResponseHead, elements};

use super::request::Plain;
use crate::{
    identity::{self, Outgoing, Told},
    request_id::RequestId,
    respond::RateLimitHeaders,
    trace::{TRACEPARENT, TRACESTATE},
};

/// The fields of a head.
pub(super) trait Fields {
    /// Adds one.
    ///
    /// # Errors
    /// It cannot be in such a head.
    fn field(&mut self, name: &[u8], value: &[u8]) -> pingora::Result<()>;
}

/// A head of HTTP/1.1 that grows.
pub(super) struct Growing<'a>(pub(super) &'a mut Vec<u8>);

impl Growing<'_> {
    #[inline]
    pub(super) fn line(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }
}

impl Fields for Growing<'_> {
    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8]) -> pingora::Result<()> {
        self.line(name, value);
        Ok(())
    }
}

/// What a route sets and adds. Nothing that the gateway itself sets: the model lets no route name it, and even a
/// route that got past the model could name no tenant.
fn edited(
    head: &mut impl Fields,
    edits: &HeaderEdits,
    is_ours: impl Fn(&[u8]) -> bool,
) -> pingora::Result<()> {
    for (name, value) in edits.set().iter().chain(edits.add()) {
        if !is_ours(name.as_str().as_bytes()) {
            head.field(name.as_str().as_bytes(), value.as_str().as_bytes())?;
        }
    }
    Ok(())
}

impl Told for Growing<'_> {
    #[inline]
    fn tell(&mut self, name: &'static str, value: &[u8]) -> pingora::Result<()> {
        self.line(name.as_bytes(), value);
        Ok(())
    }
}

/// Whether a route takes the place of a header, or takes it away.
fn is_edited(edits: &HeaderEdits, name: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    edits.remove().iter().any(|it| is(it.as_str())) || edits.set().keys().any(|it| is(it.as_str()))
}

fn is_one_of(name: &[u8], others: &[&str]) -> bool {
    others.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// Whether the gateway writes a header of a request itself.
fn is_set_by_us(name: &[u8]) -> bool {
    let is_another = match name.len() {
        10 | 11 => is_one_of(name, &["connection", TRACEPARENT, TRACESTATE]),
        12 => is_one_of(name, &["x-request-id"]),
        _ => false,
    };
    is_another || identity::is_reserved(name)
}

/// The request with its body, as the upstream gets it.
pub(super) fn request(plain: &Plain<'_>, outgoing: &Outgoing<'_>) -> pingora::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES + plain.body.len());
    let (route, forward) = (&outgoing.forward.route, outgoing.forward);
    let (path, query) = match &forward.path {
        Some(path) => (path.as_str(), plain.target.split_once('?').map(|(_, query)| query)),
        None => (plain.target, None),
    };
    for part in [plain.method, " ", path] {
        bytes.extend_from_slice(part.as_bytes());
    }
    if let Some(query) = query {
        bytes.push(b'?');
        bytes.extend_from_slice(query.as_bytes());
    }
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    let mut head = Growing(&mut bytes);
    let (edits, host) = (route.request_headers(), route.rewrite_host());
    let is_left_out = |name: &[u8]| {
        is_set_by_us(name)
            || (host.is_some() && is_one_of(name, &["host"]))
            || (!edits.is_empty() && is_edited(edits, name))
            || outgoing.credentials().any(|it| name.eq_ignore_ascii_case(it.as_bytes()))
    };
    plain.lines.write_kept(head.0, |name| !is_left_out(name));
    let is_ours = |name: &[u8]| is_set_by_us(name) || is_one_of(name, &["host", "content-length"]);
    edited(&mut head, edits, is_ours)?;
    if let Some(host) = host {
        head.line(b"Host", host.as_str().as_bytes());
    }
    outgoing.tell(&mut head)?;
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(plain.body);
    Ok(bytes)
}

/// Bytes of most heads.
const USUAL_BYTES: usize = 1024;

/// What the gateway adds to an answer.
pub(crate) struct Added<'a> {
    pub(super) route: &'a CompiledRoute,
    pub(super) request_id: RequestId,
    pub(super) rate_limit: Option<RateLimitHeaders>,
    /// Whether the client is told that its connection ends.
    pub(super) closes: bool,
}

/// Whether a header of an answer concerns the connection to the upstream alone (RFC 9110, section 7.6.1).
fn is_of_the_connection(name: &[u8]) -> bool {
    match name.len() {
        7 => is_one_of(name, &["trailer", "upgrade"]),
        10 => is_one_of(name, &["connection", "keep-alive"]),
        16 => is_one_of(name, &["proxy-connection"]),
        _ => false,
    }
}

/// Whether the gateway writes a header of an answer itself.
fn is_answered_by_us(name: &[u8]) -> bool {
    match name.len() {
        9 => is_one_of(name, &["ratelimit"]),
        12 => is_one_of(name, &["x-request-id"]),
        16 => is_one_of(name, &["ratelimit-policy"]),
        _ => false,
    }
}

/// The fields of an answer, as the client gets them.
///
/// # Errors
/// As [`Fields::field`].
pub(super) fn answer(
    answer: &ResponseHead<'_, '_>,
    added: &Added<'_>,
    head: &mut impl Fields,
) -> pingora::Result<()> {
    let edits = added.route.response_headers();
    let nominated = nominated(answer);
    let mut has_length = false;
    let mut has_date = [edits.set(), edits.add()].into_iter().any(|it| it.keys().any(is_date));
    for field in answer.fields {
        let name = field.name.as_bytes();
        let is_left_out = is_of_the_connection(name)
            || (added.rate_limit.is_some() && is_answered_by_us(name))
            || is_one_of(name, &["x-request-id"])
            || is_void(name, answer)
            || (!edits.is_empty() && is_edited(edits, name))
            || nominated.iter().any(|it| name.eq_ignore_ascii_case(it));
        if is_left_out {
            continue;
        }
        has_date |= is_one_of(name, &["date"]);
        if is_one_of(name, &["content-length"]) {
            // The same length may be said several times, and is told once (RFC 9110, section 8.6).
            let length = elements(field.value).next().unwrap_or_default();
            if !std::mem::replace(&mut has_length, true) {
                head.field(name, length)?;
            }
        } else {
            head.field(name, field.value)?;
        }
    }
    edited(head, edits, |name| is_answered_by_us(name) || is_of_the_connection(name))?;
    if !has_date {
        head.field(b"date", get_cached_date().as_bytes())?;
    }
    head.field(b"x-request-id", &added.request_id.text())?;
    if let Some(rate_limit) = &added.rate_limit {
        for (name, value) in rate_limit.lines() {
            head.field(name.as_bytes(), value.as_bytes())?;
        }
    }
    Ok(())
}

fn is_date(name: &tenantry_model::route::HeaderName) -> bool {
    name.as_str() == "date"
}

/// The lines of an answer before the answer (1xx).
pub(super) fn interim(answer: &ResponseHead<'_, '_>, head: &mut Growing<'_>) {
    let nominated = nominated(answer);
    for field in answer.fields {
        let name = field.name.as_bytes();
        let is_nominated = nominated.iter().any(|it| name.eq_ignore_ascii_case(it));
        if !is_of_the_connection(name) && !is_nominated && !is_void(name, answer) {
            head.line(name, field.value);
        }
    }
}

/// The headers that the answer's `Connection` header names.
fn nominated<'b>(answer: &ResponseHead<'_, 'b>) -> Vec<&'b [u8]> {
    let named = answer.fields.iter().filter(|it| it.name.eq_ignore_ascii_case("connection"));
    response::nominated(named.map(|field| field.value)).collect()
}

/// Whether a header speaks of an end that does not hold: a length beside a coding (RFC 9112, section 6.3), a coding
/// of an answer that has no content (section 6.1).
fn is_void(name: &[u8], answer: &ResponseHead<'_, '_>) -> bool {
    if !answer.is_encoded {
        return false;
    }
    match name.len() {
        14 => is_one_of(name, &["content-length"]),
        17 if answer.status < 200 || answer.status == 204 => {
            is_one_of(name, &["transfer-encoding"])
        }
        _ => false,
    }
}
