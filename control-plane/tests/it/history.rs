//! History over HTTP, and what is refused there.

use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn revisions_are_told_compared_and_gone_back_to() {
    let server = Server::with_acme().await;
    let get = async |path: &str| server.send(&format!("GET /api/v1{path}"), "", "").await.json();
    let listed = get("/revisions?limit=1").await;
    let good = listed["items"][0]["revision"].as_u64().unwrap();
    assert_eq!(listed["items"][0]["entries"][0]["action"], "tenant.create");
    let cursor = listed["next_cursor"].as_str().unwrap();
    let next = get(&format!("/revisions?limit=1&cursor={cursor}")).await;
    assert_eq!(next["items"][0]["entries"][0]["target"], "plan/pro");
    let named = get("/revisions?tenant=acme&action=tenant.*").await;
    assert_eq!(named["items"], listed["items"]);
    let patch = r#"{"name": "Other"}"#;
    let patched = server.send("PATCH /api/v1/plans/pro", "", patch).await.json();
    let revision = &patched["revision"];
    let shown = get(&format!("/revisions/{revision}")).await;
    let field = json!({"pointer": "/resource/name", "before": "Pro", "after": "Other"});
    assert_eq!(shown["changes"], json!([{"kind": "plan", "id": "pro", "fields": [field]}]));
    let differing = get(&format!("/revisions/{good}/diff")).await;
    assert_eq!(differing["changes"][0]["after"]["name"], "Other");
    assert_eq!(get(&format!("/revisions/{good}/diff?to={good}")).await, json!({"changes": []}));
    // Under a name it is done once.
    let (line, key) =
        (format!("POST /api/v1/revisions/{good}/rollback"), "Idempotency-Key: back\r\n");
    let first = server.send(&line, key, "").await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    assert_eq!(get("/plans/pro").await["name"], "Pro");
    server.send("PATCH /api/v1/plans/pro", "", patch).await;
    let again = server.send(&line, key, "").await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.json(), first.json());
    assert_eq!(get("/plans/pro").await["name"], "Other");
    let audit = get("/audit?action=plan.update").await;
    let marked: Vec<_> = audit["items"].as_array().unwrap().iter().collect();
    assert_eq!(marked[1]["rollback_to"], good);
    assert_eq!(marked[0]["rollback_to"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_revision_is_refused() {
    let server = Server::with_acme().await;
    for (line, status, kind) in [
        ("GET /api/v1/revisions/none", 404, "not-found"),
        ("GET /api/v1/revisions/999999", 404, "not-found"),
        ("GET /api/v1/revisions/-1", 404, "not-found"),
        ("GET /api/v1/revisions/0", 410, "revision-forgotten"),
        ("GET /api/v1/revisions/1/diff?to=999999", 404, "not-found"),
        ("GET /api/v1/revisions/1/diff?to=x", 400, "invalid-query"),
        ("POST /api/v1/revisions/none/rollback", 404, "not-found"),
        ("POST /api/v1/revisions/999999/rollback", 404, "not-found"),
        ("POST /api/v1/revisions/1/rollback?partial=maybe", 400, "invalid-query"),
        ("POST /api/v1/revisions/1/rollback?all=true", 400, "invalid-query"),
        ("GET /api/v1/revisions?limit=0", 400, "invalid-query"),
        ("GET /api/v1/revisions?cursor=x", 400, "invalid-cursor"),
        ("GET /api/v1/revisions?tenant=nobody", 400, "invalid-query"),
    ] {
        let answer = server.send(line, "", "").await;
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        assert_eq!(answer.json()["type"], format!("urn:tenantry:problem:{kind}"), "{line}");
    }
    let forgotten = server.send("GET /api/v1/revisions/0", "", "").await.json();
    assert!(forgotten["detail"].as_str().unwrap().ends_with("history goes back to revision 1"));
}
