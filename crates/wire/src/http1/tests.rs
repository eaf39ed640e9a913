use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { head_bytes: 512, target_bytes: 64, headers: 8 };

fn scan(bytes: &[u8]) -> Result<Option<Head>, Refused> {
    Scanner::new(BOUNDS).advance(bytes)
}

fn refused(bytes: &[u8], part: &str) {
    match scan(bytes) {
        Err(Refused::Malformed(rule)) => {
            assert!(rule.contains(part), "{}: {rule}", bytes.escape_ascii());
        }
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

#[test]
fn plain_heads_pass() {
    for (head, body) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Body::Length(0)),
        ("GET /a?b=c HTTP/1.0\r\nhost:a\r\nx:\r\ny: \t v\t \r\n\r\n", Body::Length(0)),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Body::Length(0)),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", Body::Length(5)),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", Body::Length(0)),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Body::Chunked),
    ] {
        let head_with_more = format!("{head}rest");
        let read = scan(head_with_more.as_bytes()).unwrap().unwrap();
        assert_eq!((read.leading, read.end, read.body), (0, head.len(), body), "{head}");
        assert!(!read.asks_upgrade);
    }
    let leading = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let read = scan(leading).unwrap().unwrap();
    assert_eq!((read.leading, read.end, read.body), (2, leading.len(), Body::Length(0)));
    let upgrade = scan(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert!(upgrade.unwrap().unwrap().asks_upgrade);
}

#[test]
fn what_a_head_says_is_found_again() {
    let bytes =
        b"\r\nPUT /a?b HTTP/1.0\r\nHost:a.b\r\nX-Empty: \t \r\nX-Spaces: \t a b \t\r\n\r\nmore";
    let head = scan(bytes).unwrap().unwrap();
    let text = |range: &Range<usize>| std::str::from_utf8(&bytes[range.clone()]).unwrap();
    assert_eq!(
        (text(&head.method), text(&head.target), head.is_version_1_0),
        ("PUT", "/a?b", true)
    );
    let fields: Vec<_> =
        head.fields.iter().map(|field| (text(&field.name), text(&field.value))).collect();
    assert_eq!(fields, [("Host", "a.b"), ("X-Empty", ""), ("X-Spaces", "a b")]);
}

#[test]
fn request_lines_are_held_to_the_grammar() {
    for (line, part) in [
        ("GET /", "request line"),
        ("GET  / HTTP/1.1", "request line"),
        ("GET / HTTP/1.1 ", "request line"),
        ("GET /a b HTTP/1.1", "request line"),
        (" GET / HTTP/1.1", "request line"),
        ("GET\t/ HTTP/1.1", "request line"),
        ("G(T / HTTP/1.1", "token"),
        ("METHODMETHODMETHODMETHODMETHODMETHOD / HTTP/1.1", "token"),
        ("GET / HTTP/1.2", "version"),
        ("GET / HTTP/2.0", "version"),
        ("GET / HTTP/0.9", "version"),
        ("GET / http/1.1", "version"),
        ("GET / HTTP/1.1x", "version"),
        ("GET http://a/ HTTP/1.1", "start with"),
        ("CONNECT a:443 HTTP/1.1", "start with"),
        ("GET * HTTP/1.1", "start with"),
        ("GET @evil/host HTTP/1.1", "start with"),
        ("GET evil:80 HTTP/1.1", "start with"),
        ("GET /#x HTTP/1.1", "`#`"),
        ("GET /?q=\"x HTTP/1.1", "quote"),
        ("GET /` HTTP/1.1", "quote"),
        ("GET /?q=<b HTTP/1.1", "`<`"),
        ("GET /?q=>b HTTP/1.1", "`>`"),
        ("GET /\0 HTTP/1.1", "control"),
        ("GET /\tx HTTP/1.1", "control"),
        ("GET /\x7f HTTP/1.1", "control"),
        ("GET /\rx HTTP/1.1", "control"),
    ] {
        refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), part);
    }
}

