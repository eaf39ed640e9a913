//! What the API promises when nothing is wrong with the request.

use serde_json::json;
use tenantry_api::{
    AuditEntryBody, AuditQuery, CreateApiKey, CreateIssuer, DeleteTenantQuery, ListQuery,
    ProblemKind, TenantQuery, VerifyAuditQuery,
};
use tenantry_model::TenantState;
use tenantry_test_support::eventually;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_one_revision_one_is_refused() {
    let server = Server::with_acme().await;
    let revision = server.client.tenants().get("acme").await.unwrap().revision;
    let tenants = server.client.tenants();
    let (one, two) = (json!({"name": "One"}), json!({"name": "Two"}));
    let (one, two) = tokio::join!(
        tenants.patch("acme", &one, Some(revision)),
        tenants.patch("acme", &two, Some(revision)),
    );
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    let (won, lost) = (won.unwrap(), lost.unwrap_err());
    assert!(lost.problem().unwrap().is(ProblemKind::PreconditionFailed), "{lost}");
    assert_eq!(lost.problem().unwrap().status, 412);
    let tag = format!("If-None-Match: \"{}\"\r\n", won.revision);
    let answer = server.send("GET /api/v1/tenants/acme", &tag, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (304, ""));
    let answer = server.send("GET /api/v1/tenants/acme", "If-None-Match: \"1\"\r\n", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("etag").unwrap(), format!("\"{}\"", won.revision));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_since_is_not_deleted() {
    let server = Server::with_acme().await;
    let key = serde_json::from_value::<CreateApiKey>(json!({"name": "ci"})).unwrap();
    let key = server.client.keys("acme").create(&key).await.unwrap().key;
    let domain = serde_json::from_value(json!({"host": "two.example.com"})).unwrap();
    let domain = server.client.domains("acme").create(&domain).await.unwrap();
    for (path, revision) in [
        (format!("/api/v1/tenants/acme/keys/{}", key.id), key.revision),
        ("/api/v1/tenants/acme/domains/two.example.com".to_owned(), domain.revision),
    ] {
        let delete = async |revision: u64| {
            let condition = format!("If-Match: \"{revision}\"\r\n");
            server.send(&format!("DELETE {path}"), &condition, "").await.status
        };
        assert_eq!(delete(revision - 1).await, 412, "{path}");
        assert_eq!(delete(revision).await, 204, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_lives_and_is_found() {
    let server = Server::with_acme().await;
    let tenants = server.client.tenants();
    assert_eq!(tenants.suspend("acme", "unpaid").await.unwrap().state, TenantState::Suspended);
    assert_eq!(
        tenants.delete("acme", &DeleteTenantQuery::default(), None).await.unwrap().state,
        TenantState::Deleting
    );
    let back = tenants.undelete("acme").await.unwrap();
    assert_eq!(
        (back.state, back.suspended_reason.as_deref()),
        (TenantState::Suspended, Some("unpaid"))
    );
    tenants.resume("acme").await.unwrap();
    server.create_tenant("globex", &[]).await;
    let query = TenantQuery { q: Some("ACM".to_owned()), limit: Some(1), ..Default::default() };
    let page = tenants.list(&query).await.unwrap();
    assert_eq!(page.items.first().unwrap().spec.slug.as_str(), "acme");
    let domains = server.client.domains("acme").list(&ListQuery::default()).await.unwrap();
    assert_eq!(domains.items.len(), 1);
    server.client.domains("acme").delete("acme.example.com").await.unwrap();
    server.create_tenant("initech", &["acme.example.com", "*.acme.example.com"]).await;
    server.client.domains("initech").get("*.acme.example.com").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_sees_each_tenant_once_while_others_come() {
    let server = Server::with_acme().await;
    for number in 0..20 {
        server.create_tenant(&format!("t-{number}"), &[]).await;
    }
    let mut query = TenantQuery { limit: Some(6), ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = server.client.tenants().list(&query).await.unwrap();
        seen.extend(page.items.into_iter().map(|tenant| tenant.spec.slug.to_string()));
        server.create_tenant(&format!("later-{}", seen.len()), &[]).await;
        let Some(cursor) = page.next_cursor else { break };
        query.cursor = Some(cursor);
    }
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "none twice: {seen:?}");
    let throughout = (0..20).map(|number| format!("t-{number}")).chain(["acme".to_owned()]);
    let missed: Vec<_> = throughout.filter(|slug| !seen.contains(slug)).collect();
    assert_eq!(missed, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_shown_once_or_never() {
    let server = Server::with_acme().await;
    let key = CreateApiKey::named("ci");
    let created = server.client.keys("acme").create(&key).await.unwrap();
    let secret = created.secret.as_deref().unwrap();
    let shared = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA";
    let issuer: CreateIssuer = serde_json::from_value(json!({
        "issuer": "https://id.acme.com/", "audiences": ["api"], "algorithms": ["HS256"],
        "jwks": {"keys": [{"kty": "oct", "alg": "HS256", "k": shared}]},
    }))
    .unwrap();
    let issuer = server.client.issuers("acme").create(&issuer).await.unwrap();
    assert!(!serde_json::to_string(&issuer).unwrap().contains(shared));
    for path in ["keys", "issuers"] {
        let id = if path == "keys" { created.key.id.to_string() } else { issuer.id.to_string() };
        for path in [format!("tenants/acme/{path}"), format!("tenants/acme/{path}/{id}")] {
            let body = server.send(&format!("GET /api/v1/{path}"), "", "").await.body;
            assert!(body.contains(&id), "{path}: {body}");
            assert!(!body.contains(shared) && !body.contains(secret), "{path}: {body}");
        }
    }
    let mut shown = 0;
    for revision in 1..=20 {
        let body = server.send(&format!("GET /api/v1/revisions/{revision}"), "", "").await.body;
        shown += usize::from(body.contains("[hidden]"));
        assert!(!body.contains(shared) && !body.contains(secret), "{body}");
    }
    assert_eq!(shown, 2, "the key, and the issuer");
    let audit = server.send("GET /api/v1/audit", "", "").await.body;
    assert!(audit.contains("issuer.create") && audit.contains("key.create"), "{audit}");
    assert!(!audit.contains(shared) && !audit.contains(secret), "{audit}");
    server.client.keys("acme").delete(&created.key.id.to_string()).await.unwrap();
    assert!(server.client.keys("acme").get(&created.key.id.to_string()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_a_restart() {
    let server = Server::with_acme().await;
    let before = server.client.tenants().get("acme").await.unwrap();
    let token = server.running.root_token.expose().to_owned();
    let Server { running, directory, .. } = server;
    running.stop().await;
    let server = Server::start_in(directory).await;
    assert_eq!(server.running.root_token.expose(), token);
    assert_eq!(server.client.tenants().get("acme").await.unwrap(), before);
    let file = server.directory.path().join("control-plane.addresses.json");
    let addresses: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(addresses["api"], server.running.api.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_filtered_exported_and_verified() {
    let server = Server::with_acme().await;
    let tenants = server.client.tenants();
    tenants.suspend("acme", "unpaid").await.unwrap();
    tenants.resume("acme").await.unwrap();
    let query =
        |action: &str| AuditQuery { action: Some(action.to_owned()), ..AuditQuery::default() };
    for (action, expected) in [("tenant.suspend", 1), ("tenant.*", 3), ("*", 4), ("tenant", 0)] {
        let found = server.client.audit(&query(action)).await.unwrap().items.len();
        assert_eq!(found, expected, "{action}");
    }
    let verified = eventually("all entries are linked", async || {
        let found = server.client.verify_audit(&VerifyAuditQuery::default()).await.unwrap();
        (found.unsealed == 0).then_some(found)
    })
    .await;
    assert_eq!((verified.intact, verified.sealed), (true, 4));
    let noted = |hash: &str| VerifyAuditQuery { sequence: Some(4), hash: Some(hash.to_owned()) };
    assert!(server.client.verify_audit(&noted(&verified.hash)).await.unwrap().intact);
    assert!(!server.client.verify_audit(&noted("else")).await.unwrap().intact);
    let mut download = server.client.export_audit(&AuditQuery::default()).await.unwrap();
    let mut text = Vec::new();
    while let Some(piece) = download.next().await.unwrap() {
        text.extend(piece);
    }
    let text = String::from_utf8(text).unwrap();
    let entries: Vec<AuditEntryBody> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["tenant.resume", "tenant.suspend", "tenant.create", "plan.create"]);
}
