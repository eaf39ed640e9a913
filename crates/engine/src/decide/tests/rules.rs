//! The rules that the matrix leaves out, one by one.

use std::time::Duration;

use serde_json::json;
use tenantry_model::{IssuerId, ResourceKind};

use super::{super::*, platform::*};
use crate::Change;

#[test]
fn guard_comes_before_everything() {
    let table = platform();
    get("acme.example", "/a/../reports").key("acme-1").check(&table, "bad-request");
    get("acme.example", "/").header("host", "acme.example").check(&table, "bad-request");
    get("acme.example", "/").header("content-length", "1,1").check(&table, "bad-request");
    let Decision::Deny(denial) = get("acme.example", "//").decide(&table) else { panic!() };
    assert_eq!(denial.detail, Some("the path contains an empty segment"));
    assert!(denial.tenant.is_none());
}

#[test]
fn the_tls_name_must_be_of_the_same_tenant() {
    let table = platform();
    let with_sni =
        |sni: &str, host: &str| Request { sni: Some(sni.into()), ..get(host, "/").key("acme-1") };
    with_sni("acme.example", "acme.example").check(&table, "acme all");
    with_sni("WWW.acme.example", "acme.example").check(&table, "acme all");
    with_sni("beta.example", "acme.example").check(&table, "misdirected");
    with_sni("nobody.example", "acme.example").check(&table, "misdirected");
    with_sni("acme.example", "nobody.example").check(&table, "misdirected");
    with_sni("nobody.example", "nothing.example").check(&table, "acme all");
}

#[test]
fn a_client_certificate_must_be_verified_for_this_very_tenant() {
    let authorities = |name: &str| format!("-----BEGIN CERTIFICATE-----{name}");
    let changed = |table: &Table, slug: &str, name: &str| {
        let json = tenant(slug, &json!({"client_ca_pem": authorities(name)}));
        put(table, ResourceKind::Tenant, &json)
    };
    let table = changed(&platform(), "acme", "one");
    let over = |slug: &str, name: &str, request: Request| {
        let certificate = (tenant_id(slug), authorities(name).parse().unwrap());
        Request { client_certificate: Some(certificate), ..request }
    };
    let required = "client-certificate-required";
    let acme = || get("acme.example", "/").key("acme-1");
    acme().check(&table, required);
    over("acme", "one", acme()).check(&table, "acme all");
    over("acme", "two", acme()).check(&table, required);
    over("beta", "one", acme()).check(&table, required);
    // The same authorities at both tenants make no certificate good for both.
    let both = changed(&table, "beta", "one");
    over("acme", "one", get("beta.example", "/").key("beta-1")).check(&both, required);
    over("beta", "one", get("beta.example", "/").key("beta-1")).check(&both, "beta all");
    // However the tenant is named: a key alone, or a token alone, at a host of nobody.
    get("nobody.example", "/").key("acme-1").check(&table, required);
    get("nobody.example", "/").bearer(&token(&claims("acme", &json!({})))).check(&table, required);
    over("acme", "one", get("nobody.example", "/").key("acme-1")).check(&table, "acme all");
    // Credentials cannot be tried out without a certificate.
    get("acme.example", "/").key("acme-old").check(&table, required);
    get("acme.example", "/").check(&table, required);
    // A connection outlives neither a change of the authorities nor, without a certificate, their
    // being set; and what was verified for one tenant does no harm at another that does not ask.
    over("acme", "one", acme()).check(&changed(&table, "acme", "two"), required);
    over("acme", "one", get("beta.example", "/").key("beta-1")).check(&table, "beta all");
    let misdirected = Request { sni: Some("acme.example".into()), ..get("beta.example", "/") };
    over("acme", "one", misdirected.key("beta-1")).check(&table, "misdirected");
}

#[test]
fn a_route_may_ask_for_more_and_never_for_less() {
    let table = platform();
    let table = put(&table, ResourceKind::Tenant, &tenant("acme", &json!({"auth": "none"})));
    let route = |auth: &str| json!({"id": "all", "auth": auth, "upstream": "main"});
    let table = put(&table, ResourceKind::Route, &route("jwt"));
    get("acme.example", "/").check(&table, "credential-missing");
    get("acme.example", "/").key("acme-1").check(&table, "credential-missing");
    get("acme.example", "/").bearer(&token(&claims("acme", &json!({})))).check(&table, "acme all");
    let table = put(&table, ResourceKind::Route, &route("none"));
    get("acme.example", "/").check(&table, "acme all");
    get("beta.example", "/").check(&table, "credential-missing");
}

