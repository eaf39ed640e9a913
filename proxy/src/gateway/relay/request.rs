//! A request that the relay can take.

use std::sync::Arc;

use http::{
    HeaderValue, Version,
    header::{CONTENT_LENGTH, COOKIE, HOST},
};
use pingora::http::RequestHeader;
use tenantry_engine::{HeaderFacts, HeaderLines, HeaderLookup};
use tenantry_wire::http1::{Body, Field, Head};

use super::heads::Growing;
use crate::{
    bootstrap::ConnectionBounds,
    connection::Connection,
    facts::{Asked, oversized},
};

/// Header lines of a request.
#[derive(Clone, Copy)]
pub(crate) enum Lines<'a> {
    /// Where they stand in its bytes.
    Text { bytes: &'a [u8], fields: &'a [Field] },
    /// As HTTP/2 has them.
    Fields(&'a RequestHeader),
}

impl<'a> Lines<'a> {
    /// Writes the lines that are kept as HTTP/1.1 has them.
    pub(super) fn write_kept(self, head: &mut Vec<u8>, is_kept: impl Fn(&[u8]) -> bool) {
        match self {
            Self::Text { bytes, fields } => {
                runs(bytes, fields, is_kept).for_each(|run| head.extend_from_slice(run));
            }
            Self::Fields(header) => write_fields(header, &mut Growing(head), is_kept),
        }
    }
}

/// The lines that are kept, as they came and where they came one after the other in one piece.
fn runs<'a>(
    bytes: &'a [u8],
    fields: &'a [Field],
    is_kept: impl Fn(&'a [u8]) -> bool,
) -> impl Iterator<Item = &'a [u8]> {
    let mut fields = fields.iter();
    std::iter::from_fn(move || {
        let name = |field: &Field| bytes.get(field.name.clone()).unwrap_or_default();
        let first = fields.find(|field| is_kept(name(field)))?;
        // The one that ends the run is looked at, and gone.
        let last = fields.by_ref().take_while(|field| is_kept(name(field))).last();
        bytes.get(first.name.start..last.unwrap_or(first).end)
    })
}

/// HTTP/2 names the host in `:authority`, and may send cookies in several lines (RFC 9113, sections 8.3.1 and 8.2.3).
fn write_fields(header: &RequestHeader, head: &mut Growing<'_>, is_kept: impl Fn(&[u8]) -> bool) {
    let authority = header.uri.authority().map(http::uri::Authority::as_str);
    if let Some(authority) = authority.filter(|_| is_kept(b"host")) {
        head.line(b"Host", authority.as_bytes());
    }
    let mut has_cookies = false;
    for (name, value) in &header.headers {
        let is_said = *name == HOST && authority.is_some() || *name == COOKIE && has_cookies;
        if is_said || !is_kept(name.as_str().as_bytes()) {
            continue;
        }
        if *name == COOKIE {
            has_cookies = true;
            let cookies = header.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
            head.line(b"cookie", &cookies.collect::<Vec<_>>().join(b"; ".as_slice()));
        } else {
            head.line(name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

/// Names, as the client wrote them, and values.
fn pairs<'a>(bytes: &'a [u8], fields: &'a [Field]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let text = move |range: &std::ops::Range<usize>| bytes.get(range.clone()).unwrap_or_default();
    fields.iter().map(move |field| (text(&field.name), text(&field.value)))
}

impl HeaderLookup for Lines<'_> {
    fn lines<'a>(&'a self, name: &str) -> HeaderLines<'a> {
        match self {
            Self::Text { bytes, fields } => {
                let is_asked_for =
                    |(line, _): &(&[u8], &[u8])| line.eq_ignore_ascii_case(name.as_bytes());
                pairs(bytes, fields).filter(is_asked_for).map(|(_, value)| value).collect()
            }
            Self::Fields(header) => header.headers.lines(name),
        }
    }
}

/// A request that has come whole and in which nothing is unusual.
pub(crate) struct Plain<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) lines: Lines<'a>,
    pub(super) body: &'a [u8],
}

/// What a request of HTTP/1.1 says of the connection.
pub(crate) struct Framed {
    /// Whether the client wants it closed.
    pub(crate) closes: bool,
    /// Where the request ends among the bytes.
    pub(crate) end: usize,
}

