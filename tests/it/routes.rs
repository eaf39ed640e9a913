//! What routes do to requests and answers, with an origin that tells what reached it.

use serde_json::{Value, json};
use tenantry_api::CreateIssuer;
use tenantry_credentials::signing::SigningKey;
use tenantry_model::{Route, Upstream};
use tenantry_test_support::{Origin, Platform, json as body};

async fn route(platform: &Platform, id: &str, mut route: Value) {
    route["id"] = id.into();
    let created = platform.api().routes().create(&body::<Route>(route)).await.unwrap();
    platform.enforced(created.revision).await;
}

async fn upstream(platform: &Platform, id: &str, origin: &Origin, region: Option<&str>) {
    let upstream: Upstream =
        body(json!({"id": id, "endpoints": [{"address": origin.address()}], "region": region}));
    platform.enforced(platform.api().upstreams().create(&upstream).await.unwrap().revision).await;
}

async fn patch(platform: &Platform, id: &str, patch: Value) {
    let patched = platform.api().routes().patch(id, &patch, None).await.unwrap();
    platform.enforced(patched.revision).await;
}

/// A platform with the tenant `open`, which asks for no credential.
async fn open() -> Platform {
    let platform = Platform::start().await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform
}

#[tokio::test]
async fn exact_paths_and_headers_choose_a_route() {
    let platform = open().await;
    let tell = |name: &str| json!({"set": {"x-route": name}});
    for (id, matches) in [
        ("prefix", json!({"path_prefix": "/a"})),
        ("exact", json!({"path": "/a"})),
        ("v2", json!({"path_prefix": "/a", "headers": [{"name": "X-Version", "value": "2"}]})),
        ("post", json!({"path_prefix": "/a", "methods": ["POST"]})),
    ] {
        let json = json!({"match": matches, "upstream": "main", "request_headers": tell(id)});
        route(&platform, id, json).await;
    }
    let taken = async |request: tenantry_test_support::Request| {
        let echo = request.echo().await;
        echo.headers.get("x-route").cloned().unwrap_or_default()
    };
    let get = |path: &str| platform.get("open.example", path);
    assert_eq!(taken(get("/a")).await, "exact");
    assert_eq!(taken(get("/a/")).await, "prefix");
    assert_eq!(taken(get("/a/b")).await, "prefix");
    assert_eq!(taken(get("/ab")).await, "");
    assert_eq!(taken(get("/a/b").header("x-version", "2")).await, "v2");
    assert_eq!(taken(get("/a/b").header("x-version", "3")).await, "prefix");
    // An exact path comes before a header, and a client cannot say which route it took.
    assert_eq!(taken(get("/a").header("x-version", "2")).await, "exact");
    assert_eq!(taken(get("/a/b").header("x-route", "mine")).await, "prefix");
    let post = platform.request(http::Method::POST, "open.example", "/a/b");
    assert_eq!(taken(post.header("x-version", "2")).await, "post");
}

#[tokio::test]
async fn paths_and_hosts_are_rewritten() {
    let platform = open().await;
    let rewrite = json!({"path_prefix": "/v2", "host": "api.internal"});
    let matches = json!({"path_prefix": "/api"});
    let json = json!({"match": matches, "rewrite": rewrite, "upstream": "main"});
    route(&platform, "api", json).await;
    let json = json!({"match": {"path_prefix": "/strip"}, "rewrite": {"path_prefix": "/"}, "upstream": "main"});
    route(&platform, "strip", json).await;
    let target = async |path: &str| platform.get("open.example", path).echo().await.target;
    assert_eq!(target("/api").await, "/v2");
    assert_eq!(target("/api/").await, "/v2/");
    assert_eq!(target("/api/x%20y?a=/api&b=%72").await, "/v2/x%20y?a=/api&b=%72");
    assert_eq!(target("/%61pi/x?").await, "/v2/x?");
    assert_eq!(target("/apix").await, "/apix");
    assert_eq!(target("/strip").await, "/");
    assert_eq!(target("/strip?q").await, "/?q");
    assert_eq!(target("/strip/a/b/").await, "/a/b/");
    let echo = platform.get("open.example", "/api/x").echo().await;
    assert_eq!(echo.headers["host"], "api.internal");
    assert_eq!(echo.headers["x-forwarded-host"], "open.example");
    assert_eq!(echo.headers["x-tenant-slug"], "open");
    // What the guard refuses is refused before anything is replaced.
    assert_eq!(platform.get("open.example", "/strip//evil").status().await, 400);
}

