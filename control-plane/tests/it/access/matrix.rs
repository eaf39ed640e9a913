//! Every role, every operation, one's own tenant, another and none.
//!
//! What is expected is computed from the declarations and the roles, not written down. Requests that
//! pass the guard are made to fail behind it, so that nothing changes while the matrix is walked: they
//! have a body that is no JSON, name what does not exist, or are conditional on a revision long gone.

use serde_json::{Value, json};
use tenantry_control_plane::{openapi::Need, router};
use tenantry_model::{OperatorRole, Permissions, TenantRole};

use crate::server::{Answer, Server};

/// Who asks, and what that one may do.
struct Who {
    name: String,
    token: String,
    permissions: Permissions,
    is_confined: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Unauthorized,
    Forbidden,
    NoSuchTenant,
    Passed,
}

fn outcome(answer: &Answer, tenant: &str) -> Outcome {
    let none = format!("there is no tenant {tenant}");
    let is_none = || answer.json().get("detail").and_then(Value::as_str) == Some(&none);
    match answer.status {
        401 => Outcome::Unauthorized,
        403 => Outcome::Forbidden,
        404 if is_none() => Outcome::NoSuchTenant,
        status => {
            assert!(status < 500, "{}", answer.body);
            Outcome::Passed
        }
    }
}

fn expected(who: &Who, (method, path): (&str, &str), need: &Need, tenant: &str) -> Outcome {
    let Need::All(permissions) = need else { return Outcome::Passed };
    let is_of_a_tenant = path.starts_with("/api/v1/tenants/{tenant}");
    let is_own = (method, path) == ("get", "/api/v1/tenants") || permissions.is_empty();
    if is_of_a_tenant && who.is_confined && tenant != "acme" {
        // Of what is not one's own, nothing is said, whatever one may do.
        Outcome::NoSuchTenant
    } else if (is_own || is_of_a_tenant || !who.is_confined)
        && permissions.is_subset(&who.permissions)
    {
        Outcome::Passed
    } else {
        Outcome::Forbidden
    }
}

async fn everybody(server: &Server) -> Vec<Who> {
    let mut everybody = vec![Who {
        name: "root".to_owned(),
        token: server.running.root_token.expose().to_owned(),
        permissions: tenantry_model::Permission::everything(),
        is_confined: false,
    }];
    for role in OperatorRole::ALL {
        let (_, token) = server.operator(&format!("{role:?}@example.com"), json!([role])).await;
        let (name, permissions) = (format!("{role:?}"), role.permissions());
        everybody.push(Who { name, token, permissions, is_confined: false });
    }
    for role in TenantRole::ALL {
        let token = server.tenant_token("acme", json!({"role": role.as_str()})).await;
        let (name, permissions) = (format!("tenant {role:?}"), role.permissions());
        everybody.push(Who { name, token, permissions, is_confined: true });
    }
    let none = server.tenant_token("acme", json!({"scopes": []})).await;
    let name = "no scopes".to_owned();
    everybody.push(Who { name, token: none, permissions: [].into(), is_confined: true });
    everybody
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_every_operation_every_tenant() {
    let server = Server::with_acme().await;
    server.create_tenant("globex", &[]).await;
    let everybody = everybody(&server).await;
    let before = server.send("GET /api/v1/tenants", "", "").await.body;
    let (mut wrong, mut walked) = (Vec::new(), 0);
    let document = router::document();
    for (path, method, need) in document.needs().filter(|(path, ..)| path.starts_with("/api/")) {
        let tenants: &[&str] =
            if path.contains("{tenant}") { &["acme", "globex", "ghost"] } else { &["-"] };
        for tenant in tenants {
            let line = format!("{} {}", method.to_ascii_uppercase(), named(path, tenant));
            let ask =
                async |token: &str| server.send_as(token, &line, "If-Match: \"1\"\r\n", "x").await;
            for who in &everybody {
                let expected = expected(who, (method, path), need, tenant);
                let got = match outcome(&ask(&who.token).await, tenant) {
                    // That is for an operator to hear from the handler.
                    Outcome::NoSuchTenant if !who.is_confined => Outcome::Passed,
                    got => got,
                };
                if got != expected {
                    wrong.push(format!("{} {line}: {got:?}, not {expected:?}", who.name));
                }
                walked += 1;
            }
            let nobody = outcome(&ask("nobody").await, tenant);
            if *need != Need::Nothing && nobody != Outcome::Unauthorized {
                wrong.push(format!("nobody {line}: {nobody:?}"));
            }
        }
    }
    assert!(walked > 1000, "{walked}");
    assert!(wrong.is_empty(), "of {walked}:\n{}", wrong.join("\n"));
    assert_eq!(server.send("GET /api/v1/tenants", "", "").await.body, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_declared_cannot_be_reached() {
    let server = Server::with_acme().await;
    for (line, status) in [
        ("PUT /api/v1/tenants/acme/keys", 405),
        ("OPTIONS /api/v1/tenants", 405),
        ("POST /api/v1/me", 405),
        ("GET /api/v1/nothing", 404),
        ("HEAD /api/v1/tenants", 200),
    ] {
        assert_eq!(server.send(line, "", "").await.status, status, "{line}");
    }
    let answer = server.send("PUT /api/v1/tenants/acme/keys", "", "").await;
    assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
}

/// A path with names in it: of this tenant, and of nothing else that there is.
fn named(path: &str, tenant: &str) -> String {
    let segments = path.split('/').map(|segment| match segment {
        "{tenant}" => tenant,
        segment if segment.starts_with('{') => "none",
        segment => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn every_operation_says_what_it_needs() {
    let described: Value = serde_json::from_slice(&router::document().json()).unwrap();
    let paths = described["paths"].as_object().unwrap().values();
    let all: usize = paths.map(|methods| methods.as_object().unwrap().len()).sum();
    assert_eq!(router::document().needs().count(), all);
    let open: Vec<_> = router::document()
        .needs()
        .filter(|(path, _, need)| path.starts_with("/api/") && **need == Need::Nothing)
        .map(|(path, method, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(
        open,
        ["post /api/v1/invitations/accept", "get /api/v1/openapi.json", "post /api/v1/sessions"]
    );
}
