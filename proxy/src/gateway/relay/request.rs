//! A request that the relay can take.

use std::sync::Arc;

use http::Version;
use tenantry_engine::{HeaderFacts, HeaderLines, HeaderLookup};
use tenantry_wire::http1::{Body, Field, Head};

use crate::{connection::Connection, facts::Asked};

/// Header lines of a request, where they stand in its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    fields: &'a [Field],
}

impl<'a> Lines<'a> {
    /// The lines that are kept, as they came and where they came one after the other in one piece.
    pub(super) fn kept(
        &self,
        is_kept: impl Fn(&'a [u8]) -> bool,
    ) -> impl Iterator<Item = &'a [u8]> {
        let (bytes, mut fields) = (self.bytes, self.fields.iter());
        std::iter::from_fn(move || {
            let name = |field: &Field| bytes.get(field.name.clone()).unwrap_or_default();
            let first = fields.find(|field| is_kept(name(field)))?;
            // The one that ends the run is looked at, and gone.
            let last = fields.by_ref().take_while(|field| is_kept(name(field))).last();
            bytes.get(first.name.start..last.unwrap_or(first).end)
        })
    }

    /// Names, as the client wrote them, and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let bytes = self.bytes;
        let text =
            move |range: &std::ops::Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        self.fields.iter().map(move |field| (text(&field.name), text(&field.value)))
    }
}

impl HeaderLookup for Lines<'_> {
    fn lines<'a>(&'a self, name: &str) -> HeaderLines<'a> {
        let is_asked_for = |(line, _): &(&[u8], &[u8])| line.eq_ignore_ascii_case(name.as_bytes());
        self.iter().filter(is_asked_for).map(|(_, value)| value).collect()
    }
}

/// A request of HTTP/1.1 that has come whole and in which nothing is unusual.
pub(crate) struct Plain<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) lines: Lines<'a>,
    pub(super) body: &'a [u8],
    /// Whether the client wants its connection closed.
    pub(super) closes: bool,
    /// Where the request ends among the bytes.
    pub(crate) end: usize,
}

impl<'a> Plain<'a> {
    /// Takes a request if it is plain: it names nothing that concerns this connection alone but whether to close it,
    /// waits for nothing, and its body is here.
    pub(crate) fn of(bytes: &'a [u8], head: &'a Head, most_body_bytes: u64) -> Option<Self> {
        let Body::Length(length) = head.body else { return None };
        if head.asks_upgrade || head.is_version_1_0 || length > most_body_bytes {
            return None;
        }
        let end = head.end.checked_add(usize::try_from(length).ok()?)?;
        let body = bytes.get(head.end..end)?;
        let method = std::str::from_utf8(bytes.get(head.method.clone())?).ok()?;
        let target = std::str::from_utf8(bytes.get(head.target.clone())?).ok()?;
        if !target.starts_with('/') || !target.is_ascii() || matches!(method, "CONNECT" | "TRACE") {
            return None;
        }
        let lines = Lines { bytes, fields: &head.fields };
        let mut usual = Usual::default();
        lines.iter().all(|(name, value)| usual.is(name, value)).then_some(Self {
            method,
            target,
            lines,
            body,
            closes: usual.closes,
            end,
        })
    }

    pub(super) fn asked<'s>(&'s self, connection: &'s Arc<Connection>) -> Asked<'s> {
        Asked {
            version: Version::HTTP_11,
            method: self.method,
            target: self.target,
            marked: HeaderFacts::collect(self.lines.iter()),
            headers: &self.lines,
            connection: Some(connection),
        }
    }
}

/// Whether a connection stays a client's after its request.
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
            6 if named("cookie") => {
                self.cookies += 1;
                self.cookies == 1
            }
            7 => !named("trailer"),
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

    #[test]
    fn what_is_kept_comes_in_runs() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nB:b\r\nC: c \r\nD: d\r\nE: e\r\nF: f\r\n\r\n";
        let bounds = Bounds { head_bytes: 512, target_bytes: 64, headers: 8 };
        let head = Scanner::new(bounds).advance(bytes).unwrap().unwrap();
        let lines = Lines { bytes, fields: &head.fields };
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
            let runs: Vec<&[u8]> = lines.kept(is_kept).collect();
            assert_eq!(runs.concat(), expected, "{left_out:b}");
        }
    }

    /// What stands in a request that is taken: its body, and whether the connection is to be closed.
    fn taken(bytes: &str) -> Option<(String, bool)> {
        let bounds = Bounds { head_bytes: 512, target_bytes: 64, headers: 8 };
        let head = Scanner::new(bounds).advance(bytes.as_bytes()).unwrap().unwrap();
        let plain = Plain::of(bytes.as_bytes(), &head, 5)?;
        Some((std::str::from_utf8(plain.body).unwrap().to_owned(), plain.closes))
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
