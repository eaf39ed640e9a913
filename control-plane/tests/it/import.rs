//! Many tenants in one stream.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::server::{Answer, Server};

const LINES: &str = "Content-Type: application/x-ndjson";

fn line(slug: &str) -> String {
    json!({"slug": slug, "name": slug, "plan": "pro", "domains": [format!("{slug}.example")]})
        .to_string()
}

/// The request up to its body.
fn head(server: &Server, query: &str, more: &str) -> String {
    let token = server.running.root_token.expose();
    format!(
        "POST /api/v1/import{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{LINES}\r\n\
         Connection: close\r\n{more}\r\n"
    )
}

/// The events of an answer, whatever chunks they came in.
fn events(answer: &str) -> Vec<Value> {
    let lines = answer.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) async fn import(server: &Server, query: &str, body: &str) -> Vec<Value> {
    let mut stream = TcpStream::connect(server.running.api).await.unwrap();
    let head = head(server, query, &format!("Content-Length: {}\r\n", body.len()));
    let (mut answers, mut sends) = stream.split();
    let mut answer = String::new();
    let send = async {
        // What is not wanted any more need not be taken.
        let _ = sends.write_all(head.as_bytes()).await;
        let _ = sends.write_all(body.as_bytes()).await;
    };
    let (_, read) = tokio::join!(send, answers.read_to_string(&mut answer));
    read.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    events(&answer)
}

