//! Changes that are answered once proxies enforce them, and what is said of who does.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_api::Enforcement;
use tenantry_test_support::eventually;
use tokio::task::JoinHandle;

use crate::{
    distribution::{Proxy, fresh},
    server::{Answer, Server},
};

const PATCH: &str = "PATCH /api/v1/tenants/acme";
const BODY: &str = r#"{"name":"Acme II"}"#;

fn applied(answer: &Answer) -> Enforcement {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.header("tenantry-applied").unwrap().parse().unwrap()
}

/// A proxy that has said that it enforces everything.
async fn current(server: &Server) -> Proxy {
    let acme = server.client.tenants().get("acme").await.unwrap();
    let mut proxy = Proxy::connect(server, fresh()).await;
    proxy.until(acme.revision).await;
    proxy.report(server, &[]).await;
    proxy
}

/// An answer that comes because proxies said something, and not because the time was up.
async fn soon(waiting: JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap()
}

async fn status(server: &Server) -> Value {
    let answer = server.send("GET /api/v1/tenants/acme/status", "", "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_answered_once_every_proxy_has_said_so() {
    let server = Server::with_acme().await;
    // Nobody to wait for.
    let alone = applied(&server.send(&format!("{PATCH}?wait=applied"), "", BODY).await);
    assert_eq!((alone.enforced, alone.behind), (0, 0));
    let mut proxy = current(&server).await;

    // It says nothing: the answer says who has not.
    let line = format!("{PATCH}?wait=applied&wait_seconds=1");
    let late = server.send(&line, "", r#"{"name":"Acme III"}"#).await;
    let revision = late.json()["revision"].as_u64().unwrap();
    let late = applied(&late);
    assert_eq!((late.revision, late.enforced, late.behind), (revision, 0, 1));
    assert_eq!(late.behind_at, ["edge-1"]);
    let seen = status(&server).await;
    assert_eq!((&seen["revision"], &seen["behind"]), (&json!(revision), &json!(1)));
    assert_eq!(seen["proxies"][0]["state"], "behind");
    let behind = server.client.proxies().await.unwrap().items.remove(0);
    assert!(behind.lag.unwrap() > 0 && behind.config_age_seconds.is_some());
    // What a token of the tenant gets to see.
    let viewer = server.tenant_token("acme", json!({"role": "owner"})).await;
    let own = server.send_as(&viewer, "GET /api/v1/tenants/acme/status", "", "").await.json();
    assert_eq!((&own["behind"], &own["proxies"]), (&json!(1), &json!([])));
    let line = "POST /api/v1/tenants/acme/domains?wait=applied&wait_seconds=1";
    let body = r#"{"host":"b.example.com"}"#;
    let added = server.send_as(&viewer, line, "", body).await;
    let own: Enforcement = added.header("tenantry-applied").unwrap().parse().unwrap();
    assert_eq!((own.behind, own.behind_at.len()), (1, 0));

    // It says so while the answer is waited for.
    let line = format!("{PATCH}?wait=applied&wait_seconds=60");
    let waiting = tokio::spawn(server.sending(&line, "", r#"{"name":"Acme IV"}"#));
    let named = eventually("the change is made", async || {
        let acme = server.client.tenants().get("acme").await.unwrap();
        (acme.spec.name == "Acme IV").then_some(acme.revision)
    })
    .await;
    assert!(!waiting.is_finished());
    proxy.until(named).await;
    proxy.report(&server, &[]).await;
    let said = applied(&soon(waiting).await);
    assert_eq!((said.revision, said.enforced, said.behind), (named, 1, 0));
    assert_eq!(status(&server).await["proxies"][0]["state"], "enforced");

    // What concerns no proxy is in force at once.
    let line = "POST /api/v1/users?wait=applied&wait_seconds=60";
    let user = server.send(line, "", r#"{"email":"ada@example.com"}"#).await;
    let user: Enforcement = user.header("tenantry-applied").unwrap().parse().unwrap();
    assert_eq!((user.enforced, user.behind), (1, 0));

    // One that leaves is waited for no longer.
    let waiting = tokio::spawn(server.sending(
        &format!("{PATCH}?wait=applied&wait_seconds=60"),
        "",
        r#"{"name":"Acme V"}"#,
    ));
    drop(proxy);
    let left = applied(&soon(waiting).await);
    assert_eq!((left.enforced, left.behind), (0, 0));
    assert_eq!(status(&server).await["proxies"][0]["state"], "disconnected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_answer_if_it_is_of_the_change() {
    let server = Server::with_acme().await;
    let mut proxy = current(&server).await;
    let acme = server.client.tenants().get("acme").await.unwrap();
    let id = acme.id.to_string();
    for (refused, counts) in [
        (vec![("tenant", id.as_str())], (0, 1)),
        // What it refuses of others is no business of this change.
        (vec![("certificate", "crt_01HZZZZZZZZZZZZZZZZZZZZZZZ")], (1, 0)),
    ] {
        let body = format!(r#"{{"name":"Acme {}"}}"#, refused[0].0);
        let line = format!("{PATCH}?wait=applied&wait_seconds=60");
        let waiting = tokio::spawn(server.sending(&line, "", &body));
        let before = proxy.assembler.held().unwrap().revision.as_u64();
        proxy.until(before + 1).await;
        proxy.report(&server, &refused).await;
        let said = applied(&soon(waiting).await);
        assert_eq!((said.enforced, said.refused, said.behind), (counts.0, counts.1, 0));
        let expected: Vec<_> = (counts.1 > 0).then(|| format!("tenant/{id}")).into_iter().collect();
        let named: Vec<_> = said.refused_at.iter().map(|at| at.resource.clone()).collect();
        assert_eq!(named, expected);
        let state = if counts.1 > 0 { "refused" } else { "enforced" };
        assert_eq!(status(&server).await["proxies"][0]["state"], state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_refused_and_not_done() {
    let server = Server::with_acme().await;
    for (line, pointer) in [
        ("PATCH /api/v1/tenants/acme?wait", "?wait"),
        ("PATCH /api/v1/tenants/acme?wait=yes", "?wait"),
        ("PATCH /api/v1/tenants/acme?wait=applied&wait=applied", "?wait"),
        ("PATCH /api/v1/tenants/acme?wait_seconds=5", "?wait_seconds"),
        ("PATCH /api/v1/tenants/acme?wait=applied&wait_seconds=0", "?wait_seconds"),
        ("PATCH /api/v1/tenants/acme?wait=applied&wait_seconds=61", "?wait_seconds"),
        ("PATCH /api/v1/tenants/acme?wait=applied&wait_seconds=x", "?wait_seconds"),
        ("PATCH /api/v1/tenants/acme?wait=applied&dry_run=true", "?wait"),
        ("POST /api/v1/diff?wait=applied", "?wait"),
    ] {
        let answer = server.send(line, "", BODY).await;
        assert_eq!(answer.status, 400, "{line}: {}", answer.body);
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{line}");
    }
    assert_ne!(server.client.tenants().get("acme").await.unwrap().spec.name, "Acme II");
    // What is refused is refused at once, and a name means the same change however long it is waited for.
    let line = "PATCH /api/v1/tenants/none?wait=applied&wait_seconds=60";
    let none = server.send(line, "", BODY).await;
    assert_eq!((none.status, none.header("tenantry-applied")), (404, None));
    let key = "Idempotency-Key: one\r\n";
    assert_eq!(server.send(PATCH, key, BODY).await.status, 200);
    let again = server.send(&format!("{PATCH}?wait=applied"), key, BODY).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(applied(&again).behind, 0);
}
