//! Tokens, passwords and sessions.

use serde_json::json;
use tenantry_api::{AuditQuery, Client, ListQuery, LogIn, SetPassword};
use tenantry_control_plane::Running;

use super::ADA;
use crate::server::Server;

const PASSWORD: &str = "correct horse battery";

impl Server {
    pub(super) fn as_one_with(&self, token: &str) -> Client {
        Client::new(&format!("http://{}", self.running.api), token).unwrap()
    }

    async fn logged_in(&self) -> (String, String) {
        let (id, _) = self.operator(ADA, json!(["admin"])).await;
        let password = SetPassword { password: PASSWORD.to_owned() };
        self.client.operators().set_password(&id, &password).await.unwrap();
        (id, self.as_one_with("").log_in(&log_in(ADA, PASSWORD)).await.unwrap().secret)
    }
}

fn log_in(email: &str, password: &str) -> LogIn {
    LogIn { email: email.parse().unwrap(), password: password.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_is_as_good_as_none() {
    let server = Server::with_acme().await;
    server.create_tenant("globex", &[]).await;
    let id = |slug: &'static str| async {
        server.client.tenants().get(slug).await.unwrap().id.to_string()
    };
    let token = server.tenant_token("acme", json!({"role": "owner"})).await;
    for own in ["acme", &id("acme").await] {
        let answer = server.send_as(&token, &format!("GET /api/v1/tenants/{own}"), "", "").await;
        assert_eq!(answer.status, 200, "{own}");
    }
    // What is missing in one's own tenant is no attempt at anything.
    let missing = server.send_as(&token, "GET /api/v1/tenants/acme/keys/none", "", "").await;
    assert_eq!(missing.status, 404);
    let globex = id("globex").await;
    let ghost = "ten_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (other, none) in [("globex", "ghosts"), (globex.as_str(), ghost)] {
        for rest in ["", "/keys", "/tokens/x", "/domains/x"] {
            let ask = async |tenant: &str| {
                let line = format!("GET /api/v1/tenants/{tenant}{rest}");
                let answer = server.send_as(&token, &line, "X-Request-Id: x\r\n", "").await;
                (answer.status, answer.body.replace(tenant, "-"))
            };
            let (status, body) = ask(other).await;
            assert_eq!(status, 404, "{body}");
            assert_eq!((status, body), ask(none).await);
        }
    }
    let own = server.as_one_with(&token).tenants().list(&Default::default()).await.unwrap();
    let own: Vec<_> = own.items.iter().map(|tenant| tenant.spec.slug.as_str()).collect();
    assert_eq!(own, ["acme"]);
    // The attempts were written down, as far as one minute holds them.
    let audit = server.client.audit(&AuditQuery::default()).await.unwrap();
    let denied: Vec<_> = audit.items.iter().filter(|e| e.action == "access.denied").collect();
    assert_eq!(denied.len(), 10);
    assert!(denied.iter().all(|entry| entry.actor.starts_with("token/tok_")));
    assert!(denied.iter().all(|entry| entry.source_address.as_deref() == Some("127.0.0.1")));
    assert_eq!(denied[9].after["path"], "/api/v1/tenants/globex");
    assert_eq!(denied[9].after["method"], "GET");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_known_tries_is_counted_and_written_down_once() {
    let server = Server::with_acme().await;
    for _ in 0..30 {
        assert_eq!(server.send_as("tno_x", "GET /api/v1/tenants", "", "").await.status, 401);
    }
    let Server { running, directory, .. } = server;
    Running::stop(running).await;
    let server = Server::start_in(directory).await;
    let audit = server.client.audit(&AuditQuery::default()).await.unwrap();
    let denied: Vec<_> = audit.items.iter().filter(|e| e.action == "access.denied").collect();
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!((denied[0].actor.as_str(), &denied[0].after["count"]), ("anonymous", &json!(30)));
    assert_eq!(denied[0].source_address.as_deref(), Some("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_roles_holds_on_the_next_call() {
    let server = Server::with_acme().await;
    let (id, token) = server.operator(ADA, json!(["admin"])).await;
    let ada = server.as_one_with(&token);
    let me = ada.me().await.unwrap();
    assert_eq!((me.operator.unwrap().to_string(), me.tenant), (id.clone(), None));
    ada.tenants().suspend("acme", "test").await.unwrap();
    let operators = server.client.operators();
    operators.patch(&id, &json!({"roles": ["auditor"]}), None).await.unwrap();
    assert_eq!(ada.tenants().resume("acme").await.unwrap_err().problem().unwrap().status, 403);
    ada.tenants().get("acme").await.unwrap();
    operators.patch(&id, &json!({"disabled": true}), None).await.unwrap();
    assert_eq!(ada.me().await.unwrap_err().problem().unwrap().status, 401);
    operators.patch(&id, &json!({"disabled": false}), None).await.unwrap();
    ada.me().await.unwrap();
    let tokens = server.client.operator_tokens(&id);
    let of_ada = tokens.list(&ListQuery::default()).await.unwrap().items;
    assert!(of_ada[0].last_used_at.is_some());
    tokens.delete(&of_ada[0].id.to_string()).await.unwrap();
    assert_eq!(ada.me().await.unwrap_err().problem().unwrap().status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_what_they_do_not_have() {
    let server = Server::with_acme().await;
    let (owner, _) = server.operator("owner@example.com", json!(["owner"])).await;
    // Someone who may choose operators, and nothing else.
    let narrow = json!({"name": "n", "scopes": ["operators:write"]});
    let narrow = server
        .client
        .operator_tokens(&owner)
        .create(&serde_json::from_value(narrow).unwrap())
        .await
        .unwrap();
    let narrow = narrow.secret.as_deref().unwrap();
    let operator = r#"{"name":"Eve","email":"eve@example.com","roles":["owner"]}"#;
    let made = server.send_as(narrow, "POST /api/v1/operators", "", operator).await;
    assert_eq!(made.status, 403, "{}", made.body);
    let token = format!("POST /api/v1/operators/{owner}/tokens");
    assert_eq!(server.send_as(narrow, &token, "", r#"{"name":"all"}"#).await.status, 403);
    let password = format!("PUT /api/v1/operators/{owner}/password");
    let body = format!(r#"{{"password":"{PASSWORD}"}}"#);
    assert_eq!(server.send_as(narrow, &password, "", &body).await.status, 403);
    let line = format!("DELETE /api/v1/operators/{owner}");
    assert_eq!(server.send_as(narrow, &line, "", "").await.status, 403);
    let members = server.tenant_token("acme", json!({"scopes": ["members:write"]})).await;
    let more = r#"{"name":"more","role":"owner"}"#;
    let made = server.send_as(&members, "POST /api/v1/tenants/acme/tokens", "", more).await;
    assert_eq!(made.status, 403, "{}", made.body);
    let platform = r#"{"name":"more","scopes":["tenants:write"]}"#;
    let made = server.send("POST /api/v1/tenants/acme/tokens", "", platform).await;
    assert_eq!(made.status, 422, "{}", made.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_logs_in_and_out() {
    let server = Server::with_acme().await;
    let (id, session) = server.logged_in().await;
    let ada = server.as_one_with(&session);
    assert_eq!(ada.me().await.unwrap().operator.unwrap().to_string(), id);
    let audit = server.client.audit(&AuditQuery::default()).await.unwrap();
    let entry = audit.items.iter().find(|entry| entry.action == "session.create").unwrap();
    assert!(entry.actor.starts_with(&format!("operator/{id}/ses_")), "{}", entry.actor);
    ada.tenants().suspend("acme", "test").await.unwrap();
    ada.log_out().await.unwrap();
    assert_eq!(ada.me().await.unwrap_err().problem().unwrap().status, 401);
    let again = server.as_one_with("").log_in(&log_in(ADA, PASSWORD)).await.unwrap();
    let ada = server.as_one_with(&again.secret);
    let password = SetPassword { password: "another horse battery".to_owned() };
    server.client.operators().set_password(&id, &password).await.unwrap();
    assert_eq!(ada.me().await.unwrap_err().problem().unwrap().status, 401);
    let old = server.as_one_with("").log_in(&log_in(ADA, PASSWORD)).await.unwrap_err();
    let none = server.as_one_with("").log_in(&log_in("no@a.de", PASSWORD)).await.unwrap_err();
    let (old, none) = (old.problem().unwrap(), none.problem().unwrap());
    assert_eq!((old.status, &old.detail), (401, &none.detail));
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_password_comes_to_an_end() {
    let server = Server::with_acme().await;
    let (_, session) = server.logged_in().await;
    let anybody = server.as_one_with("");
    for _ in 0..5 {
        let wrong = anybody.log_in(&log_in(ADA, "wrong")).await.unwrap_err();
        assert_eq!(wrong.problem().unwrap().status, 401);
    }
    let body = format!(r#"{{"email":"{ADA}","password":"{PASSWORD}"}}"#);
    let answer = server.send_as("", "POST /api/v1/sessions", "", &body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("30")));
    // Who is in stays in.
    server.as_one_with(&session).me().await.unwrap();
}
