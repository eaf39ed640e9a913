//! What routes demand and where they lead.

use serde_json::{Value, json};
use tenantry_model::ResourceKind;

use super::{super::*, platform::*};

/// The platform with some routes of these names.
fn with_routes(routes: Value) -> Table {
    routes.as_object().unwrap().iter().fold(platform(), |table, (id, route)| {
        let mut route = route.clone();
        route["id"] = json!(id);
        put(&table, ResourceKind::Route, &route)
    })
}

fn upstream(table: &Table, id: &str, region: Option<&str>) -> Table {
    let json = json!({"id": id, "endpoints": [{"address": "127.0.0.1:9000"}], "region": region});
    put(table, ResourceKind::Upstream, &json)
}

fn upstream_of(decision: &Decision) -> &str {
    match decision {
        Decision::Forward(forward) => forward.upstream.spec().id.as_str(),
        Decision::Redirect(redirection) => &redirection.location,
        Decision::Deny(denial) => denial.reason.as_str(),
    }
}

#[test]
fn headers_choose_a_route() {
    let table = with_routes(json!({
        "v2": {"match": {"path_prefix": "/", "headers": [{"name": "X-Version", "value": "2"}]}, "upstream": "main"},
    }));
    let request = || get("acme.example", "/x").key("acme-1");
    request().check(&table, "acme all");
    request().header("x-version", "2").check(&table, "acme v2");
    request().header("x-version", "1").check(&table, "acme all");
}

#[test]
fn an_exempt_route_asks_nobody() {
    let table = with_routes(json!({
        "health": {"match": {"path": "/healthz"}, "tenancy": "exempt", "upstream": "main", "request_body_bytes": 10},
        "login": {"match": {"path_prefix": "/login"}, "tenancy": "exempt", "redirect": {"host": "id.example", "path": "/"}},
        "admin": {"match": {"path_prefix": "/login/admin"}, "auth": "jwt", "upstream": "main"},
        "own": {"tenant": tenant_id("acme"), "match": {"path_prefix": "/"}, "upstream": "main"},
    }));
    let table = put(&table, ResourceKind::Tenant, &tenant("beta", &json!({"state": "suspended"})));
    get("nobody.example", "/healthz").check(&table, "- health");
    get("127.0.0.1", "/healthz").check(&table, "- health");
    // Whatever the tenant's state, routes and credentials.
    get("beta.example", "/healthz").check(&table, "- health");
    get("acme.example", "/healthz").check(&table, "- health");
    get("acme.example", "/healthz").key("never-issued").check(&table, "- health");
    get("acme.example", "/healthz").bearer("nonsense").key("beta-1").check(&table, "- health");
    get("acme.example", "/login/x").check(&table, "- login 302 //id.example/");
    // A longer shared route that is not exempt takes its requests back.
    get("beta.example", "/login/admin").check(&table, "credential-missing");
    get("nobody.example", "/login/admin").check(&table, "unknown-host");
    get("nobody.example", "/healthz/").check(&table, "unknown-host");
    get("nobody.example", "/").check(&table, "unknown-host");
    // The guard, the TLS name and the route's own limit hold for everybody.
    get("nobody.example", "/x/../healthz").check(&table, "bad-request");
    let sni = Some("acme.example".to_owned());
    Request { sni, ..get("beta.example", "/healthz") }.check(&table, "misdirected");
    get("x.y", "/healthz").header("content-length", "10").check(&table, "- health");
    get("x.y", "/healthz").header("content-length", "11").check(&table, "body-too-large");
    let Decision::Forward(forward) = get("acme.example", "/healthz").key("acme-1").decide(&table)
    else {
        panic!()
    };
    assert!(forward.admission.is_none() && forward.limits().next().is_none());
    let (decision, explanation) = get("x.y", "/healthz").explain(&table);
    assert_eq!(outcome(&decision), "- health");
    let told = format!("{explanation:?}");
    assert!(told.contains("health (exempt from tenancy)"), "{told}");
}