#[test]
fn header_lines_are_held_to_the_grammar() {
    for (lines, part) in [
        ("Host: a\r\n folded: x", "folded"),
        ("Host: a\r\n\tx", "folded"),
        ("Host : a", "token"),
        ("Host: a\r\nx y: z", "token"),
        ("Host: a\r\n: z", "token"),
        ("Host: a\r\nx", "colon"),
        ("Host: a\r\nx: \0", "control"),
        ("Host: a\r\nx: a\rb", "control"),
        ("Host: a\r\nx: \x7f", "control"),
        ("Host: a\r\nx\0y: z", "token"),
        ("x: y", "missing"),
        ("Host: a\r\nhOST: a", "Host stands"),
        ("Host: a\r\nContent-Length: 1\r\nContent-Length: 1", "more than once"),
        ("Host: a\r\nContent-Length: 1, 1", "not a number"),
        ("Host: a\r\nContent-Length: +1", "not a number"),
        ("Host: a\r\nContent-Length: 0x1", "not a number"),
        ("Host: a\r\nContent-Length:", "not a number"),
        ("Host: a\r\nContent-Length: 18446744073709551616", "not a number"),
        ("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", "exclude"),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1", "exclude"),
        ("Host: a\r\nTransfer-Encoding: gzip, chunked", "single chunked"),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "single chunked"),
        ("Host: a\r\nTransfer-Encoding: identity", "single chunked"),
        ("Host: a\r\nTransfer-Encoding: \x0bchunked", "control"),
        ("Host: a\r\nTransfer_Encoding: chunked", "`_`"),
        ("Host: a\r\nCONTENT_LENGTH: 1", "`_`"),
    ] {
        refused(format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes(), part);
    }
    refused(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0");
}

#[test]
fn line_ends_are_two_bytes() {
    refused(b"GET / HTTP/1.1\nHost: a\r\n\r\n", "carriage return");
    refused(b"GET / HTTP/1.1\r\nHost: a\n\r\n", "carriage return");
    refused(b"GET / HTTP/1.1\r\nHost: a\r\n\n", "carriage return");
    refused(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "carriage return");
    refused(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "blank lines");
}

#[test]
fn heads_are_bounded() {
    let head = |target: usize, headers: usize, value: usize| {
        let lines = format!("x: {}\r\n", "v".repeat(value)).repeat(headers);
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n{lines}\r\n", "t".repeat(target))
    };
    assert!(scan(head(63, 7, 1).as_bytes()).is_ok());
    assert_eq!(scan(head(64, 0, 0).as_bytes()), Err(Refused::TargetTooLong));
    assert_eq!(scan(head(1, 8, 1).as_bytes()), Err(Refused::HeadTooLarge));
    assert_eq!(scan(head(1, 1, 600).as_bytes()), Err(Refused::HeadTooLarge));
    // Neither is waited for: what is too long already is refused before its line ends.
    assert_eq!(scan(format!("GET /{}", "t".repeat(128)).as_bytes()), Err(Refused::TargetTooLong));
    let endless = format!("GET / HTTP/1.1\r\nx: {}", "v".repeat(512));
    assert_eq!(scan(endless.as_bytes()), Err(Refused::HeadTooLarge));
}

proptest! {
    #[test]
    fn pieces_read_like_the_whole(
        bytes in prop::collection::vec(prop::sample::select(b"GET / HTTP/1.1\r\n:ax".to_vec()), 0..80),
        head in any::<bool>(),
        cut in 0_usize..80,
    ) {
        let mut whole = if head { b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec() } else { Vec::new() };
        whole.extend(bytes);
        let mut pieces = Scanner::new(BOUNDS);
        let first = pieces.advance(whole.get(..cut.min(whole.len())).unwrap());
        let in_pieces = match first {
            Ok(None) => pieces.advance(&whole),
            done => done,
        };
        prop_assert_eq!(in_pieces, scan(&whole));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes);
    }
}