#[tokio::test]
async fn headers_are_edited_and_the_gateways_own_are_not() {
    let platform = open().await;
    let edits = json!({
        "match": {"path_prefix": "/edited"}, "upstream": "main",
        "request_headers": {"set": {"x-env": "prod"}, "add": {"accept-language": "de"}, "remove": ["x-debug", "cookie"]},
        "response_headers": {"set": {"cache-control": "no-store"}, "add": {"x-served-by": "edge"}, "remove": ["content-type"]},
    });
    route(&platform, "edited", edits).await;
    let answer = platform
        .get("open.example", "/edited")
        .header("x-env", "spoofed")
        .header("x-debug", "1")
        .header("cookie", "a=b")
        .header("accept-language", "en")
        .send()
        .await;
    let echo: tenantry_test_support::Echo = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(echo.headers["x-env"], "prod");
    assert_eq!(echo.headers["accept-language"], "en, de");
    assert!(!echo.headers.contains_key("x-debug") && !echo.headers.contains_key("cookie"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-served-by"), "edge");
    assert_eq!(answer.header("content-type"), "");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let plain = platform.get("open.example", "/").send().await;
    assert_eq!(
        (plain.header("content-type"), plain.header("x-served-by")),
        ("application/json", "")
    );
    // No spelling of a reserved header gets past the API.
    for name in ["X-Tenant-Id", "x_tenant_id", "X-Forwarded-For", "Content-Length", "Host"] {
        for (field, edit) in [("request_headers", "add"), ("response_headers", "set")] {
            let smuggling = json!({field: {edit: {name: "ten_evil"}}});
            let refused = platform.api().routes().patch("edited", &smuggling, None).await;
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("gateway"), "{refused}");
        }
    }
}

#[tokio::test]
async fn clients_are_sent_elsewhere() {
    let platform = open().await;
    let secret = platform.tenant("acme", json!({})).await;
    let old = json!({
        "match": {"path_prefix": "/old"}, "redirect": {"status": 308, "path_prefix": "/new"},
        "response_headers": {"set": {"cache-control": "max-age=60"}},
    });
    route(&platform, "old", old).await;
    let tls =
        json!({"match": {"path_prefix": "/tls"}, "redirect": {"status": 301, "scheme": "https"}});
    route(&platform, "tls", tls).await;
    let answer = platform.get("open.example", "/old/a%20b/?x=1&y=%0d%0aEvil:1").send().await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), "/new/a%20b/?x=1&y=%0d%0aEvil:1");
    assert_eq!((answer.header("content-length"), answer.body.as_str()), ("0", ""));
    assert_eq!(answer.header("cache-control"), "max-age=60");
    assert!(!answer.header("x-request-id").is_empty());
    let answer = platform.get("open.example:8080", "/tls?a").send().await;
    assert_eq!((answer.status, answer.header("location")), (301, "https://open.example/tls?a"));
    let host = json!({"match": {"path_prefix": "/host"}, "redirect": {"host": "other.example", "port": 81}});
    route(&platform, "host", host).await;
    let answer = platform.get("open.example", "/host?a").send().await;
    assert_eq!(answer.header("location"), "http://other.example:81/host?a");
    // A body that nobody reads does not end up in the next request.
    let post =
        platform.request(http::Method::POST, "open.example", "/old").body(vec![b'x'; 100_000]);
    assert_eq!(post.status().await, 308);
    // Who has to prove something proves it first.
    assert_eq!(platform.get("acme.example", "/old").status().await, 401);
    assert_eq!(platform.get("acme.example", "/old").key(&secret).status().await, 308);
    assert_eq!(platform.origin.served(), 0);
    let explained = platform.explain(&json!({"host": "open.example", "path": "/old/x"})).await;
    assert_eq!((&explained["outcome"], &explained["status"]), (&json!("redirect"), &json!(308)));
    assert_eq!(
        platform.metric("tenantry_requests_total{tenant=\"open\",status_class=\"3xx\"}").await,
        Some(4)
    );
}