#[test]
fn claims_of_the_token() {
    let table = with_routes(json!({
        "all": {"require_claims": {"role": ["admin", "owner"], "https://x/team": ["core"]}, "upstream": "main"},
    }));
    let with = |changes: Value| get("acme.example", "/").bearer(&token(&claims("acme", &changes)));
    with(json!({"role": "owner", "https://x/team": "core"})).check(&table, "acme all");
    with(json!({"role": ["x", "admin"], "https://x/team": ["core"]})).check(&table, "acme all");
    for wrong in [
        json!({}),
        json!({"role": "admin"}),
        json!({"role": "ADMIN", "https://x/team": "core"}),
        json!({"role": "admin owner", "https://x/team": "core"}),
        json!({"role": {"admin": true}, "https://x/team": "core"}),
        json!({"role": true, "https://x/team": "core"}),
        json!({"role": [["admin"]], "https://x/team": "core"}),
    ] {
        with(wrong).check(&table, "scope-missing");
    }
    get("acme.example", "/").key("acme-1").check(&table, "scope-missing");
    // A key beside the token changes nothing, and a remembered token says what it said.
    for _ in 0..2 {
        let both = with(json!({"role": "admin", "https://x/team": "core"})).key("acme-1");
        both.check(&table, "acme all");
    }
}

#[test]
fn the_smaller_body_limit_counts() {
    let table = with_routes(json!({
        "upload": {"match": {"path_prefix": "/upload"}, "request_body_bytes": 100, "upstream": "main"},
        "notes": {"match": {"path_prefix": "/notes"}, "request_body_bytes": 5, "upstream": "main"},
    }));
    let limited = tenant("acme", &json!({"limits": {"request_body_bytes": 10}}));
    let table = put(&table, ResourceKind::Tenant, &limited);
    let send = |host: &str, key: &str, path: &str, length: &str, expected: &str| {
        let request = get(host, path).key(key).header("content-length", length);
        request.check(&table, expected);
    };
    send("acme.example", "acme-1", "/upload", "10", "acme upload");
    send("acme.example", "acme-1", "/upload", "11", "body-too-large");
    send("acme.example", "acme-1", "/notes", "6", "body-too-large");
    send("beta.example", "beta-1", "/upload", "100", "beta upload");
    send("beta.example", "beta-1", "/upload", "101", "body-too-large");
    send("beta.example", "beta-1", "/other", "1000000", "beta all");
}

#[test]
fn paths_are_rewritten_as_the_upstream_reads_them() {
    let table = with_routes(json!({
        "api": {"match": {"path_prefix": "/api"}, "rewrite": {"path_prefix": "/v2"}, "upstream": "main"},
        "exact": {"match": {"path": "/old"}, "rewrite": {"path_prefix": "/new"}, "upstream": "main"},
    }));
    let path = |path: &str| match get("acme.example", path).key("acme-1").decide(&table) {
        Decision::Forward(forward) => forward.path,
        other => panic!("{other:?}"),
    };
    assert_eq!(path("/api/x%20y/%7ez").as_deref(), Some("/v2/x%20y/~z"));
    assert_eq!(path("/%61pi").as_deref(), Some("/v2"));
    assert_eq!(path("/api;x/y").as_deref(), Some("/v2/y"));
    assert_eq!(path("/old").as_deref(), Some("/new"));
    assert_eq!(path("/old/x"), None);
}

#[test]
fn redirects_lead_where_the_operator_said() {
    let route = |redirect: Value| json!({"match": {"path_prefix": "/old"}, "redirect": redirect});
    for (redirect, path, expected) in [
        (json!({"status": 301, "path": "/new"}), "/old/x", "301 /new"),
        (json!({"path_prefix": "/new"}), "/old/x/", "302 /new/x/"),
        (json!({"path_prefix": "/"}), "/old", "302 /"),
        (json!({"path_prefix": "/"}), "/old/evil.example", "302 /evil.example"),
        (json!({"scheme": "https"}), "/old/%7Ex", "302 https://acme.example/old/~x"),
        (json!({"status": 307, "port": 8443}), "/old", "307 //acme.example:8443/old"),
        (
            json!({"status": 308, "scheme": "http", "host": "www.new.example", "port": 81, "path_prefix": "/n"}),
            "/old/x",
            "308 http://www.new.example:81/n/x",
        ),
    ] {
        let table = with_routes(json!({"old": route(redirect)}));
        let request = get("ACME.example.:8080", path).key("acme-1");
        request.check(&table, &format!("acme old {expected}"));
        // It is a route as any other: who may not use it is not told where it leads.
        get("acme.example", path).check(&table, "credential-missing");
    }
    let table = with_routes(json!({"old": route(json!({"path": "/new"}))}));
    get("acme.example", "/old//evil.example").key("acme-1").check(&table, "bad-request");
    get("acme.example", "/old/%2F/evil.example").key("acme-1").check(&table, "bad-request");
}

