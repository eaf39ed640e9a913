//! What is fuzzed: each reads bytes as a client could send them, and says what must hold whatever they are.
//!
//! The fuzzer calls these, and so does the test that replays the corpus.
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a broken promise ends the run"
)]

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use tenantry_credentials::{api_key, jwt::Token};
use tenantry_engine::{
    Change, Decision, HeaderFacts, Now, RequestFacts, Runtime, RuntimeOptions, Table, decide,
    explain,
};
use tenantry_model::{Resource, ResourceKind, Timestamp};
use tenantry_wire::{
    accept,
    chunked::Chunks,
    forwarded, http1, http2, proxy_header,
    response::{self, ResponseBody},
    trace_context::{self, TraceParent},
};

type Target = fn(&[u8]);

/// Every target, by name.
pub(crate) const ALL: [(&str, Target); 10] = [
    ("http1_head", http1_head),
    ("http2_frames", http2_frames),
    ("proxy_header", proxy_header),
    ("forwarded", forwarded),
    ("host_and_path", host_and_path),
    ("api_key", api_key),
    ("jwt", jwt),
    ("trace_context", trace_context),
    ("accept", accept),
    ("answer", answer),
];

/// What passes is read by a kinder parser in the same way, and in pieces as whole.
pub(crate) fn http1_head(bytes: &[u8]) {
    const BOUNDS: http1::Bounds =
        http1::Bounds { head_bytes: 4096, target_bytes: 1024, headers: 32 };
    let whole = http1::Scanner::new(BOUNDS).advance(bytes);
    let mut pieces = http1::Scanner::new(BOUNDS);
    let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
    let in_pieces = match pieces.advance(half) {
        Ok(None) => pieces.advance(bytes),
        done => done,
    };
    // What is wrong in two ways may be told either way, as the pieces come.
    let whole = whole.ok();
    assert_eq!(whole, in_pieces.ok());
    let Some(Some(head)) = whole else { return };
    let head_bytes = &bytes[head.leading..head.end];
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head_bytes) {
        Ok(httparse::Status::Complete(length)) => assert_eq!(length, head_bytes.len()),
        // Bytes above ASCII in a target are for the guard of the engine to refuse.
        Ok(httparse::Status::Partial) => panic!("a complete head is not complete"),
        Err(error) => assert!(!head_bytes.is_ascii(), "{error}"),
    }
    let of = |name: &str| {
        request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count()
    };
    if head_bytes.is_ascii() {
        let text = |range: &std::ops::Range<usize>| &bytes[range.clone()];
        assert_eq!(request.method.unwrap().as_bytes(), text(&head.method));
        assert_eq!(request.path.unwrap().as_bytes(), text(&head.target));
        let theirs = request.headers.iter().map(|header| (header.name.as_bytes(), header.value));
        let ours = head.fields.iter().map(|field| (text(&field.name), text(&field.value)));
        assert!(theirs.eq(ours));
        assert_eq!(of("host"), 1);
        assert!(of("content-length") + of("transfer-encoding") <= 1);
    }
}

/// No frames break it, and what is open is open however they are cut.
pub(crate) fn http2_frames(bytes: &[u8]) {
    let bounds = http2::Bounds {
        control_per_second: 1,
        control_burst: 8,
        messages_per_second: 8,
        header_block_frames: 4,
    };
    let now = Duration::from_secs(1);
    let mut whole_meter = http2::Meter::new(bounds, now);
    let whole = whole_meter.received(bytes, now);
    let mut meter = http2::Meter::new(bounds, now);
    let in_pieces = bytes.chunks(5).try_for_each(|piece| meter.received(piece, now));
    if whole.is_ok() && in_pieces.is_ok() {
        assert_eq!(whole_meter.awaits_completion(), meter.awaits_completion());
    }
}

/// A header is read from exactly its own bytes: not from fewer, and more make no difference.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let Ok(Some((source, length))) = proxy_header::parse(bytes) else { return };
    assert!(length <= bytes.len() && length <= proxy_header::MAX_BYTES);
    assert_eq!(proxy_header::parse(&bytes[..length]), Ok(Some((source, length))));
    assert_eq!(proxy_header::parse(&bytes[..length - 1]), Ok(None));
}

/// The address is the peer's or stands in the header, and nothing is believed of strangers.
pub(crate) fn forwarded(bytes: &[u8]) {
    let peer = IpAddr::from([10, 0, 0, 1]);
    let lines = || bytes.split(|byte| *byte == b'\n');
    let is_trusted = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets()[0] == 10,
        IpAddr::V6(_) => false,
    };
    forwarded::client(peer, lines(), is_trusted);
    assert_eq!(forwarded::client(peer, lines(), |_| false), peer);
}

