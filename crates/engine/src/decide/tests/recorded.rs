//! Requests that are decided again from what was recorded of them.

use serde_json::json;
use tenantry_model::ResourceKind;

use super::platform::*;
use crate::decide::*;

/// What a log has of a request that was let in.
fn recorded(decision: &Decision) -> Option<Recorded> {
    let Decision::Forward(Forward { admission: Some(admission), .. }) = decision else {
        return None;
    };
    let token = admission.identity.token.as_ref();
    Some(Recorded {
        tenant: Some(admission.tenant.id()),
        key: admission.identity.key.as_ref().map(|key| key.id),
        has_token: token.is_some_and(|token| token.subject().is_some()),
        is_proven: false,
    })
}

fn again(request: &Request, recorded: &Recorded, table: &Table) -> String {
    outcome(&request.with_facts(|facts| redecide(table, facts, recorded, now(), &mut ())))
}

#[test]
fn without_its_credentials_a_request_is_decided_as_with_them() {
    let table = platform();
    let token = token(&claims("acme", &json!({})));
    let mut decided = 0;
    for host in ["acme.example", "www.acme.example", "beta.example", "nobody.example"] {
        for path in ["/", "/reports/1", "/%72eports"] {
            for credential in ["", "acme-1", "beta-1", "token"] {
                let bare = || get(host, path);
                let whole = match credential {
                    "" => bare(),
                    "token" => bare().bearer(&token),
                    key => bare().key(key),
                };
                let live = whole.decide(&table);
                let Some(recorded) = recorded(&live) else { continue };
                let what = format!("{host}{path} with {credential:?}");
                assert_eq!(again(&bare(), &recorded, &table), outcome(&live), "{what}");
                decided += 1;
            }
        }
    }
    assert!(decided >= 12, "{decided} were let in");
}

#[test]
fn what_has_changed_since_decides_otherwise() {
    let (table, request) = (platform(), get("acme.example", "/reports"));
    let key = get("acme.example", "/reports").key("acme-1").decide(&table);
    let key = recorded(&key).unwrap();
    let check = |recorded: &Recorded, kind, json, expected: &str| {
        let changed = put(&table, kind, &json);
        assert_eq!(again(&request, recorded, &changed), expected, "{json}");
    };
    check(
        &key,
        ResourceKind::Tenant,
        tenant("acme", &json!({"state": "suspended"})),
        "tenant-suspended",
    );
    check(
        &key,
        ResourceKind::Tenant,
        tenant("acme", &json!({"auth": "jwt"})),
        "credential-missing",
    );
    check(
        &key,
        ResourceKind::Tenant,
        tenant("acme", &json!({"features": {"reports": false}})),
        "feature-disabled",
    );
    let denied = json!({"access": {"mode": "public", "deny": ["192.0.2.0/24"]}});
    check(&key, ResourceKind::Tenant, tenant("acme", &denied), "ip-denied");
    let off = super::platform::key("acme-1", "acme", &json!({"enabled": false}));
    check(&key, ResourceKind::ApiKey, off, "credential-invalid");
    let domain = json!({"host": "acme.example", "tenant": tenant_id("beta")});
    check(&key, ResourceKind::Domain, domain, "tenant-mismatch");
    // A token satisfies what asks for one, and has no scopes that anybody knows of.
    let token = Recorded { key: None, has_token: true, ..key };
    check(&token, ResourceKind::Tenant, tenant("acme", &json!({"auth": "jwt"})), "acme reports");
    check(
        &token,
        ResourceKind::Tenant,
        tenant("acme", &json!({"auth": "api_key"})),
        "credential-missing",
    );
    let demanding = json!({"id": "reports", "match": {"path_prefix": "/reports"},
        "require_scopes": ["reports:read"], "upstream": "main"});
    check(&token, ResourceKind::Route, demanding.clone(), "scope-missing");
    check(&key, ResourceKind::Route, demanding, "acme reports");
    // Of what was refused later it is known that its credentials were good.
    let proven = Recorded { key: None, is_proven: true, ..key };
    check(
        &proven,
        ResourceKind::Tenant,
        tenant("acme", &json!({"auth": "api_key"})),
        "acme reports",
    );
    assert_eq!(again(&request, &Recorded::default(), &table), "credential-missing");
}
