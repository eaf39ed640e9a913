//! The head of an HTTP/1 request (RFC 9112), in its one strict reading.
//!
//! Parsers forgive: a bare line feed, a folded line, a space before a colon, a second length. Where two
//! of them forgive differently, one request is two. So the bytes are held to the grammar here, before
//! a parser sees them.

use std::ops::Range;

use memchr::memchr;

/// Blank lines before the request line that are passed over (RFC 9112, section 2.2, asks for one).
const MAX_LEADING_BYTES: usize = 2;

const HTTP_VERSION: &[u8] = b"HTTP/1.1";

/// Bytes of a method; those that are registered have 17 at most.
const LONGEST_METHOD: usize = 32;

/// Most requests have no more header lines.
const USUAL_FIELDS: usize = 16;

/// How much a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the whole head.
    pub head_bytes: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Header lines.
    pub headers: usize,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It breaks the grammar, or can be read in two ways. The phrase is fit for the client.
    Malformed(&'static str),
    /// The request target is longer than allowed.
    TargetTooLong,
    /// The head is longer than allowed, or has more lines.
    HeadTooLarge,
}

/// A head that can be read in one way only. Places in it are counted from the first byte that the scanner was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Bytes of blank lines before it.
    pub leading: usize,
    /// Where the method stands.
    pub method: Range<usize>,
    /// Where the request target stands.
    pub target: Range<usize>,
    /// Whether the client speaks HTTP/1.0.
    pub is_version_1_0: bool,
    /// Its header lines, in their order.
    pub fields: Vec<Field>,
    /// Where it ends: the index after its blank line.
    pub end: usize,
    /// What follows it.
    pub body: Body,
    /// Whether the client asks for another protocol, so that what follows may be no request.
    pub asks_upgrade: bool,
}

/// Where a header line has its name and its value, which has no white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Where the name stands.
    pub name: Range<usize>,
    /// Where the value stands.
    pub value: Range<usize>,
    /// Where the line ends: the index after its line feed.
    pub end: usize,
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// So many bytes; the next request comes after them.
    Length(u64),
    /// Chunks, of which only the last tells that it is.
    Chunked,
}

/// Reads a head as its bytes arrive; each byte is looked at once.
#[derive(Debug)]
pub struct Scanner {
    bounds: Bounds,
    /// Where the present line begins.
    line: usize,
    /// Up to where no end of line was found.
    searched: usize,
    leading: usize,
    lines: usize,
    method: Range<usize>,
    target: Range<usize>,
    fields: Vec<Field>,
    is_version_1_0: bool,
    hosts: usize,
    lengths: usize,
    length: u64,
    encodings: usize,
    asks_upgrade: bool,
}