#[tokio::test]
async fn an_exempt_route_needs_no_tenant() {
    let platform = Platform::start().await;
    let secret = platform
        .tenant(
            "acme",
            json!({"limits": {"requests": [
        {"name": "one", "quota": 1, "window_seconds": 3600}]}}),
        )
        .await;
    let exempt = json!({
        "match": {"path": "/healthz"}, "tenancy": "exempt", "upstream": "main", "request_body_bytes": 10,
    });
    route(&platform, "health", exempt).await;
    for host in ["nobody.example", "acme.example", "127.0.0.1"] {
        for _ in 0..3 {
            let echo = platform
                .get(host, "/healthz")
                .key(&secret)
                .header("x-tenant-id", "ten_evil")
                .header("x_tenant_slug", "evil")
                .echo()
                .await;
            assert!(
                echo.headers.keys().all(|name| !name.replace('_', "-").starts_with("x-tenant-"))
            );
            // A credential that nobody looked at is nobody's to take away.
            assert_eq!(echo.headers["x-api-key"], secret);
            assert_eq!(echo.headers["x-forwarded-for"], "127.0.0.1");
        }
    }
    let answer = platform.get("acme.example", "/healthz").key("tnt_broken").send().await;
    assert_eq!((answer.status, answer.header("ratelimit")), (200, ""));
    let post =
        |bytes| platform.request(http::Method::POST, "x.y", "/healthz").body(vec![b'x'; bytes]);
    assert_eq!((post(10).status().await, post(11).status().await), (200, 413));
    assert_eq!(platform.get("nobody.example", "/healthz/").send().await.problem(), "unknown-host");
    // None of it was charged to the tenant.
    let get = || platform.get("acme.example", "/").key(&secret);
    assert_eq!((get().status().await, get().status().await), (200, 429));
    // A suspended tenant's log-in page is still there, and its data is not.
    platform
        .enforced(platform.api().tenants().suspend("acme", "unpaid").await.unwrap().revision)
        .await;
    assert_eq!(platform.get("acme.example", "/healthz").status().await, 200);
    assert_eq!(get().send().await.problem(), "tenant-suspended");
}

#[tokio::test]
async fn claims_and_body_limits_of_a_route() {
    let platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({"limits": {"request_body_bytes": 1000}})).await;
    let key = SigningKey::from_seed(&[5; 32]).unwrap();
    let issuer: CreateIssuer = body(json!({
        "issuer": "https://id.example/", "audiences": ["api"], "algorithms": ["EdDSA"],
        "jwks": {"keys": [key.jwk("k1")]},
    }));
    let created = platform.api().issuers("acme").create(&issuer).await.unwrap();
    platform.enforced(created.revision).await;
    let admin = json!({
        "match": {"path_prefix": "/admin"}, "require_claims": {"role": ["admin", "owner"]},
        "request_body_bytes": 10, "upstream": "main",
    });
    route(&platform, "admin", admin).await;
    let token = |role: Value| {
        let claims = json!({
            "iss": "https://id.example/", "aud": "api", "sub": "u", "exp": 4_000_000_000_u64, "role": role,
        });
        key.sign(&claims, "k1")
    };
    let get = |path: &str| platform.get("acme.example", path);
    assert_eq!(get("/admin").bearer(&token(json!("owner"))).status().await, 200);
    assert_eq!(get("/admin").bearer(&token(json!(["dev", "admin"]))).status().await, 200);
    assert_eq!(get("/admin").bearer(&token(json!("dev"))).send().await.problem(), "scope-missing");
    assert_eq!(get("/").bearer(&token(json!("dev"))).status().await, 200);
    assert_eq!(get("/admin").key(&secret).send().await.problem(), "scope-missing");
    let post = |path: &str, bytes| {
        let post = platform.request(http::Method::POST, "acme.example", path);
        post.bearer(&token(json!("admin"))).body(vec![b'x'; bytes])
    };
    assert_eq!(post("/admin", 10).status().await, 200);
    assert_eq!(post("/admin", 11).status().await, 413);
    assert_eq!((post("/", 1000).status().await, post("/", 1001).status().await), (200, 413));
}

