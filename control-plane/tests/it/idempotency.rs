//! The same request again: the same answer, and nothing done twice.

use crate::server::{Answer, Server};

const TENANTS: &str = "POST /api/v1/tenants";
const GLOBEX: &str = r#"{"slug":"globex","name":"Globex","plan":"pro"}"#;

async fn send(server: &Server, line: &str, key: &str, body: &str) -> Answer {
    server.send(line, &format!("Idempotency-Key: {key}\r\n"), body).await
}

fn problem(answer: &Answer) -> String {
    answer.json()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_is_answered_again() {
    let server = Server::with_acme().await;
    let key = r#"{"name":"ci"}"#;
    for (line, body, status) in [
        (TENANTS, GLOBEX, 201),
        ("POST /api/v1/plans", r#"{"id":"small","name":"Small"}"#, 201),
        ("PUT /api/v1/plans/small", r#"{"name":"Smaller"}"#, 200),
        ("PATCH /api/v1/tenants/acme", r#"{"name":"Acme Inc."}"#, 200),
        ("POST /api/v1/tenants/acme/domains", r#"{"host":"b.example.com"}"#, 201),
        ("DELETE /api/v1/tenants/acme/domains/b.example.com", "", 204),
        ("POST /api/v1/tenants/acme/suspend", r#"{"reason":"unpaid"}"#, 200),
        ("DELETE /api/v1/tenants/globex", "", 200),
        ("POST /api/v1/tenants/globex/purge", r#"{"confirm":"globex"}"#, 200),
    ] {
        let first = send(&server, line, line.replace(' ', "").as_str(), body).await;
        let again = send(&server, line, line.replace(' ', "").as_str(), body).await;
        assert_eq!((first.status, again.status), (status, status), "{line}: {}", again.body);
        assert_eq!(first.body, again.body, "{line}");
        for header in ["etag", "location", "content-type", "cache-control"] {
            assert_eq!(first.header(header), again.header(header), "{line}: {header}");
        }
        assert_eq!(first.header("idempotency-replayed"), None, "{line}");
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{line}");
    }
    // The one thing that is not said again.
    let first = send(&server, "POST /api/v1/tenants/acme/keys", "k", key).await.json();
    let again = send(&server, "POST /api/v1/tenants/acme/keys", "k", key).await.json();
    assert!(first["secret"].is_string() && again["secret"].is_null(), "{again}");
    assert_eq!(first["id"], again["id"]);
    let query = tenantry_api::ListQuery::default();
    assert_eq!(server.client.keys("acme").list(&query).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_for_one_request() {
    let server = Server::with_acme().await;
    assert_eq!(send(&server, TENANTS, "one", GLOBEX).await.status, 201);
    let other = GLOBEX.replace("Globex", "Other");
    for (line, body) in [
        (TENANTS, other.as_str()),
        ("POST /api/v1/plans", r#"{"id":"globex","name":"Globex"}"#),
        ("PATCH /api/v1/tenants/acme", GLOBEX),
        ("DELETE /api/v1/tenants/acme?retention_days=1", ""),
    ] {
        let answer = send(&server, line, "one", body).await;
        let found = (answer.status, problem(&answer));
        assert_eq!(found, (422, "idempotency-key-reused".to_owned()), "{line}");
    }
    // A request that failed has not used its key up.
    assert_eq!(send(&server, TENANTS, "two", GLOBEX).await.status, 409);
    let body = GLOBEX.replace("globex", "initech");
    assert_eq!(send(&server, TENANTS, "two", &body).await.status, 201);
    for key in ["", "a b", "ä", &"x".repeat(256), "a\r\nIdempotency-Key: b"] {
        let answer = send(&server, TENANTS, key, GLOBEX).await;
        assert_eq!((answer.status, problem(&answer)), (400, "invalid-header".to_owned()), "{key}");
    }
    let large = " ".repeat((1 << 20) + 1);
    assert_eq!(send(&server, TENANTS, "large", &large).await.status, 413);
    assert_eq!(send(&server, "GET /api/v1/tenants", "one", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_at_once_one_tenant_comes() {
    let server = Server::with_acme().await;
    let audited = server.client.audit(&tenantry_api::AuditQuery::default()).await.unwrap();
    let requests = (0..20).map(|_| send(&server, TENANTS, "race", GLOBEX));
    let answers = futures::future::join_all(requests).await;
    let mut bodies = std::collections::BTreeSet::new();
    for answer in &answers {
        match answer.status {
            201 => drop(bodies.insert(answer.body.clone())),
            409 => {
                assert_eq!(problem(answer), "idempotency-in-progress");
                assert_eq!(answer.header("retry-after"), Some("1"));
            }
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let now = server.client.audit(&tenantry_api::AuditQuery::default()).await.unwrap();
    assert_eq!(now.items.len(), audited.items.len() + 1);
}