/// A request for any host and path is decided twice alike, and what is forwarded has one reading.
pub(crate) fn host_and_path(bytes: &[u8]) {
    thread_local! {
        static TABLE: Table = table();
    }
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let (host, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let credential = lines.next().unwrap_or_default();
    let Ok(path) = std::str::from_utf8(path) else { return };
    let headers = [("host", host), ("authorization", credential), ("x-api-key", credential)];
    let present = headers.into_iter().filter(|(_, value)| !value.is_empty());
    let facts = RequestFacts {
        client: [192, 0, 2, 1].into(),
        sni: None,
        method: "GET",
        path,
        headers: HeaderFacts::collect(present),
        all_headers: &(),
        client_certificate: None,
    };
    let now = Now { unix: Timestamp::from_unix_ms(1), monotonic: Duration::from_secs(1) };
    TABLE.with(|table| {
        let explained = explain(table, &facts, now, &mut ());
        match decide(table, &facts, now, &mut ()) {
            Decision::Forward(forward) => {
                assert!(matches!(explained, Decision::Forward(_)));
                let sent = forward.path.as_deref().unwrap_or(path);
                assert!(sent.starts_with('/') && !sent.contains("//"), "{sent}");
                let is_dots = |segment: &str| segment == "." || segment == "..";
                let bare = |segment: &str| segment.split(';').next().is_some_and(is_dots);
                assert!(!sent.split('/').any(bare), "{sent}");
                assert!(sent.bytes().all(|byte| byte.is_ascii_graphic()), "{sent}");
            }
            Decision::Redirect(_) => panic!("no route redirects"),
            Decision::Deny(denial) => match explained {
                Decision::Deny(explained) => assert_eq!(denial.reason, explained.reason),
                _ => panic!("explained otherwise than decided"),
            },
        }
    });
}

fn table() -> Table {
    let options = RuntimeOptions {
        named_tenants: 1,
        token_cache_bytes: 1 << 16,
        limited_subjects: 100,
        max_in_flight: 100,
        seed: 1,
    };
    let resources = HashMap::from([
        (ResourceKind::Plan, r#"{"id":"pro","name":"Pro"}"#),
        (ResourceKind::Upstream, r#"{"id":"main","endpoints":[{"address":"127.0.0.1:1"}]}"#),
        (
            ResourceKind::Tenant,
            r#"{"id":"ten_00000000000000000000000001","slug":"acme","state":"active","plan":"pro","auth":"none"}"#,
        ),
        (ResourceKind::Route, r#"{"id":"all","upstream":"main"}"#),
        (
            ResourceKind::Domain,
            r#"{"host":"acme.example","tenant":"ten_00000000000000000000000001"}"#,
        ),
    ]);
    let resources = resources.into_iter().map(|(kind, json)| {
        Change::Put(Resource::from_json(kind, json.as_bytes()).expect("a fixed resource is valid"))
    });
    let applied = Table::new(Arc::new(Runtime::new(options)), 1).apply(resources);
    assert!(applied.refused.is_empty(), "{:?}", applied.refused);
    applied.table
}

/// What is taken for a key has the form of one.
pub(crate) fn api_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = api_key::parse(text) {
        assert!(api_key::looks_like_api_key(text) && text.is_ascii());
        assert_eq!(api_key::parse(text).map(|again| again.digest()), Ok(key.digest()));
    }
}

/// What is taken for a token has three parts of base64url.
pub(crate) fn jwt(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = Token::parse(text) {
        assert_eq!(text.split('.').count(), 3);
        let is_part = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        assert!(text.split('.').all(is_part));
        let _ = (token.issuer(), token.key_id(), token.algorithm());
    }
}

/// What is read is read again as it was written, and a state stays whole and bounded.
pub(crate) fn trace_context(bytes: &[u8]) {
    if let Some(parent) = TraceParent::parse(bytes) {
        let written = parent.to_string();
        let known = TraceParent { flags: parent.flags & 3, ..parent };
        assert_eq!(TraceParent::parse(written.as_bytes()), Some(known));
    }
    let lines = || bytes.split(|byte| *byte == b'\n');
    if let Some(state) = trace_context::state(lines()) {
        assert!(state.len() <= trace_context::MAX_STATE_BYTES);
        assert_eq!(trace_context::state([state.as_bytes()].into_iter()), Some(state));
    }
}

/// Lines are one list, however they are cut between members.
pub(crate) fn accept(bytes: &[u8]) {
    let whole = accept::prefers_html([bytes].into_iter());
    assert_eq!(accept::prefers_html(bytes.split(|byte| *byte == b',')), whole);
}

/// The head of an answer and the chunks behind it are read in pieces as whole, and nothing beyond their end.
pub(crate) fn answer(bytes: &[u8]) {
    for answers_head in [false, true] {
        let mut room = response::room();
        let Ok(Some(head)) = response::parse(bytes, answers_head, &mut room) else { continue };
        assert!(head.end <= bytes.len() && head.status >= 100);
        let mut again = response::room();
        let alone = response::parse(&bytes[..head.end], answers_head, &mut again).unwrap().unwrap();
        assert_eq!((alone.end, alone.body, alone.is_kept), (head.end, head.body, head.is_kept));
        if head.body != ResponseBody::Chunked {
            continue;
        }
        let rest = &bytes[head.end..];
        let take = |parts: &[&[u8]]| {
            let (mut chunks, mut data, mut used) = (Chunks::default(), Vec::new(), 0);
            for part in parts {
                used += chunks.advance(part, |piece| data.extend_from_slice(piece))?;
            }
            Ok::<_, &str>((data, used, chunks.is_done()))
        };
        let (first, second) = rest.split_at(rest.len() / 2);
        assert_eq!(take(&[rest]), take(&[first, second]));
    }
}