#[test]
fn features_by_kill_switch_tenant_plan_and_default() {
    let table = platform();
    let reports = |table: &Table, expected| {
        get("acme.example", "/reports/x").key("acme-1").check(table, expected);
    };
    reports(&table, "acme reports");
    // However the path is spelled, it is the same route.
    get("acme.example", "/%72eports").key("acme-1").check(&table, "acme reports");
    let off = put(
        &table,
        ResourceKind::Tenant,
        &tenant("acme", &json!({"features": {"reports": false}})),
    );
    reports(&off, "feature-disabled");
    for path in ["/reports;x", "/reports;x/2026", "/reports%3bx", "/reports/"] {
        get("acme.example", path).key("acme-1").check(&off, "feature-disabled");
    }
    for path in ["/x/..;/reports", "/x/%2e%2e%3b/reports", "/;x/reports"] {
        get("acme.example", path).key("acme-1").check(&off, "bad-request");
    }
    get("beta.example", "/reports").key("beta-1").check(&off, "beta reports");
    let plan = put(&table, ResourceKind::Plan, &json!({"id": "pro", "name": "Pro"}));
    reports(&plan, "feature-disabled");
    let on =
        put(&plan, ResourceKind::Tenant, &tenant("acme", &json!({"features": {"reports": true}})));
    reports(&on, "acme reports");
    let default = put(&plan, ResourceKind::Feature, &json!({"id": "reports", "default": true}));
    reports(&default, "acme reports");
    let killed = put(&on, ResourceKind::Feature, &json!({"id": "reports", "killed": true}));
    reports(&killed, "feature-disabled");
}

#[test]
fn features_are_listed_as_they_are_decided() {
    let table = put(
        &platform(),
        ResourceKind::Plan,
        &json!({"id": "pro", "name": "Pro", "features": ["a", "b", "c"]}),
    );
    let table = put(&table, ResourceKind::Feature, &json!({"id": "b", "killed": true}));
    let table = put(&table, ResourceKind::Feature, &json!({"id": "d", "default": true}));
    let table = put(
        &table,
        ResourceKind::Tenant,
        &tenant("acme", &json!({"features": {"c": false, "e": true}})),
    );
    let Decision::Forward(forward) = get("acme.example", "/").key("acme-1").decide(&table) else {
        panic!()
    };
    let admission = forward.admission.unwrap();
    assert_eq!(table.features_of(&admission.tenant, &admission.policy), "a,d,e");
}

#[test]
fn scopes_of_key_or_token() {
    let route = json!({"id": "all", "require_scopes": ["reports:read"], "upstream": "main"});
    let table = put(&platform(), ResourceKind::Route, &route);
    get("acme.example", "/").key("acme-1").check(&table, "acme all");
    get("beta.example", "/").key("beta-1").check(&table, "scope-missing");
    get("beta.example", "/")
        .bearer(&token(&claims("beta", &json!({}))))
        .check(&table, "scope-missing");
    let scoped = token(&claims("beta", &json!({"scope": "x reports:read"})));
    get("beta.example", "/").key("beta-1").bearer(&scoped).check(&table, "beta all");
}

#[test]
fn limits_of_plan_and_overrides() {
    let limit =
        |name: &str, quota: u32| json!({"name": name, "quota": quota, "window_seconds": 60});
    let plan =
        json!({"id": "pro", "name": "Pro", "limits": {"requests": [limit("a", 5), limit("b", 3)]}});
    let table = put(&platform(), ResourceKind::Plan, &plan);
    let table = put(
        &table,
        ResourceKind::Tenant,
        &tenant("acme", &json!({"limits": {"requests": [limit("b", 4), limit("c", 9)]}})),
    );
    let request = get("acme.example", "/").key("acme-1");
    for left in (0..4).rev() {
        let Decision::Forward(forward) = request.decide(&table) else { panic!("{left} left") };
        let levels: Vec<_> = forward
            .limits()
            .map(|l| (l.limit.spec().name().to_string(), l.level.remaining))
            .collect();
        assert_eq!(levels, [("a".into(), left + 1), ("b".into(), left), ("c".into(), left + 5)]);
    }
    let Decision::Deny(denial) = request.decide(&table) else { panic!() };
    assert_eq!(denial.reason, Reason::RateLimited);
    assert_eq!(denial.retry_after, Some(Duration::from_secs(15)));
    assert_eq!(denial.limits().count(), 3);
    // The other tenant has limits of its own.
    get("beta.example", "/").key("beta-1").check(&table, "beta all");
    // A raised limit takes effect at once and remembers the four that were spent.
    let raised = put(
        &table,
        ResourceKind::Tenant,
        &tenant("acme", &json!({"limits": {"requests": [limit("b", 100)]}})),
    );
    let Decision::Forward(forward) = request.decide(&raised) else { panic!() };
    let remaining: Vec<_> = forward.limits().map(|level| level.level.remaining).collect();
    assert_eq!(remaining, [0, 95]);
}

