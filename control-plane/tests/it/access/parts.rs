//! What is done together with something else needs its own permission all the same.

use serde_json::json;

use super::ADA;
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_is_made_with_needs_its_own_permission() {
    let server = Server::with_acme().await;
    let (_, token) = server.operator_with(ADA, json!(["admin"]), json!(["tenants:write"])).await;
    let create = async |more: serde_json::Value| {
        let mut body = json!({"slug": "umbrella", "name": "U", "plan": "pro"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.send_as(&token, "POST /api/v1/tenants", "", &body.to_string()).await
    };
    for (more, permission) in [
        (json!({"key": {"name": "ci"}}), "keys:write"),
        (json!({"domains": ["umbrella.example"]}), "domains:write"),
        (json!({"admin": {"email": "a@umbrella.example"}}), "members:write"),
    ] {
        let refused = create(more).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.body.contains(permission), "{}", refused.body);
    }
    assert_eq!(create(json!({})).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_delete_may_not_purge() {
    let server = Server::with_acme().await;
    let (_, token) = server.operator_with(ADA, json!(["admin"]), json!(["tenants:write"])).await;
    let send = async |line: &str, body: &str| server.send_as(&token, line, "", body).await;
    let refused = send("DELETE /api/v1/tenants/acme?retention_days=0", "").await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert_eq!(refused.json()["errors"][0]["pointer"], "?retention_days");
    assert_eq!(send("DELETE /api/v1/tenants/acme?retention_days=1", "").await.status, 200);
    let purge = send("POST /api/v1/tenants/acme/purge", r#"{"confirm": "acme"}"#).await;
    assert_eq!(purge.status, 403, "{}", purge.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_can_be_changed_by_who_may_change_nothing_else() {
    let server = Server::with_acme().await;
    let (_, token) = server.operator_with(ADA, json!(["support"]), json!(["settings:write"])).await;
    let patch = async |path: &str, body: &str| {
        server.send_as(&token, &format!("PATCH /api/v1/tenants/acme{path}"), "", body).await
    };
    assert_eq!(patch("", r#"{"settings": {"time_zone": "UTC"}}"#).await.status, 403);
    let changed = patch("/settings", r#"{"time_zone": "Europe/Berlin"}"#).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.json()["settings"], json!({"time_zone": "Europe/Berlin"}));
    assert_eq!(changed.json()["name"], "Acme");
    let wrong = patch("/settings", r#"{"time_zone": "Mars"}"#).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.json()["errors"][0]["pointer"], "/time_zone");
    assert_eq!(patch("/settings", r#"{"time_zone": null}"#).await.json()["settings"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_not_invited_again() {
    let server = Server::with_acme().await;
    let member = r#"{"email": "bob@acme.example", "role": "viewer"}"#;
    let added = server.send("POST /api/v1/tenants/acme/members", "", member).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let refused = server.send("POST /api/v1/tenants/acme/invitations", "", member).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(refused.json()["type"], "urn:tenantry:problem:member-already");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_hold_nothing_that_cannot_be_seen() {
    let server = Server::with_acme().await;
    for hidden in ['\u{202E}', '\u{200B}', '\u{FEFF}', '\u{2066}', '\u{7}'] {
        let body = json!({ "name": format!("Ac{hidden}me") }).to_string();
        let refused = server.send("PATCH /api/v1/tenants/acme", "", &body).await;
        assert_eq!(refused.status, 422, "{hidden:?}");
    }
    let body = json!({"name": "Ácme 株式会社"}).to_string();
    assert_eq!(server.send("PATCH /api/v1/tenants/acme", "", &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_away_by_who_could_have_given_it() {
    let server = Server::with_acme().await;
    let of = async |grant: serde_json::Value| {
        let mut body = json!({"name": "t"});
        body.as_object_mut().unwrap().extend(grant.as_object().unwrap().clone());
        server.send("POST /api/v1/tenants/acme/tokens", "", &body.to_string()).await.json()
    };
    let (admin, other) = (of(json!({"role": "admin"})).await, of(json!({"role": "viewer"})).await);
    let grant = json!({"scopes": ["tenants:read", "members:read", "members:write"]});
    let helper = server.tenant_token("acme", grant).await;
    let revoke = async |token: &serde_json::Value| {
        let line = format!("DELETE /api/v1/tenants/acme/tokens/{}", token["id"].as_str().unwrap());
        server.send_as(&helper, &line, "", "").await.status
    };
    assert_eq!(revoke(&admin).await, 403);
    assert_eq!(revoke(&other).await, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_purged_whose_people_were_invited_again() {
    let server = Server::with_acme().await;
    let send = async |line: &str, body: &str| server.send(line, "", body).await;
    let bob = r#"{"email": "bob@acme.example", "role": "viewer"}"#;
    for _ in 0..3 {
        let invited = send("POST /api/v1/tenants/acme/invitations", bob).await.json();
        let line =
            format!("DELETE /api/v1/tenants/acme/invitations/{}", invited["id"].as_str().unwrap());
        assert_eq!(send(&line, "").await.status, 204);
    }
    assert_eq!(send("POST /api/v1/tenants/acme/invitations", bob).await.status, 201);
    assert_eq!(send("DELETE /api/v1/tenants/acme", "").await.status, 200);
    let purged = send("POST /api/v1/tenants/acme/purge", r#"{"confirm": "acme"}"#).await;
    assert_eq!(purged.status, 200, "{}", purged.body);
    assert_eq!(purged.json()["removed"]["invitation"], 4, "{}", purged.body);
    server.create_tenant("globex", &["acme.example.com"]).await;
}