impl<'a> Plain<'a> {
    /// Takes a request if it is plain: it names nothing that concerns this connection alone but whether to close it,
    /// waits for nothing, and its body is here.
    pub(crate) fn of_bytes(
        bytes: &'a [u8],
        head: &'a Head,
        most_body_bytes: u64,
    ) -> Option<(Self, Framed)> {
        let Body::Length(length) = head.body else { return None };
        if head.asks_upgrade || head.is_version_1_0 || length > most_body_bytes {
            return None;
        }
        let end = head.end.checked_add(usize::try_from(length).ok()?)?;
        let body = bytes.get(head.end..end)?;
        let method = std::str::from_utf8(bytes.get(head.method.clone())?).ok()?;
        let target = std::str::from_utf8(bytes.get(head.target.clone())?).ok()?;
        let mut usual = Usual::default();
        let is_usual = is_usual(method, target)
            && pairs(bytes, &head.fields).all(|(name, value)| usual.is(name, value))
            && usual.cookies < 2;
        let lines = Lines::Text { bytes, fields: &head.fields };
        let framed = Framed { closes: usual.closes, end };
        is_usual.then_some((Self { method, target, lines, body }, framed))
    }

    /// Takes a request of HTTP/2 whose body is here, if it is plain. It has been found to keep to the protocol.
    pub(crate) fn of_head(
        header: &'a RequestHeader,
        body: &'a [u8],
        bounds: &ConnectionBounds,
    ) -> Option<Self> {
        if oversized(header, bounds).is_some() || !is_said(header, body.len()) {
            return None;
        }
        let (method, target) =
            (header.method.as_str(), std::str::from_utf8(header.raw_path()).ok()?);
        let mut usual = Usual::default();
        let mut fields = header.headers.iter();
        let is_usual = is_usual(method, target)
            && fields.all(|(name, value)| usual.is(name.as_str().as_bytes(), value.as_bytes()))
            && usual.connections == 0;
        is_usual.then_some(Self { method, target, lines: Lines::Fields(header), body })
    }

    pub(super) fn asked<'s>(&'s self, connection: &'s Arc<Connection>) -> Asked<'s> {
        match self.lines {
            Lines::Text { bytes, fields } => Asked {
                version: Version::HTTP_11,
                method: self.method,
                target: self.target,
                marked: HeaderFacts::collect(pairs(bytes, fields)),
                headers: &self.lines,
                connection: Some(connection),
            },
            Lines::Fields(header) => Asked::by(header, Some(connection)),
        }
    }
}

/// Whether a head says once how long the body is, or nothing where there is none.
fn is_said(header: &RequestHeader, bytes: usize) -> bool {
    let mut lengths = header.headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next().map(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(Some(0)) == Some(bytes) && lengths.next().is_none()
}

fn is_usual(method: &str, target: &str) -> bool {
    let is_path = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic());
    is_path && !matches!(method, "CONNECT" | "TRACE")
}

/// What was seen in a request.
#[derive(Debug, Default)]
struct Usual {
    closes: bool,
    connections: usize,
    cookies: usize,
}