#[test]
fn what_is_refused_or_explained_is_not_charged() {
    let limits = json!({"requests": [{"name": "a", "quota": 1, "window_seconds": 60}]});
    let table = put(
        &platform(),
        ResourceKind::Plan,
        &json!({"id": "pro", "name": "Pro", "limits": limits}),
    );
    for _ in 0..5 {
        get("acme.example", "/").check(&table, "credential-missing");
        get("acme.example", "/").key("beta-1").check(&table, "tenant-mismatch");
        get("acme.example", "/reports").key("acme-1").check(&table, "feature-disabled");
        let (decision, explanation) = get("acme.example", "/").key("acme-1").explain(&table);
        assert_eq!(outcome(&decision), "acme all");
        assert!(
            explanation.0.iter().any(|step| step.detail.contains("limit a: 0 of 1 left")),
            "{explanation:?}"
        );
    }
    get("acme.example", "/").key("acme-1").check(&table, "acme all");
    get("acme.example", "/").key("acme-1").check(&table, "rate-limited");
}

#[test]
fn requests_in_progress_and_bodies() {
    let limits = json!({"concurrent_requests": 2, "request_body_bytes": 10});
    let table = put(
        &platform(),
        ResourceKind::Plan,
        &json!({"id": "pro", "name": "Pro", "limits": limits}),
    );
    let request = || get("acme.example", "/").key("acme-1");
    let first = request().decide(&table);
    let second = request().decide(&table);
    assert_eq!((outcome(&first), outcome(&second)), ("acme all".into(), "acme all".into()));
    request().check(&table, "too-many-concurrent");
    // A new table does not forget what is in progress.
    let table =
        put(&table, ResourceKind::Tenant, &tenant("acme", &json!({"features": {"x": true}})));
    request().check(&table, "too-many-concurrent");
    drop(first);
    request().check(&table, "acme all");
    request().header("content-length", "10").check(&table, "acme all");
    request().header("content-length", "11").check(&table, "body-too-large");
}

#[test]
fn an_upstream_or_plan_that_is_not_known() {
    let table = put(&platform(), ResourceKind::Route, &json!({"id": "all", "upstream": "gone"}));
    get("acme.example", "/").key("acme-1").check(&table, "upstream-unavailable");
    let table = put(&platform(), ResourceKind::Tenant, &tenant("acme", &json!({"plan": "gone"})));
    get("acme.example", "/").key("acme-1").check(&table, "tenant-inactive");
}

#[test]
fn a_tenants_own_routes_come_first() {
    let own = json!({"id": "own", "tenant": tenant_id("acme"), "match": {"path_prefix": "/own"}, "upstream": "main"});
    let table = put(&platform(), ResourceKind::Route, &own);
    get("acme.example", "/own/x").key("acme-1").check(&table, "acme own");
    get("acme.example", "/").key("acme-1").check(&table, "acme all");
    get("beta.example", "/own/x").key("beta-1").check(&table, "beta all");
    // Replacing the tenant keeps its routes; giving the route away takes it.
    let table = put(&table, ResourceKind::Tenant, &tenant("acme", &json!({"auth": "any"})));
    get("acme.example", "/own/x").key("acme-1").check(&table, "acme own");
    let given = json!({"id": "own", "tenant": tenant_id("beta"), "match": {"path_prefix": "/own"}, "upstream": "main"});
    let table = put(&table, ResourceKind::Route, &given);
    get("acme.example", "/own/x").key("acme-1").check(&table, "acme all");
    get("beta.example", "/own/x").key("beta-1").check(&table, "beta own");
}

#[test]
fn a_token_is_forgotten_with_its_issuer_and_expires_on_time() {
    let table = platform();
    let request = get("acme.example", "/").bearer(&token(&claims("acme", &json!({}))));
    request.check(&table, "acme all");
    request.check(&table, "acme all");
    let at = |seconds: u64| Now {
        unix: tenantry_model::Timestamp::from_unix_ms(seconds * 1000),
        ..now()
    };
    assert_eq!(outcome(&request.decide_at(&table, at(NOW_SECONDS + 359))), "acme all");
    assert_eq!(outcome(&request.decide_at(&table, at(NOW_SECONDS + 360))), "credential-expired");
    request.check(&table, "acme all");
    // Other keys under the same name: the remembered token does not outlive the key it was signed with.
    let mut rotated = shared_issuer();
    rotated["jwks"] = json!({"keys": [signing_key(2).jwk("k2")]});
    request.check(&put(&table, ResourceKind::Issuer, &rotated), "credential-invalid");
    let removed = table
        .apply([Change::Delete(resource(ResourceKind::Issuer, &shared_issuer()).reference())])
        .table;
    request.check(&removed, "credential-invalid");
}

