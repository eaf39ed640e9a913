//! The access log: what is in it, and what never is.

use std::{collections::BTreeMap, fs, path::PathBuf};

use http::Method;
use serde_json::{Value, json};
use tenantry_test_support::{Platform, RawConnection, eventually};

use crate::identity;

const LOG: &str = "data/access.log";

/// A platform whose proxy writes a log into its own directory, with these settings besides.
async fn platform(settings: &[(&str, &str)]) -> Platform {
    let mut all = vec![("ACCESS_LOG__ENABLED", "true"), ("ACCESS_LOG__PATH", LOG)];
    all.extend(settings);
    Platform::start_with(&all).await
}

fn log(platform: &Platform) -> PathBuf {
    platform.path(LOG)
}

/// The lines so far, each of which must be JSON.
fn lines(path: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The line of the request that had this answer.
async fn line_of(platform: &Platform, request_id: &str) -> Value {
    assert_eq!(request_id.len(), 32, "the answer names its request");
    eventually("the request's line is written", async || {
        lines(&log(platform)).into_iter().find(|line| line["request_id"] == request_id)
    })
    .await
}

#[tokio::test]
async fn a_line_says_whose_request_it_was_and_what_became_of_it() {
    let platform = platform(&[]).await;
    let secret = platform.tenant("acme", json!({})).await;
    let tenant = platform.api().tenants().get("acme").await.unwrap();
    let key =
        platform.api().keys("acme").list(&Default::default()).await.unwrap().items.remove(0).id;
    let answer = platform
        .request(Method::POST, "ACME.example:80", "/a%2Db?x=1")
        .key(&secret)
        .header("user-agent", "test/1.0")
        .body("12345")
        .send()
        .await;
    let line = line_of(&platform, answer.header("x-request-id")).await;
    let expected = json!({
        "client": "127.0.0.1", "scheme": "http", "protocol": "http/1.1", "method": "POST",
        "host": "acme.example", "path": "/a-b", "user_agent": "test/1.0",
        "tenant": "acme", "tenant_id": tenant.id, "key_id": key,
        "route": "all", "upstream": "main", "endpoint": platform.origin.address(),
        "decision": "forward", "status": 200, "request_bytes": 5,
        "response_bytes": answer.body.len(), "trace_id": line["request_id"],
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&line[field], value, "{field} in {line}");
    }
    // The origin saw the same path.
    let echo: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(echo["target"], "/a-b?x=1");
    let time = line["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000Z".len(), "{time}");
    let [connect, first_byte, total] =
        ["connect_us", "first_byte_us", "duration_us"].map(|field| line[field].as_u64().unwrap());
    assert!(connect <= first_byte && first_byte <= total, "{line}");
    for absent in ["query", "blame", "error", "sampled_one_in", "subject"] {
        assert!(line.get(absent).is_none(), "{absent} in {line}");
    }
}

#[tokio::test]
async fn refusals_name_their_reason_and_who_has_to_act() {
    let platform = platform(&[]).await;
    platform.tenant("acme", json!({})).await;
    platform
        .tenant(
            "gone",
            json!({"access": {"mode": "public", "deny": ["0.0.0.0/0", "::/0"]}, "auth": "none"}),
        )
        .await;
    let refused = async |answer: tenantry_test_support::Answer| {
        let line = line_of(&platform, answer.header("x-request-id")).await;
        assert_eq!(line["status"], answer.status, "{line}");
        (line["decision"].clone(), line["blame"].clone(), line["tenant"].clone())
    };
    let said = |decision: &str, blame: &str, tenant: Value| (json!(decision), json!(blame), tenant);
    assert_eq!(
        refused(platform.get("acme.example", "/").send().await).await,
        said("credential-missing", "client", json!("acme"))
    );
    assert_eq!(
        refused(platform.get("gone.example", "/").send().await).await,
        said("ip-denied", "tenant", json!("gone"))
    );
    assert_eq!(
        refused(platform.get("nobody.example", "/").send().await).await.0,
        json!("unknown-host")
    );
    // What is refused before it is a request has a line too.
    let mut connection = RawConnection::open(platform.clients()).await;
    connection.send("GET / HTTP/1.1\r\nHost : acme.example\r\n\r\n").await;
    let answer = connection.answer().await.unwrap();
    let line = line_of(&platform, &answer.headers["x-request-id"]).await;
    assert_eq!(
        (&line["decision"], &line["blame"], &line["status"], &line["client"]),
        (&json!("bad-request"), &json!("client"), &json!(400), &json!("127.0.0.1"))
    );
}

#[tokio::test]
async fn no_credential_is_ever_in_the_log() {
    let platform = platform(&[("ACCESS_LOG__QUERY", "false")]).await;
    let secret = platform.tenant("acme", json!({"auth": "any"})).await;
    identity::trust_the_issuer(&platform).await;
    let token = identity::token("acme");
    let mut ids = Vec::new();
    for request in [
        platform.get("acme.example", "/").key(&secret),
        platform.get("acme.example", "/").bearer(&secret),
        platform.get("acme.example", "/").bearer(&token),
        platform.get("acme.example", "/?token=query-secret").key(&secret),
        platform.get("acme.example", "/").header("authorization", "Basic basic-secret"),
        platform.get("acme.example", "/").header("cookie", "session=cookie-secret").key(&secret),
        platform.get("acme.example", "/").key("tnt_wrong-secret"),
    ] {
        ids.push(request.send().await.header("x-request-id").to_owned());
    }
    let mut found = BTreeMap::new();
    for id in &ids {
        found.insert(id, line_of(&platform, id).await);
    }
    assert_eq!(found[&ids[2]]["subject"], "user-7");
    assert_eq!(found[&ids[3]]["path"], "/");
    let (text, printed) = (fs::read_to_string(log(&platform)).unwrap(), platform.proxy_printed());
    for hidden in
        [secret.as_str(), &token, "query-secret", "basic-secret", "cookie-secret", "wrong-secret"]
    {
        assert!(!text.contains(hidden) && !printed.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn no_client_writes_lines_of_its_own() {
    const FORGED: &str = "\"}\t{\"decision\":\"forged\"}";
    let platform = platform(&[("ACCESS_LOG__QUERY", "true")]).await;
    platform.tenant("acme", json!({"auth": "none"})).await;
    let ask = async |target: &str| {
        let mut connection = RawConnection::open(platform.clients()).await;
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: acme.example\r\nUser-Agent: {FORGED}\r\n\r\n");
        connection.send(head).await;
        let answer = connection.answer().await.unwrap();
        (answer.status, line_of(&platform, &answer.headers["x-request-id"]).await)
    };
    let (status, line) = ask("/a?q=%0a%22},{\\").await;
    assert_eq!((status, &line["decision"]), (200, &json!("forward")));
    assert_eq!((&line["query"], &line["user_agent"]), (&json!("q=%0a%22},{\\"), &json!(FORGED)));
    // What is no path is not shown, and what is no target at all still has a line.
    let (status, line) = ask("/%0a%7b").await;
    assert_eq!((status, &line["decision"], line.get("path")), (400, &json!("bad-request"), None));
    let (status, line) = ask("/?q=\"},{\"").await;
    assert_eq!((status, &line["decision"], line.get("query")), (400, &json!("bad-request"), None));
    let long = "x".repeat(4000);
    let agent = platform.get("acme.example", "/").header("user-agent", &long).send().await;
    let line = line_of(&platform, agent.header("x-request-id")).await;
    assert!(line["user_agent"].as_str().unwrap().len() < 300, "{line}");
}

#[tokio::test]
async fn a_tenant_can_be_left_out() {
    let platform = platform(&[]).await;
    platform.tenant("quiet", json!({"auth": "none", "access_log": "off"})).await;
    platform.tenant("some", json!({"auth": "none", "access_log": {"one_in": 1_000_000_000}})).await;
    platform.tenant("loud", json!({"auth": "none"})).await;
    for _ in 0..5 {
        assert_eq!(platform.get("quiet.example", "/").status().await, 200);
        assert_eq!(platform.get("some.example", "/").status().await, 200);
    }
    let last = platform.get("loud.example", "/").send().await;
    line_of(&platform, last.header("x-request-id")).await;
    assert_eq!(lines(&log(&platform)).len(), 1);
    // Put back, it is heard again.
    let patched = platform.api().tenants().patch("quiet", &json!({"access_log": null}), None).await;
    platform.enforced(patched.unwrap().revision).await;
    let heard = platform.get("quiet.example", "/").send().await;
    line_of(&platform, heard.header("x-request-id")).await;
    let written = "tenantry_access_log_lines_total{outcome=\"written\"}";
    assert_eq!(platform.metric(written).await, Some(2));
    assert_eq!(
        platform.metric("tenantry_access_log_lines_total{outcome=\"dropped\"}").await,
        Some(0)
    );
}

#[tokio::test]
async fn the_file_is_opened_anew_at_sighup() {
    let platform = platform(&[]).await;
    platform.tenant("acme", json!({"auth": "none"})).await;
    let first = platform.get("acme.example", "/").send().await;
    line_of(&platform, first.header("x-request-id")).await;
    let moved = platform.path("data/access.log.1");
    fs::rename(log(&platform), &moved).unwrap();
    platform.hang_up_proxy();
    eventually("a new file is there", async || log(&platform).is_file().then_some(())).await;
    let second = platform.get("acme.example", "/").send().await;
    line_of(&platform, second.header("x-request-id")).await;
    assert_eq!((lines(&moved).len(), lines(&log(&platform)).len()), (1, 1));
}