#[tokio::test]
async fn tenants_keep_their_side_of_a_split() {
    let platform = Platform::start().await;
    let canary = Origin::start().await;
    upstream(&platform, "canary", &canary, None).await;
    let split = |main: u16, canary: u16| {
        json!({"upstream": null, "upstreams": [
            {"upstream": "main", "weight": main}, {"upstream": "canary", "weight": canary}]})
    };
    patch(&platform, "all", split(1, 1)).await;
    for number in 0..16 {
        platform.tenant(&format!("t{number}"), json!({"auth": "none"})).await;
    }
    // By tenant: whether its requests reach the canary.
    let sides = async || {
        let mut sides = Vec::new();
        for number in 0..16 {
            let before = canary.served();
            for _ in 0..4 {
                platform.get(&format!("t{number}.example"), "/").echo().await;
            }
            let taken = canary.served() - before;
            assert!(taken == 0 || taken == 4, "t{number} was split: {taken} of 4");
            sides.push(taken == 4);
        }
        sides
    };
    let half = sides().await;
    assert!(half.contains(&true) && half.contains(&false), "{half:?}");
    patch(&platform, "all", split(1, 3)).await;
    let more = sides().await;
    let went_back = half.iter().zip(&more).any(|(before, after)| *before && !after);
    assert!(!went_back, "a larger share takes nobody back: {half:?} {more:?}");
    patch(&platform, "all", split(1, 1)).await;
    assert_eq!(sides().await, half);
    // What a split refers to stays.
    let refused = platform.api().upstreams().delete("canary", None).await.unwrap_err();
    assert!(refused.to_string().contains("canary"), "{refused}");
    patch(&platform, "all", json!({"upstreams": null, "upstream": "main"})).await;
    platform.api().upstreams().delete("canary", None).await.unwrap();
}

#[tokio::test]
async fn a_tenants_requests_never_leave_its_region() {
    let platform = Platform::start().await;
    let (eu, us) = (Origin::start().await, Origin::start().await);
    upstream(&platform, "eu", &eu, Some("eu")).await;
    upstream(&platform, "us", &us, Some("us")).await;
    let split = |ids: &[&str]| {
        let split: Vec<_> = ids.iter().map(|id| json!({"upstream": id, "weight": 1})).collect();
        json!({"upstream": null, "upstreams": split})
    };
    patch(&platform, "all", split(&["eu", "us"])).await;
    for number in 0..8 {
        platform.tenant(&format!("eu{number}"), json!({"auth": "none", "region": "eu"})).await;
    }
    let all = async |expected: u16| {
        for number in 0..8 {
            let answer = platform.get(&format!("eu{number}.example"), "/").send().await;
            assert_eq!(answer.status, expected, "{}", answer.body);
        }
    };
    all(200).await;
    assert_eq!((eu.served(), us.served()), (8, 0));
    // The region's upstream does not answer: the others are not asked in its place.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = json!({"endpoints": [{"address": closed}]});
    let gone = platform.api().upstreams().patch("eu", &gone, None).await.unwrap();
    platform.enforced(gone.revision).await;
    all(503).await;
    patch(&platform, "all", split(&["us"])).await;
    all(503).await;
    let answer = platform.get("eu1.example", "/").send().await;
    assert_eq!(answer.problem(), "upstream-unavailable");
    assert_eq!((us.served(), platform.origin.served()), (0, 0));
    // An upstream of no region may serve it, and the tenant may move.
    patch(&platform, "all", split(&["us", "main"])).await;
    all(200).await;
    assert_eq!((us.served(), platform.origin.served()), (0, 8));
    let moved =
        platform.api().tenants().patch("eu1", &json!({"region": "us"}), None).await.unwrap();
    assert_eq!(moved.spec.region.as_ref().map(tenantry_model::RegionId::as_str), Some("us"));
    platform.enforced(moved.revision).await;
    assert_eq!(platform.get("eu1.example", "/").status().await, 200);
    assert_eq!(us.served(), 1);
}