#[test]
fn an_issuer_of_one_tenant_speaks_for_no_other() {
    let mut own = shared_issuer();
    own["tenant"] = json!(tenant_id("acme"));
    let table = put(&platform(), ResourceKind::Issuer, &own);
    get("acme.example", "/").bearer(&token(&claims("acme", &json!({})))).check(&table, "acme all");
    get("beta.example", "/")
        .bearer(&token(&claims("acme", &json!({}))))
        .check(&table, "tenant-mismatch");
    get("beta.example", "/")
        .bearer(&token(&claims("beta", &json!({}))))
        .check(&table, "credential-invalid");
    get("nobody.example", "/")
        .bearer(&token(&claims("beta", &json!({}))))
        .check(&table, "credential-invalid");
}

#[test]
fn one_name_trusted_by_two_tenants() {
    let own = |tenant: &str, id: u128| {
        let mut json = shared_issuer();
        json["id"] = json!(IssuerId::from_parts(1, id));
        json["tenant"] = json!(tenant_id(tenant));
        json["tenant_claim"] = json!(null);
        json
    };
    let table = put(
        &put(&platform(), ResourceKind::Issuer, &own("acme", 1)),
        ResourceKind::Issuer,
        &own("beta", 2),
    );
    let token = token(&claims("x", &json!({})));
    // The host says which; alternating, so that what is remembered for one is not used for the other.
    for _ in 0..2 {
        get("acme.example", "/").bearer(&token).check(&table, "acme all");
        // Nobody says which, and it must not be who came last.
        get("nobody.example", "/").bearer(&token).check(&table, "credential-invalid");
        get("beta.example", "/").bearer(&token).check(&table, "beta all");
        get("nobody.example", "/").bearer(&token).check(&table, "credential-invalid");
        // An API key says which as well as a host does.
        get("nobody.example", "/").key("acme-1").bearer(&token).check(&table, "acme all");
        get("nobody.example", "/").key("beta-1").bearer(&token).check(&table, "beta all");
    }
}

#[test]
fn keys_that_arrive_later_are_asked_for() {
    let mut remote = shared_issuer();
    remote["jwks"] = json!(null);
    remote["jwks_url"] = json!("https://id.example/jwks");
    let table = put(&platform(), ResourceKind::Issuer, &remote);
    let request = get("acme.example", "/").bearer(&token(&claims("acme", &json!({}))));
    let Decision::Deny(denial) = request.decide(&table) else { panic!() };
    assert_eq!(denial.reason, Reason::CredentialInvalid);
    let issuer = denial.keys_wanted.unwrap();
    let (url, listed) = table.issuers_to_fetch().next().unwrap();
    assert!(url == "https://id.example/jwks" && Arc::ptr_eq(listed, &issuer));
    issuer.install(&json!({"keys": [signing_key(1).jwk("k1")]})).unwrap();
    request.check(&table, "acme all");
    // A broken document changes nothing; new keys make the remembered token be checked again.
    assert!(issuer.install(&json!({"keys": []})).is_err());
    request.check(&table, "acme all");
    issuer.install(&json!({"keys": [signing_key(2).jwk("k2")]})).unwrap();
    request.check(&table, "credential-invalid");
}

#[test]
fn ours_is_kept_from_the_upstream_and_foreign_is_not() {
    let table = put(&platform(), ResourceKind::Tenant, &tenant("acme", &json!({"auth": "none"})));
    let ours = |request: Request| match request.decide(&table) {
        Decision::Forward(forward) => {
            let identity = forward.identity().unwrap();
            (identity.api_key_is_ours, identity.authorization_is_ours)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(ours(get("acme.example", "/")), (false, false));
    assert_eq!(ours(get("acme.example", "/").key("acme-1")), (true, false));
    assert_eq!(ours(get("acme.example", "/").bearer(&secret("acme-1"))), (false, true));
    assert_eq!(
        ours(get("acme.example", "/").bearer("opaque").header("x-api-key", "mine")),
        (false, false)
    );
}