impl Usual {
    /// Length first: almost no header is one of these.
    fn is(&mut self, name: &[u8], value: &[u8]) -> bool {
        let named = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match name.len() {
            2 => !named("te"),
            6 if named("expect") => false,
            6 => {
                self.cookies += usize::from(named("cookie"));
                true
            }
            7 => !named("trailer") && !named("upgrade"),
            10 if named("connection") => {
                self.connections += 1;
                self.closes = value.eq_ignore_ascii_case(b"close");
                self.connections == 1 && (self.closes || value.eq_ignore_ascii_case(b"keep-alive"))
            }
            10 => !named("keep-alive"),
            14 => !named("http2-settings"),
            16 => !named("proxy-connection"),
            18 => !named("proxy-authenticate"),
            19 => !named("proxy-authorization"),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_wire::http1::{Bounds, Scanner};

    use super::*;
    use crate::bootstrap::{Bootstrap, Flags};

    #[test]
    fn what_is_kept_comes_in_runs() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nB:b\r\nC: c \r\nD: d\r\nE: e\r\nF: f\r\n\r\n";
        let bounds = Bounds { head_bytes: 512, target_bytes: 64, headers: 8 };
        let head = Scanner::new(bounds).advance(bytes).unwrap().unwrap();
        for left_out in 0..64_u32 {
            let is_kept = |name: &[u8]| {
                let place = b"HBCDEF".iter().position(|first| *first == name[0]).unwrap();
                left_out >> place & 1 == 0
            };
            let whole: Vec<&[u8]> = vec![
                b"Host: a\r\n",
                b"B:b\r\n",
                b"C: c \r\n",
                b"D: d\r\n",
                b"E: e\r\n",
                b"F: f\r\n",
            ];
            let expected: Vec<u8> =
                whole.into_iter().filter(|line| is_kept(line)).flatten().copied().collect();
            let runs: Vec<&[u8]> = runs(bytes, &head.fields, is_kept).collect();
            assert_eq!(runs.concat(), expected, "{left_out:b}");
        }
    }

    /// What stands in a request that is taken: its body, and whether the connection is to be closed.
    fn taken(bytes: &str) -> Option<(String, bool)> {
        let bounds = Bounds { head_bytes: 512, target_bytes: 64, headers: 8 };
        let head = Scanner::new(bounds).advance(bytes.as_bytes()).unwrap().unwrap();
        let (plain, framed) = Plain::of_bytes(bytes.as_bytes(), &head, 5)?;
        Some((std::str::from_utf8(plain.body).unwrap().to_owned(), framed.closes))
    }

    fn get(lines: &str) -> Option<(String, bool)> {
        taken(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
    }

    #[test]
    fn plain_requests_are_taken() {
        let open = Some((String::new(), false));
        assert_eq!(get(""), open);
        assert_eq!(get("Connection: Keep-Alive\r\nCookie: a=b\r\nAccept: */*\r\n"), open);
        assert_eq!(get("connection: Close\r\n"), Some((String::new(), true)));
        let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1";
        assert_eq!(taken(put), Some(("hello".to_owned(), false)));
    }

    #[test]
    fn streams_are_taken_by_what_their_heads_say() {
        let bounds = Bootstrap::load(&Flags::default()).unwrap().connections;
        let is_taken = |method: &str, path: &[u8], fields: &[(&'static str, &str)], body: &[u8]| {
            let mut header = RequestHeader::build(method, path, None).unwrap();
            for (name, value) in fields {
                header.append_header(*name, *value).unwrap();
            }
            Plain::of_head(&header, body, &bounds).is_some()
        };
        for (fields, body) in [
            (&[][..], &b""[..]),
            (&[("cookie", "a"), ("cookie", "b"), ("content-length", "0")], b""),
            (&[("content-length", "5")], b"hello"),
        ] {
            assert!(is_taken("POST", b"/a?b", fields, body), "{fields:?}");
        }
        for (fields, body) in [
            (&[("te", "trailers")][..], &b""[..]),
            (&[("expect", "100-continue")], b""),
            (&[("connection", "close")], b""),
            (&[("upgrade", "h2c")], b""),
            (&[("trailer", "a")], b""),
            (&[], b"hello"),
            (&[("content-length", "4")], b"hello"),
            (&[("content-length", "5"), ("content-length", "5")], b"hello"),
            (&[("content-length", "5, 5")], b"hello"),
        ] {
            assert!(!is_taken("POST", b"/", fields, body), "{fields:?}");
        }
        for (method, path) in [("CONNECT", &b"/"[..]), ("OPTIONS", b"*"), ("GET", b"/\xc3\xa4")] {
            assert!(!is_taken(method, path, &[], b""), "{method} {path:?}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_pingora() {
        for lines in [
            "Connection: x-tenant-id\r\n",
            "Connection: close, x\r\n",
            "Connection: close\r\nConnection: close\r\n",
            "Keep-Alive: timeout=5\r\n",
            "Upgrade: websocket\r\n",
            "TE: trailers\r\n",
            "Trailer: a\r\n",
            "Expect: 100-continue\r\n",
            "Proxy-Authorization: a\r\n",
            "Proxy-Authenticate: a\r\n",
            "Proxy-Connection: close\r\n",
            "HTTP2-Settings: a\r\n",
            "Cookie: a\r\nCookie: b\r\n",
            "Content-Length: 1\r\n",
            "Transfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(get(lines), None, "{lines:?}");
        }
        for request in [
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n123456",
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n1234",
        ] {
            assert_eq!(taken(request), None, "{request:?}");
        }
    }
}
