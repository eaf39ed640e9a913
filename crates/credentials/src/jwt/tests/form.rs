//! What is a token at all.

use proptest::prelude::*;

use super::*;

const NOT_THREE: &str = "it does not have three parts";
const NOT_BASE64: &str = "a part is not canonical unpadded base64url";
const BAD_HEADER: &str = "its header is not a JSON object of unique members";
const BAD_PAYLOAD: &str = "its payload is not a JSON object of unique members";
const REFUSED: &str = "its header has `crit`, `b64`, `zip` or `enc`";
const BAD_TYPE: &str = "its `typ` is neither JWT nor at+jwt";
const NO_ALGORITHM: &str = "its `alg` is missing or not a string";
const BAD_KEY_ID: &str = "its `kid` is not a short string of plain text";

fn check_text(text: &str, expected: Result<(), TokenError>) {
    assert_eq!(Token::parse(text).map(|_| ()), expected, "{text}");
}

fn check_header(header: &str, expected: Result<(), TokenError>) {
    let text = format!("{}.{}.AAAA", encode(header), encode(r#"{"iss":"a"}"#));
    assert_eq!(Token::parse(&text).map(|_| ()), expected, "{header}");
}

fn check_payload(payload: &[u8], expected: Result<(), TokenError>) {
    let text = format!("{}.{}.AAAA", encode(r#"{"alg":"ES256"}"#), encode(payload));
    let shown = String::from_utf8_lossy(payload);
    assert_eq!(Token::parse(&text).map(|_| ()), expected, "{shown}");
}

fn malformed(why: &'static str) -> Result<(), TokenError> {
    Err(TokenError::Malformed(why))
}

#[test]
fn three_parts_of_base64url() {
    let good = format!("{}.{}.AAAA", encode(r#"{"alg":"ES256"}"#), encode(r#"{"iss":"a"}"#));
    check_text(&good, Ok(()));
    for bad in ["", ".", "..", "...", "a", "a.b", "a.b.", ".a.b", "a..b", "a.b.c.d"] {
        check_text(bad, malformed(NOT_THREE));
    }
    check_text(&format!(".{good}"), malformed(NOT_THREE));
    check_text(&format!("{good}."), malformed(NOT_THREE));
    check_text(&format!("{good}.AAAA.AAAA"), malformed(NOT_THREE));
    // `AB` decodes to one byte and leaves bits over; `AA` is its only spelling.
    for signature in ["AAAA=", "AA==", "A", "AB", "AAB", "+AAA", "/AAA", "A AA", "AAAA\n", "é"] {
        check_text(&good.replace("AAAA", signature), malformed(NOT_BASE64));
    }
    for spoiled in [format!(" {good}"), good.replacen('e', "e\n", 1), good.replacen('.', "=.", 1)] {
        check_text(&spoiled, malformed(NOT_BASE64));
    }
    let room = MAX_TOKEN_BYTES - good.len();
    check_text(&format!("{good}{}", "A".repeat(room / 4 * 4)), Ok(()));
    let long = format!("{good}{}", "A".repeat(room + 1));
    check_text(&long, malformed("it is longer than 16 KiB"));
}

#[test]
fn headers_are_strict() {
    check_header(r#"{"alg":"ES256"}"#, Ok(()));
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "Application/AT+jwt"] {
        check_header(&json!({"alg": "ES256", "typ": kind}).to_string(), Ok(()));
    }
    for kind in ["", "JOSE", "JWE", "dpop+jwt", "logout+jwt", "application/", "text/jwt", "JWT "] {
        let header = json!({"alg": "ES256", "typ": kind}).to_string();
        check_header(&header, malformed(BAD_TYPE));
    }
    check_header(r#"{"alg":"ES256","typ":["JWT"]}"#, malformed(BAD_TYPE));
    check_header(r#"{"alg":"ES256","typ":null}"#, malformed(BAD_TYPE));
    for crit in ["[]", "null", "[\"exp\"]", "[\"b64\"]", "[\"unknown\"]", "\"exp\"", "{}"] {
        check_header(&format!(r#"{{"alg":"ES256","crit":{crit}}}"#), malformed(REFUSED));
    }
    for more in [r#""b64":true"#, r#""b64":false"#, r#""zip":"DEF""#, r#""enc":"A128GCM""#] {
        check_header(&format!(r#"{{"alg":"ES256",{more}}}"#), malformed(REFUSED));
    }
    for none in
        ["{}", r#"{"alg":null}"#, r#"{"alg":1}"#, r#"{"alg":["ES256"]}"#, r#"{"ALG":"ES256"}"#]
    {
        check_header(none, malformed(NO_ALGORITHM));
    }
    check_header(r#"{"alg":{"ES256":null}}"#, malformed(NO_ALGORITHM));
    for name in ["none", "None", "NONE", "", "es256", "ES256 ", "ES512", "HS512", "PS512", "ES256K"]
    {
        let header = json!({"alg": name}).to_string();
        check_header(&header, Err(TokenError::UnsupportedAlgorithm));
    }
    for (kid, expected) in [
        (json!("a"), Ok(())),
        (json!(""), Ok(())),
        (json!("k".repeat(MAX_KEY_ID_BYTES)), Ok(())),
        (json!("k".repeat(MAX_KEY_ID_BYTES + 1)), malformed(BAD_KEY_ID)),
        (json!("a\nb"), malformed(BAD_KEY_ID)),
        (json!(1), malformed(BAD_KEY_ID)),
        (json!(null), malformed(BAD_KEY_ID)),
        (json!(["a"]), malformed(BAD_KEY_ID)),
    ] {
        check_header(&json!({"alg": "ES256", "kid": kid}).to_string(), expected);
    }
    for bad in [
        "null",
        "[]",
        "1",
        r#""x""#,
        r#"{"alg":"ES256"} {}"#,
        r#"{"alg":"ES256",}"#,
        "\u{feff}{\"alg\":\"ES256\"}",
        r#"{"alg":"HS256","alg":"ES256"}"#,
        r#"{"alg":"ES256","\u0061lg":"HS256"}"#,
        r#"{"alg":"ES256","x":{"y":1,"y":1}}"#,
        r#"{"alg":"ES256","x":[{"y":1,"y":2}]}"#,
    ] {
        check_header(bad, malformed(BAD_HEADER));
    }
}

#[test]
fn payloads_are_strict() {
    check_payload(br#"{"iss":"a"}"#, Ok(()));
    check_payload(b" {\"iss\" : \"a\"}\r\n", Ok(()));
    check_payload(br#"{}"#, Err(TokenError::MissingClaim(Claim::Issuer)));
    check_payload(br#"{"iss":["a"]}"#, Err(TokenError::BadClaim(Claim::Issuer)));
    check_payload(br#"{"iss":null}"#, Err(TokenError::BadClaim(Claim::Issuer)));
    let deep = format!(r#"{{"iss":"a","x":{}{}}}"#, "[".repeat(2000), "]".repeat(2000));
    for bad in [
        &b"null"[..],
        b"[]",
        b"{",
        br#"{"iss":"a"}x"#,
        br#"{"iss":"a","iss":"a"}"#,
        br#"{"iss":"a","sub":"alice","sub":"bob"}"#,
        br#"{"iss":"a","act":{"sub":"b","sub":"c"}}"#,
        br#"{"iss":"a","exp":1e999}"#,
        br#"{"iss":"a","exp":NaN}"#,
        br#"{"iss":"\ud800"}"#,
        b"{\"iss\":\"\xff\"}",
        deep.as_bytes(),
    ] {
        check_payload(bad, malformed(BAD_PAYLOAD));
    }
}

#[test]
fn nothing_of_a_token_is_shown() {
    let header = json!({"alg": "ES256", "kid": "secret-kid"}).to_string();
    let payload = json!({"iss": "secret-issuer", "sub": "secret-subject"}).to_string();
    let text = format!("{}.{}.AAAA", encode(header), encode(payload));
    let shown = format!("{:?}", Token::parse(&text).unwrap());
    assert_eq!(shown, "Token { algorithm: ES256, .. }");
}

proptest! {
    #[test]
    fn no_bytes_panic(text in ".{0,80}", parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5)) {
        let _ = Token::parse(&text);
        let parts: Vec<String> = parts.iter().map(encode).collect();
        let _ = Token::parse(&parts.join("."));
    }

    #[test]
    fn no_json_panics(header in json_text(), payload in json_text()) {
        let text = format!("{}.{}.AAAA", encode(header), encode(payload));
        let _ = Token::parse(&text);
    }
}

/// Texts that are nearly, and often really, JSON objects of a token.
fn json_text() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        r#""ES256""#,
        r#""a""#,
        "0",
        "-1",
        "1e9",
        "1.5",
        "null",
        "{}",
        "[]",
        r#"["a"]"#,
        "",
    ]);
    let name = prop::sample::select(vec!["alg", "typ", "kid", "iss", "exp", "crit", "aud"]);
    prop::collection::vec((name, value), 0..4).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}