impl Scanner {
    /// Begins a head.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            line: 0,
            searched: 0,
            leading: 0,
            lines: 0,
            method: 0..0,
            target: 0..0,
            fields: Vec::with_capacity(USUAL_FIELDS),
            is_version_1_0: false,
            hosts: 0,
            lengths: 0,
            length: 0,
            encodings: 0,
            asks_upgrade: false,
        }
    }

    /// Goes on with all bytes that have come so far; the head once it is complete.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<Head>, Refused> {
        while let Some(found) = memchr(b'\n', bytes.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + found;
            let line = bytes.get(self.line..end).unwrap_or_default();
            let line = line
                .strip_suffix(b"\r")
                .ok_or(malformed("a line ends without a carriage return"))?;
            let begins = std::mem::replace(&mut self.line, end + 1);
            self.searched = end + 1;
            self.within_bounds(end + 1)?;
            match (line.is_empty(), self.lines) {
                (true, 0) => {
                    self.leading = end + 1;
                    if self.leading > MAX_LEADING_BYTES {
                        return Err(malformed("blank lines stand before the request"));
                    }
                }
                (true, _) => return self.complete(end + 1).map(Some),
                (false, 0) => self.request_line(line, begins)?,
                (false, _) => self.header_line(line, begins)?,
            }
            self.lines += usize::from(!line.is_empty());
        }
        self.searched = bytes.len();
        self.within_bounds(bytes.len())?;
        self.incomplete_target(bytes)?;
        Ok(None)
    }

    fn within_bounds(&self, bytes: usize) -> Result<(), Refused> {
        // The request line is counted as a line, and is no header.
        if bytes - self.leading > self.bounds.head_bytes || self.lines > self.bounds.headers + 1 {
            return Err(Refused::HeadTooLarge);
        }
        Ok(())
    }

    /// A target that goes on for ever is refused as soon as it is too long.
    fn incomplete_target(&self, bytes: &[u8]) -> Result<(), Refused> {
        let line = bytes.get(self.line..).unwrap_or_default();
        if self.lines == 0
            && line.len() > self.bounds.target_bytes + LONGEST_METHOD + HTTP_VERSION.len() + 3
        {
            return Err(Refused::TargetTooLong);
        }
        Ok(())
    }

    fn request_line(&mut self, line: &[u8], begins: usize) -> Result<(), Refused> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("the request line is not a method, a target and a version"));
        };
        let is_method = (1..=LONGEST_METHOD).contains(&method.len());
        if !is_method || !method.iter().copied().all(is_token) {
            return Err(malformed("the method is not a token"));
        }
        self.is_version_1_0 = match version {
            HTTP_VERSION => false,
            b"HTTP/1.0" => true,
            _ => return Err(malformed("the version is neither HTTP/1.1 nor HTTP/1.0")),
        };
        if target.len() > self.bounds.target_bytes {
            return Err(Refused::TargetTooLong);
        }
        self.method = begins..begins + method.len();
        self.target = self.method.end + 1..self.method.end + 1 + target.len();
        check_target(method, target)
    }

    fn header_line(&mut self, line: &[u8], begins: usize) -> Result<(), Refused> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(malformed("a header line is folded"));
        }
        let colon = memchr(b':', line).ok_or(malformed("a header line has no colon"))?;
        let (name, value) = line.split_at(colon);
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(malformed("a header name is not a token"));
        }
        let value = value.get(1..).unwrap_or_default();
        if !value.iter().copied().all(is_field_byte) {
            return Err(malformed("a header value contains a control character"));
        }
        let content = value.trim_ascii_start();
        let from = begins + line.len() - content.len();
        let content = content.trim_ascii_end();
        self.fields.push(Field {
            name: begins..begins + colon,
            value: from..from + content.len(),
            end: self.line,
        });
        self.framing(name, content)
    }

    /// Length first: almost no header is one of these.
    fn framing(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refused> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.asks_upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.lengths += 1;
                self.length = length(value)?;
            }
            // Some servers read `_` in a name as `-`: they would see a framing that nobody else does.
            14 | 17 if is_framing_in_disguise(name) => {
                return Err(malformed(
                    "a header name is written with `_` that frames a body with `-`",
                ));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.encodings += 1;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(malformed("Transfer-Encoding is other than a single chunked"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn complete(&mut self, end: usize) -> Result<Head, Refused> {
        let rules = [
            (self.hosts == 0, "Host is missing"),
            (self.hosts > 1, "Host stands more than once"),
            (self.lengths > 1, "Content-Length stands more than once"),
            (self.encodings > 1, "Transfer-Encoding is other than a single chunked"),
            (
                self.lengths > 0 && self.encodings > 0,
                "Content-Length and Transfer-Encoding exclude each other",
            ),
            (self.encodings > 0 && self.is_version_1_0, "HTTP/1.0 knows no Transfer-Encoding"),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(malformed(rule)),
            None => Ok(Head {
                leading: self.leading,
                method: self.method.clone(),
                target: self.target.clone(),
                is_version_1_0: self.is_version_1_0,
                fields: std::mem::take(&mut self.fields),
                end,
                body: if self.encodings > 0 { Body::Chunked } else { Body::Length(self.length) },
                asks_upgrade: self.asks_upgrade,
            }),
        }
    }
}

fn malformed(rule: &'static str) -> Refused {
    Refused::Malformed(rule)
}

/// Origin-form, or `*` for `OPTIONS` (RFC 9112, sections 3.2.1 and 3.2.4). A gateway is nobody's
/// forward proxy, so the absolute form and the authority form have no use here.
fn check_target(method: &[u8], target: &[u8]) -> Result<(), Refused> {
    match target {
        b"*" if method == b"OPTIONS" => return Ok(()),
        [b'/', ..] => {}
        _ => return Err(malformed("the target must start with `/`")),
    }
    // One pass for nearly all of them.
    if !target.iter().copied().any(is_suspicious) {
        return Ok(());
    }
    if target.iter().any(|byte| byte.is_ascii_control() || *byte == b'#') {
        return Err(malformed("the target contains a control character or `#`"));
    }
    // No URI holds them (RFC 3986, section 2), and the parser behind this one would refuse them without
    // a word to the log.
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if target.iter().any(|byte| b"\"<>".contains(byte)) || path.contains(&b'`') {
        return Err(malformed("the target contains a quote, `<` or `>`, which must be encoded"));
    }
    Ok(())
}

/// Whether a byte is one that no target has, or that its path has not.
const fn is_suspicious(byte: u8) -> bool {
    byte.is_ascii_control() || matches!(byte, b'#' | b'"' | b'<' | b'>' | b'`')
}

fn length(value: &[u8]) -> Result<u64, Refused> {
    let digits = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(malformed("Content-Length is not a number"))
}

fn is_framing_in_disguise(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content_length") || name.eq_ignore_ascii_case(b"transfer_encoding")
}

/// RFC 9110, section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// RFC 9110, section 5.5: visible characters, spaces, tabs and bytes above ASCII.
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests;
