//! One reading of a request's path, for the route, the upstream and the log alike.
//!
//! A gate on `/reports` is worthless if `/%72eports` or `/x/../reports` passes it and the upstream
//! then reads `/reports`. So what different servers read differently is refused (dot segments, empty
//! segments, encoded slashes, backslashes, encoded controls), and percent-encoded characters that
//! need no encoding are decoded (RFC 3986, section 6.2.2.2) before anything looks at the path. The
//! decoded form is what goes upstream.
//!
//! Some servers cut a segment's parameters off (`/reports;v=1` is then `/reports`), others do not. The
//! path goes upstream with them; routes are found, and dot and empty segments refused, without.

use std::{borrow::Cow, mem};

/// A path as it is read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    /// In normal form, without the query.
    pub(crate) normal: Cow<'a, str>,
    /// The same without the parameters of its segments, where it has any.
    pub(crate) bare: Option<String>,
}

/// Reads the path of a request target.
///
/// # Errors
/// A phrase that says what is wrong.
pub(crate) fn read(path: &str) -> Result<Reading<'_>, &'static str> {
    if is_plain(path) {
        return Ok(Reading { normal: Cow::Borrowed(path), bare: None });
    }
    let normal = normalise(path)?;
    let bare = match without_parameters(&normal) {
        Cow::Borrowed(_) => None,
        Cow::Owned(bare) => Some(bare),
    };
    Ok(Reading { normal, bare })
}

/// Whether a path is in normal form as nearly all are: nothing is encoded, nothing is a parameter, and no segment is
/// empty or begins with a dot. One pass: every request has a path.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.starts_with('/')
        && path.bytes().all(|byte| {
            let begins = mem::replace(&mut before, byte) == b'/';
            is_in(&PLAIN, byte) && !(begins && matches!(byte, b'/' | b'.'))
        })
}

/// The path of a request target in normal form, without the query.
///
/// # Errors
/// A phrase that says what is wrong.
fn normalise(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if !path.starts_with('/') {
        return Err("the target must start with `/`");
    }
    if !path.bytes().all(|byte| is_in(&ALLOWED, byte)) {
        return Err("the path contains a byte that must be percent-encoded");
    }
    let decoded =
        if path.contains('%') { Cow::Owned(decode_unreserved(path)?) } else { Cow::Borrowed(path) };
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_end = segments.peek().is_none() && segment.is_empty();
        match without_parameter(segment) {
            "." | ".." => return Err("the path contains a dot segment"),
            "" if !is_end => return Err("the path contains an empty segment"),
            _ => {}
        }
    }
    Ok(decoded)
}

/// A path in normal form without the parameters of its segments: what routes are found by.
fn without_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') && !path.contains("%3B") {
        return Cow::Borrowed(path);
    }
    let segments: Vec<_> = path.split('/').map(without_parameter).collect();
    Cow::Owned(segments.join("/"))
}

/// What stands before the first `;`, encoded or not: servers differ in whether they decode first.
fn without_parameter(segment: &str) -> &str {
    let segment = segment.split_once(';').map_or(segment, |(segment, _)| segment);
    segment.split_once("%3B").map_or(segment, |(segment, _)| segment)
}

/// RFC 3986 `pchar`, `/` and `%`. Bytes above ASCII, controls, spaces, quotes, `<>`, `#`, `\`, `^`,
/// backtick and braces must arrive percent-encoded; `[` and `]` and `|` are common unencoded.
const ALLOWED: Bytes = with(PLAIN, b"%;");

/// Those that say nothing but themselves.
const PLAIN: Bytes = with(
    [false; 256],
    b"/-._~!$&'()*+,=:@[]|ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
);

/// Bytes, as a table, because every byte of every path is looked at.
type Bytes = [bool; 256];

const fn with(mut bytes: Bytes, listed: &[u8]) -> Bytes {
    let mut rest = listed;
    while let [byte, after @ ..] = rest {
        let index = *byte as usize;
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler, which would refuse to build"
        )]
        {
            bytes[index] = true;
        }
        rest = after;
    }
    bytes
}

fn is_in(bytes: &Bytes, byte: u8) -> bool {
    bytes.get(usize::from(byte)).copied().unwrap_or(false)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn decode_unreserved(path: &str) -> Result<String, &'static str> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let digits =
            after.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or("the path contains a `%` without two hexadecimal digits")?;
        let byte = u8::from_str_radix(digits, 16)
            .map_err(|_| "the path contains a broken percent-encoding")?;
        match byte {
            b'/' | b'\\' => return Err("the path contains an encoded slash or backslash"),
            0..0x20 | 0x7f => return Err("the path contains an encoded control character"),
            byte if is_unreserved(byte) => decoded.push(char::from(byte)),
            _ => {
                decoded.push('%');
                decoded.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = after.get(2..).unwrap_or_default();
    }
    decoded.push_str(rest);
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(read(path).ok().map(|it| it.normal).as_deref(), expected, "{path}");
    }

    #[test]
    fn paths_have_one_reading() {
        check("/", Some("/"));
        check("/a/b/", Some("/a/b/"));
        check("/%72eports", Some("/reports"));
        check("/a%20b%c3%a4", Some("/a%20b%C3%A4"));
        check("/%25", Some("/%25"));
        check("/...", Some("/..."));
        check("/a;v=1/b;x", Some("/a;v=1/b;x"));
        for refused in [
            "",
            "a",
            "*",
            "//",
            "/a//b",
            "/.",
            "/a/../b",
            "/%2e%2E/b",
            "/%2e",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/%00",
            "/%7f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a b",
            "/a#b",
            "/ä",
            "/a\n",
            "@evil/host",
            "/<a>",
            "/..;/a",
            "/a/..;x",
            "/.;/a",
            "/%2e%2e%3b/a",
            "/;x/a",
            "/a/;x",
            "/%3b/a",
        ] {
            check(refused, None);
        }
    }

    #[test]
    fn routes_are_found_without_parameters() {
        for (path, expected) in [
            ("/reports", "/reports"),
            ("/reports;x", "/reports"),
            ("/reports;x=1;y/2026;z", "/reports/2026"),
            ("/reports%3Bx", "/reports"),
            ("/", "/"),
        ] {
            let read = read(path).unwrap();
            assert_eq!(read.bare.as_deref().unwrap_or(&read.normal), expected);
        }
    }

    proptest! {
        #[test]
        fn normal_form_is_final(path in "/[a-z%0-9./A-F]{0,24}") {
            if let Ok(once) = normalise(&path) {
                let again = normalise(&once);
                prop_assert_eq!(again.as_deref(), Ok(once.as_ref()));
            }
        }

        #[test]
        fn a_plain_path_needs_nothing_done(path in "/?[a-c./;%20~]{0,12}") {
            if is_plain(&path) {
                let normal = normalise(&path);
                prop_assert_eq!(normal.as_deref(), Ok(path.as_str()));
                let bare = without_parameters(&path);
                prop_assert_eq!(&*bare, path.as_str());
            }
        }

        #[test]
        fn no_text_panics(path in "\\PC{0,40}") {
            let _ = read(&path);
        }
    }
}
