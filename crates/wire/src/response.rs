//! The head of an upstream's answer (RFC 9112), and how its body ends.

use std::mem::MaybeUninit;

pub use httparse::Header;

/// Header lines that an answer may have.
pub const MAX_FIELDS: usize = 256;

/// Room for the lines of a head.
pub type Room<'b> = [MaybeUninit<Header<'b>>; MAX_FIELDS];

/// Room for the lines of a head.
#[must_use]
pub fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseHead<'r, 'b> {
    /// Three digits, as a number.
    pub status: u16,
    /// What stands behind the status.
    pub reason: &'b str,
    /// Its header lines, in their order.
    pub fields: &'r [Header<'b>],
    /// Where it ends: the index after its blank line.
    pub end: usize,
    /// How its body ends.
    pub body: ResponseBody,
    /// Whether its body is encoded for the way, so that a length beside that says nothing (RFC 9112, section 6.3).
    pub is_encoded: bool,
    /// Whether the connection may carry another request after this one.
    pub is_kept: bool,
}

/// How the body of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseBody {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// Reads the head of an answer; none if it has not come whole.
///
/// `answers_head` says that a request by `HEAD` is answered, whose answer has no body whatever its head says.
///
/// # Errors
/// It breaks the grammar, or where its body ends can be read in two ways.
pub fn parse<'r, 'b>(
    bytes: &'b [u8],
    answers_head: bool,
    room: &'r mut Room<'b>,
) -> Result<Option<ResponseHead<'r, 'b>>, &'static str> {
    let mut response = httparse::Response::new(&mut []);
    // A space before the colon is an upstream's sin to forgive: it is gone from what is passed on (section 5.1).
    let parsed = httparse::ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, bytes, room)
        .map_err(|_| "the head of the answer is malformed")?;
    let httparse::Status::Complete(end) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    if !(100..=999).contains(&status) {
        return Err("the status of the answer is none");
    }
    let fields: &'r [Header<'b>] = response.headers;
    let is_version_1_1 = response.version == Some(1);
    let mut framing = Framing::default();
    for field in fields {
        framing.take(field)?;
    }
    let has_no_body = answers_head || status < 200 || status == 204 || status == 304;
    let body = framing.body(is_version_1_1)?;
    let body = if has_no_body { ResponseBody::Length(0) } else { body };
    Ok(Some(ResponseHead {
        status,
        reason: response.reason.unwrap_or_default(),
        fields,
        end,
        is_encoded: framing.is_encoded,
        is_kept: is_version_1_1 && !framing.closes && body != ResponseBody::UntilClose,
        body,
    }))
}

/// What the header lines say of where the answer ends.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    is_encoded: bool,
    is_chunked: bool,
    closes: bool,
}

impl Framing {
    /// Length first: almost no header is one of these.
    fn take(&mut self, field: &Header<'_>) -> Result<(), &'static str> {
        match field.name.len() {
            10 if field.name.eq_ignore_ascii_case("connection") => {
                self.closes |= elements(field.value).any(|it| it.eq_ignore_ascii_case(b"close"));
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                for element in elements(field.value) {
                    self.add_length(element)?;
                }
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                self.is_encoded = true;
                let last = elements(field.value).last().unwrap_or_default();
                self.is_chunked = last.eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
        Ok(())
    }

    /// One length may stand several times (RFC 9110, section 8.6); two may not.
    fn add_length(&mut self, element: &[u8]) -> Result<(), &'static str> {
        let digits = std::str::from_utf8(element).ok();
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let length = digits.and_then(|digits| digits.parse().ok());
        let length: u64 = length.ok_or("the length of the answer is no number")?;
        if self.length.replace(length).is_some_and(|other| other != length) {
            return Err("the answer has two lengths");
        }
        Ok(())
    }

    /// A coding goes before a length, and one that is not chunked ends with the connection (RFC 9112, section 6.3).
    fn body(&self, is_version_1_1: bool) -> Result<ResponseBody, &'static str> {
        match (self.is_encoded, self.is_chunked, self.length) {
            (true, ..) if !is_version_1_1 => Err("HTTP/1.0 knows no Transfer-Encoding"),
            (true, true, _) => Ok(ResponseBody::Chunked),
            (false, _, Some(length)) => Ok(ResponseBody::Length(length)),
            (_, _, _) => Ok(ResponseBody::UntilClose),
        }
    }
}

/// The elements of a list (RFC 9110, section 5.6.1), empty ones too.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The headers that lines of `Connection` name: they end where the connection ends (RFC 9110, section 7.6.1). What
/// frames the answer is not among them, whatever the lines say.
pub fn nominated<'b>(lines: impl Iterator<Item = &'b [u8]>) -> impl Iterator<Item = &'b [u8]> {
    let keeps = |name: &&[u8]| {
        let stay: [&[u8]; 4] = [b"close", b"keep-alive", b"content-length", b"transfer-encoding"];
        !stay.iter().any(|it| name.eq_ignore_ascii_case(it))
    };
    lines.flat_map(elements).filter(keeps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Status, body, and whether the connection is kept.
    type Read = (u16, ResponseBody, bool);

    fn read(head: &str, answers_head: bool) -> Result<Option<Read>, &'static str> {
        let mut room = room();
        let parsed = parse(head.as_bytes(), answers_head, &mut room)?;
        Ok(parsed.map(|head| (head.status, head.body, head.is_kept)))
    }

    #[test]
    fn the_end_of_an_answer_is_read_in_one_way() {
        use ResponseBody::{Chunked, Length, UntilClose};
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, Length(5), true)),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\ncontent-length: 5\r\n\r\n",
                (200, Length(5), true),
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", (200, Chunked, true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", (200, Chunked, true)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                (200, Chunked, true),
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", (200, UntilClose, false)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\n",
                (200, UntilClose, false),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", (200, Length(5), true)),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n",
                (200, Length(5), false),
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", (200, Length(5), false)),
            ("HTTP/1.1 204 No Content\r\n\r\n", (204, Length(0), true)),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (304, Length(0), true)),
            ("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", (103, Length(0), true)),
        ] {
            assert_eq!(read(head, false), Ok(Some(expected)), "{head:?}");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(read(head, true), Ok(Some((200, Length(0), true))));
        for incomplete in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nA: b\r\n"] {
            assert_eq!(read(incomplete, false), Ok(None), "{incomplete:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "hello\r\n\r\n",
        ] {
            assert!(read(head, false).is_err(), "{head:?}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert!(read(&many, false).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes, false, &mut room());
        }
    }
}