/// Problems by line: the end of the type, and the pointers.
fn faults(events: &[Value]) -> Vec<(u64, String, Vec<String>)> {
    let errors = events.iter().filter(|event| event["event"] == "error");
    errors
        .map(|event| {
            let problem = &event["problem"];
            let kind = problem["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
            let errors = problem["errors"].as_array().cloned().unwrap_or_default();
            let pointers = errors.iter().map(|it| it["pointer"].as_str().unwrap().to_owned());
            (event["line"].as_u64().unwrap(), kind, pointers.collect())
        })
        .collect()
}

fn counted(events: &[Value]) -> Value {
    let mut summary = events.last().unwrap().clone();
    assert_eq!(summary["event"], "summary", "{events:?}");
    let members = summary.as_object_mut().unwrap();
    members.remove("event");
    assert!(members.remove("revision").is_some_and(|revision| revision.is_u64()));
    members.retain(|_, value| !(value.is_null() || *value == 0 || *value == false));
    summary
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_told_of_and_the_good_ones_are_done() {
    let server = Server::with_acme().await;
    let digest = "ab".repeat(32);
    let with = |slug: &str, more: Value| {
        let mut tenant: Value = serde_json::from_str(&line(slug)).unwrap();
        tenant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tenant.to_string()
    };
    let five = with("five", json!({"key": {"name": "ci", "digest": digest}}));
    let first = import(&server, "", &format!("{}\n\n{five}\n", line("one"))).await;
    assert_eq!(counted(&first), json!({"lines": 2, "created": 2}));
    let body = [
        line("eleven"),
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        line("eleven"),
        line("acme"),
        with("two", json!({"plan": "missing"})),
        with("three", json!({"nmae": "x"})),
        with("four", json!({"domains": ["4.example", "one.example"]})),
        five,
        with("six", json!({"key": {"name": "ci"}})),
        with("seven", json!({"key": {"name": "ci", "digest": digest}})),
        with("eight", json!({"name": "x".repeat(1 << 20)})),
        r#"{"slug":"nine","slug":"nine","name":"x","plan":"pro"}"#.to_owned(),
        line("ten"),
        with("twelve", json!({"domains": ["12.example", "eleven.example"]})),
    ];
    let found = import(&server, "", &body.join("\n")).await;
    let expected = [
        (3, "malformed-json", vec![]),
        (4, "invalid", vec![""]),
        (5, "invalid", vec!["/slug"]),
        (6, "slug-taken", vec!["/slug"]),
        (7, "invalid", vec!["/plan"]),
        (8, "invalid", vec!["/nmae"]),
        (9, "domain-taken", vec!["/domains/1"]),
        (11, "invalid", vec!["/key/digest"]),
        (12, "invalid", vec!["/key/digest"]),
        (13, "too-large", vec![]),
        (14, "invalid", vec!["/slug"]),
        (16, "invalid", vec!["/domains/1"]),
    ];
    let expected: Vec<_> = expected
        .map(|(line, kind, pointers): (_, &str, Vec<&str>)| {
            (line, kind.to_owned(), pointers.into_iter().map(str::to_owned).collect())
        })
        .into();
    assert_eq!(faults(&found), expected);
    assert_eq!(counted(&found), json!({"lines": 15, "created": 2, "unchanged": 1, "failed": 12}));
    for (slug, status) in [("one", 200), ("two", 404), ("four", 404), ("five", 200), ("ten", 200)] {
        let answer = server.send(&format!("GET /api/v1/tenants/{slug}"), "", "").await;
        assert_eq!(answer.status, status, "{slug}");
    }
    // Each has its own entry in the audit log.
    let audit = server.send("GET /api/v1/audit?action=tenant.create&limit=100", "", "").await;
    assert_eq!(audit.json()["items"].as_array().unwrap().len(), 5);
    // The same again does nothing again.
    let again = import(&server, "", &[line("one"), line("ten")].join("\n")).await;
    assert_eq!(counted(&again), json!({"lines": 2, "unchanged": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_dry_runs_and_the_first_error_end_as_was_asked_for() {
    let server = Server::with_acme().await;
    let acme = json!({"slug": "acme", "name": "Other", "plan": "pro"}).to_string();
    let name =
        async || server.send("GET /api/v1/tenants/acme", "", "").await.json()["name"].clone();
    let skipped = import(&server, "?on_conflict=skip", &acme).await;
    assert_eq!(counted(&skipped), json!({"lines": 1, "skipped": 1}));
    let head = async || {
        let audit = server.send("GET /api/v1/audit?limit=1", "", "").await.json();
        audit["items"][0]["revision"].clone()
    };
    let before = head().await;
    let dry = import(&server, "?on_conflict=update&dry_run=true", &acme).await;
    assert_eq!(head().await, before, "nothing was written down");
    assert_eq!(counted(&dry), json!({"lines": 1, "updated": 1, "dry_run": true}));
    assert_eq!(name().await, "Acme");
    let updated = import(&server, "?on_conflict=update", &acme).await;
    assert_eq!(counted(&updated), json!({"lines": 1, "updated": 1}));
    assert_eq!(name().await, "Other");
    let domains = server.send("GET /api/v1/tenants/acme/domains", "", "").await;
    assert_eq!(domains.json()["items"], json!([]), "what the line does not have is given up");
    // No line is begun any more, and whoever sends megabytes more reads why.
    let mut body = "x\n".to_owned();
    (0..20_000).for_each(|number| body += &format!("{}\n", line(&format!("t{number}"))));
    let stopped = import(&server, "?stop_on_error=true", &body).await;
    let summary = counted(&stopped);
    assert_eq!(summary["stopped"], "line 1 has failed");
    assert!(summary["lines"].as_u64().unwrap() < 1000, "{summary}");
    let wrong = server.send("POST /api/v1/import?on_conflict=x", &format!("{LINES}\r\n"), "").await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_import_is_refused() {
    let server = Server::with_acme().await;
    let answer = server.send("POST /api/v1/import", "", &line("one")).await;
    assert_eq!(answer.status, 415, "JSON is not lines of it");
    let keyed = head(&server, "", "Idempotency-Key: a\r\nContent-Length: 0\r\n");
    let answer = raw(&server, &keyed).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let Answer { status, .. } = server.send_as("none", "POST /api/v1/import", "", "").await;
    assert_eq!(status, 401);
}

async fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.running.api).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

/// Opens an import and sends some of it, in one chunk; the answer goes on.
async fn begun(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.running.api).await.unwrap();
    let head = head(server, "", "Transfer-Encoding: chunked\r\n");
    let chunk = format!("{head}{:x}\r\n{text}\r\n", text.len());
    stream.write_all(chunk.as_bytes()).await.unwrap();
    stream
}

async fn read_until(stream: &mut TcpStream, part: &str) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if text.contains(part) {
            return text;
        }
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.unwrap();
        assert_ne!(length, 0, "it ended without {part}: {text}");
        read.extend_from_slice(&piece[..length]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_while_lines_still_come_and_half_a_line_is_none() {
    let server = Server::with_acme().await;
    let mut stream = begun(&server, &format!("{}\n{}", line("one"), line("two"))).await;
    // The first line is done, and it is said, before the second has its end.
    let progress = read_until(&mut stream, "\"event\":\"progress\"").await;
    assert!(progress.contains("\"created\":1"), "{progress}");
    // Two may run at once, and no third.
    let mut second = begun(&server, &format!("{}\n", line("three"))).await;
    read_until(&mut second, "\"event\":\"progress\"").await;
    let third = raw(&server, &head(&server, "", "Content-Length: 0\r\n")).await;
    assert!(third.starts_with("HTTP/1.1 429") && third.contains("retry-after: 5"), "{third}");
    // The client goes. What it had not ended is nothing, and its place is free again.
    drop(stream);
    drop(second);
    tenantry_test_support::eventually("an import is taken again", async || {
        let answer = raw(&server, &head(&server, "", "Content-Length: 0\r\n")).await;
        answer.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    for (slug, status) in [("one", 200), ("two", 404), ("three", 200)] {
        let answer = server.send(&format!("GET /api/v1/tenants/{slug}"), "", "").await;
        assert_eq!(answer.status, status, "{slug}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_nothing_more_is_told_so() {
    let server = Server::configured(&[("TENANTRY_REQUEST_BODY_SECONDS", "1")]).await;
    let mut stream = begun(&server, "x\n").await;
    let patience = Duration::from_secs(30);
    let answer = tokio::time::timeout(patience, read_until(&mut stream, "\"event\":\"summary\""));
    let found = events(&answer.await.unwrap());
    assert_eq!(faults(&found).len(), 1);
    assert_eq!(counted(&found)["stopped"], "no more of the body has arrived for too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_with_the_control_plane_and_says_so() {
    let server = Server::with_acme().await;
    let mut stream = begun(&server, &format!("{}\n", line("one"))).await;
    read_until(&mut stream, "\"event\":\"progress\"").await;
    let stopped = tokio::spawn(server.running.stop());
    let answer = read_until(&mut stream, "\"event\":\"summary\"").await;
    assert_eq!(counted(&events(&answer))["stopped"], "the control plane is stopping");
    drop(stream);
    stopped.await.unwrap();
}