#[test]
fn a_redirect_is_charged_like_any_request() {
    let table = with_routes(json!({"all": {"redirect": {"path": "/new"}}}));
    let limit = json!({"name": "a", "quota": 1, "window_seconds": 60});
    let table = put(
        &table,
        ResourceKind::Tenant,
        &tenant("acme", &json!({"limits": {"requests": [limit]}})),
    );
    get("acme.example", "/").key("acme-1").check(&table, "acme all 302 /new");
    get("acme.example", "/").key("acme-1").check(&table, "rate-limited");
}

/// Many tenants of one region, by host.
fn tenants(table: Table, count: u128, region: Option<&str>) -> Table {
    (0..count).fold(table, |table, number| {
        let id = tenantry_model::TenantId::from_parts(2, number);
        let json = json!({
            "id": id, "slug": format!("t{number}"), "state": "active", "plan": "pro", "auth": "none", "region": region,
        });
        let table = put(&table, ResourceKind::Tenant, &json);
        let domain = json!({"host": format!("t{number}.example"), "tenant": id});
        put(&table, ResourceKind::Domain, &domain)
    })
}

fn upstreams_taken(table: &Table, count: u128) -> std::collections::BTreeMap<String, u32> {
    let mut taken = std::collections::BTreeMap::new();
    for number in 0..count {
        let host = format!("t{number}.example");
        let decision = get(&host, "/").decide(table);
        *taken.entry(upstream_of(&decision).to_owned()).or_default() += 1;
        assert_eq!(upstream_of(&get(&host, "/other").decide(table)), upstream_of(&decision));
    }
    taken
}

fn names(taken: &std::collections::BTreeMap<String, u32>) -> Vec<&str> {
    taken.keys().map(String::as_str).collect()
}

#[test]
fn a_tenants_region_is_never_left() {
    let split = |upstreams: &[&str]| {
        let split: Vec<_> =
            upstreams.iter().map(|id| json!({"upstream": id, "weight": 1})).collect();
        json!({"id": "all", "upstreams": split})
    };
    let table = tenants(platform(), 60, Some("eu"));
    let table = upstream(&table, "eu-1", Some("eu"));
    let table = upstream(&table, "eu-2", Some("eu"));
    let table = upstream(&table, "us-1", Some("us"));
    let routed = |upstreams: &[&str]| put(&table, ResourceKind::Route, &split(upstreams));
    // Those of the region, before those of none, and never those of another.
    let taken = upstreams_taken(&routed(&["eu-1", "eu-2", "us-1", "main"]), 60);
    assert_eq!(names(&taken), ["eu-1", "eu-2"]);
    let taken = upstreams_taken(&routed(&["us-1", "main"]), 60);
    assert_eq!(names(&taken), ["main"]);
    let taken = upstreams_taken(&routed(&["us-1"]), 60);
    assert_eq!(names(&taken), ["upstream-unavailable"]);
    // An upstream that is gone leaves its tenants to the others that may serve them.
    let taken = upstreams_taken(&routed(&["eu-1", "gone", "us-1"]), 60);
    assert_eq!(names(&taken), ["eu-1"]);
    // The same holds for a route with one upstream.
    let one = put(&table, ResourceKind::Route, &json!({"id": "all", "upstream": "us-1"}));
    assert_eq!(names(&upstreams_taken(&one, 60)), ["upstream-unavailable"]);
    let (_, explanation) = get("t1.example", "/").explain(&one);
    let told = format!("{explanation:?}");
    assert!(told.contains("no upstream of all may serve region eu"), "{told}");
    // Who has no region is served anywhere.
    let free = tenants(routed(&["eu-1", "us-1", "main"]), 60, None);
    assert_eq!(names(&upstreams_taken(&free, 60)), ["eu-1", "main", "us-1"]);
    // An upstream that moves takes none of its former region with it.
    let moved = upstream(&upstream(&one, "us-1", Some("eu")), "eu-1", Some("us"));
    assert_eq!(names(&upstreams_taken(&moved, 60)), ["us-1"]);
}
