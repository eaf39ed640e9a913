//! Bad input, and what is said about it.

use crate::server::{Server, exchange};

const TENANTS: &str = "POST /api/v1/tenants";
const ROUTES: &str = "POST /api/v1/routes";

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_input_is_refused_with_its_place() {
    let server = Server::with_acme().await;
    let tenant = |rest: &str| format!(r#"{{"slug":"b","name":"B","plan":"pro"{rest}}}"#);
    let jwks = |jwks: &str| {
        format!(
            r#"{{"issuer":"https://a/","audiences":["a"],"algorithms":["RS256"],"jwks":{jwks}}}"#
        )
    };
    let limit = r#","limits":{"requests":[{"name":"a","quota":0,"window_seconds":1}]}"#;
    let (domains, issuers) =
        ("POST /api/v1/tenants/acme/domains", "POST /api/v1/tenants/acme/issuers");
    let keys = "POST /api/v1/tenants/acme/keys";
    let twice = r#","domains":["a.b","a.b"]"#;
    let foreign = r#","domains":["x.example.com","acme.example.com"]"#;
    let mut wrong = Vec::new();
    for (line, body, status, kind, pointer) in [
        (TENANTS, "{".to_owned(), 400, "malformed-json", None),
        (TENANTS, String::new(), 400, "malformed-json", None),
        (TENANTS, tenant("") + "x", 400, "malformed-json", None),
        (TENANTS, "[".repeat(100_000), 400, "malformed-json", None),
        (TENANTS, r#"["b","B","pro"]"#.to_owned(), 422, "invalid", Some("")),
        (TENANTS, r#"{"slug":"b"}"#.to_owned(), 422, "invalid", Some("/name")),
        (TENANTS, tenant(r#","acces":{}"#), 422, "invalid", Some("/acces")),
        (TENANTS, tenant(r#","slug":"c""#), 422, "invalid", Some("/slug")),
        (
            "PATCH /api/v1/tenants/acme",
            r#"{"name":"A","name":"B"}"#.to_owned(),
            422,
            "invalid",
            Some("/name"),
        ),
        (
            TENANTS,
            tenant(r#","features":{"a":true,"a":false}"#),
            422,
            "invalid",
            Some("/features/a"),
        ),
        (TENANTS, tenant("").replace("\"b\"", "\"B\""), 422, "invalid", Some("/slug")),
        (TENANTS, tenant("").replace("pro", "none"), 422, "invalid", Some("/plan")),
        (TENANTS, tenant(r#","domains":["a.b","1.2.3.4"]"#), 422, "invalid", Some("/domains/1")),
        (TENANTS, tenant(twice), 422, "invalid", Some("/domains/1")),
        (
            TENANTS,
            tenant(r#","access":{"deny":["10.0.0.1/8"]}"#),
            422,
            "invalid",
            Some("/access/deny"),
        ),
        (TENANTS, tenant(limit), 422, "invalid", Some("/limits/requests/0/quota")),
        (TENANTS, tenant(r#","labels":{"a b":"c"}"#), 422, "invalid", Some("/labels")),
        (TENANTS, tenant("").replace("\"B\"", "\"\""), 422, "invalid", Some("/name")),
        (TENANTS, tenant("").replace("\"b\"", "\"acme\""), 409, "slug-taken", Some("/slug")),
        (TENANTS, tenant(foreign), 409, "domain-taken", Some("/domains/1")),
        (domains, r#"{"host":"acme.example.com"}"#.to_owned(), 409, "domain-taken", Some("/host")),
        (domains, r#"{"host":"*.com"}"#.to_owned(), 422, "invalid", Some("/host")),
        (TENANTS, tenant(r#","domains":["*.localhost"]"#), 422, "invalid", Some("/domains/0")),
        (
            "PUT /api/v1/tenants/acme",
            r#"{"slug":"acme","name":"A","plan":"pro","state":"deleting"}"#.to_owned(),
            422,
            "invalid",
            Some("/state"),
        ),
        (
            "PUT /api/v1/tenants/acme",
            r#"{"slug":"acme"}"#.to_owned(),
            422,
            "invalid",
            Some("/name"),
        ),
        (domains, r#"{"host":"a_b"}"#.to_owned(), 422, "invalid", Some("/host")),
        (
            keys,
            r#"{"name":"a","allowed_networks":[]}"#.to_owned(),
            422,
            "invalid",
            Some("/allowed_networks"),
        ),
        (
            keys,
            r#"{"name":"a","rate_limits":[{"name":"x","quota":0,"window_seconds":1}]}"#.to_owned(),
            422,
            "invalid",
            Some("/rate_limits/0/quota"),
        ),
        (keys, r#"{"name":"a","limits":[]}"#.to_owned(), 422, "invalid", Some("/limits")),
        (issuers, jwks(r#"{"keys":[]}"#), 422, "invalid", Some("/jwks")),
        (issuers, jwks(r#"{"keys":[{"kty":"RSA"}]}"#), 422, "invalid", Some("/jwks")),
        (issuers, jwks("[]"), 422, "invalid", Some("")),
        (
            "POST /api/v1/plans",
            r#"{"id":"pro","name":"Pro"}"#.to_owned(),
            409,
            "id-taken",
            Some("/id"),
        ),
        (
            "POST /api/v1/routes",
            r#"{"id":"r","upstream":"u"}"#.to_owned(),
            422,
            "invalid",
            Some("/upstream"),
        ),
        (ROUTES, r#"{"id":"r"}"#.to_owned(), 422, "invalid", Some("")),
        (
            ROUTES,
            r#"{"id":"r","upstream":"u","redirect":{"path":"/x"}}"#.to_owned(),
            422,
            "invalid",
            Some(""),
        ),
        (
            ROUTES,
            r#"{"id":"r","upstreams":[{"upstream":"u","weight":1}]}"#.to_owned(),
            422,
            "invalid",
            Some("/upstreams/0/upstream"),
        ),
        (
            ROUTES,
            r#"{"id":"r","upstreams":[{"upstream":"u","weight":0}]}"#.to_owned(),
            422,
            "invalid",
            Some("/upstreams/0/weight"),
        ),
        (
            ROUTES,
            r#"{"id":"r","upstream":"u","match":{"path":"/a","path_prefix":"/b"}}"#.to_owned(),
            422,
            "invalid",
            Some("/match"),
        ),
        (
            ROUTES,
            r#"{"id":"r","upstream":"u","match":{"headers":[{"name":"x-tenant-id"}]}}"#.to_owned(),
            422,
            "invalid",
            Some("/match/headers/0"),
        ),
        (
            ROUTES,
            r#"{"id":"r","upstream":"u","request_headers":{"add":{"X-Tenant-Id":"x"}}}"#.to_owned(),
            422,
            "invalid",
            Some("/request_headers"),
        ),
        (
            ROUTES,
            r#"{"id":"r","upstream":"u","response_headers":{"set":{"x":"a\r\nb"}}}"#.to_owned(),
            422,
            "invalid",
            Some("/response_headers/set/x"),
        ),
        (
            ROUTES,
            r#"{"id":"r","redirect":{"status":200,"path":"/x"}}"#.to_owned(),
            422,
            "invalid",
            Some("/redirect/status"),
        ),
        (
            ROUTES,
            r#"{"id":"r","redirect":{"path":"//x"}}"#.to_owned(),
            422,
            "invalid",
            Some("/redirect/path"),
        ),
        (
            ROUTES,
            r#"{"id":"r","upstream":"u","timeouts":{"total_ms":0}}"#.to_owned(),
            422,
            "invalid",
            Some("/timeouts/total_ms"),
        ),
        (
            ROUTES,
            r#"{"id":"r","upstream":"u","tenancy":"exempt","auth":"any"}"#.to_owned(),
            422,
            "invalid",
            Some(""),
        ),
        (TENANTS, tenant(r#","region":"EU""#), 422, "invalid", Some("/region")),
        (
            "PUT /api/v1/plans/pro",
            r#"{"id":"x","name":"X"}"#.to_owned(),
            422,
            "invalid",
            Some("/id"),
        ),
        ("PATCH /api/v1/plans/pro", r#"{"id":"x"}"#.to_owned(), 422, "invalid", Some("/id")),
        (
            "PATCH /api/v1/tenants/acme",
            r#"{"plan":null}"#.to_owned(),
            422,
            "invalid",
            Some("/plan"),
        ),
        ("GET /api/v1/tenants/nobody", String::new(), 404, "not-found", None),
        ("GET /api/v1/nothing", String::new(), 404, "not-found", None),
        ("GET /api/v1/tenants?limit=0", String::new(), 400, "invalid-query", Some("?limit")),
        ("GET /api/v1/tenants?limit=1001", String::new(), 400, "invalid-query", Some("?limit")),
        ("GET /api/v1/tenants?limt=1", String::new(), 400, "invalid-query", Some("?limt")),
        ("GET /api/v1/tenants?cursor=x", String::new(), 400, "invalid-cursor", Some("?cursor")),
        ("DELETE /api/v1/plans/pro", String::new(), 409, "in-use", None),
        ("POST /api/v1/tenants/acme/resume", String::new(), 409, "invalid-state", None),
        (TENANTS, " ".repeat((1 << 20) + 1), 413, "too-large", None),
    ] {
        let answer = server.send(line, "X-Request-Id: mine\r\n", &body).await;
        let shown = body.get(..200).unwrap_or(&body);
        let problem = answer.json();
        let found = problem["errors"][0]["pointer"].as_str();
        let got = (answer.status, problem["type"].as_str().unwrap(), found);
        if got != (status, format!("urn:tenantry:problem:{kind}").as_str(), pointer) {
            wrong.push(format!("{line} {shown}: {}", answer.body));
        }
        assert_eq!((&problem["status"], &problem["request_id"]), (&status.into(), &"mine".into()));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let audit = server.client.audit(&tenantry_api::AuditQuery::default()).await.unwrap();
    assert_eq!(audit.items.len(), 2, "nothing was written: {:?}", audit.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_methods_and_names_of_requests() {
    let server = Server::with_acme().await;
    let (api, token) = (server.running.api, server.running.root_token.expose());
    let node = server.running.node_token.expose();
    for headers in [
        String::new(),
        "Authorization: Bearer x\r\n".to_owned(),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: Bearer {token}x\r\n"),
        format!("Authorization: Bearer {node}\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
    ] {
        for path in ["/api/v1/tenants", "/api/v1/nothing"] {
            let answer = exchange(api, &format!("GET {path}"), &headers, "").await;
            assert_eq!(answer.status, 401, "{headers}");
            assert!(answer.header("www-authenticate").is_some());
        }
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(exchange(api, &format!("GET {path}"), "", "").await.status, 200, "{path}");
    }
    let answer = server.send("PUT /api/v1/tenants", "", "{}").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD,POST")));
    let authorization = format!("Authorization: Bearer {token}\r\nContent-Type: text/plain\r\n");
    assert_eq!(exchange(api, TENANTS, &authorization, "{}").await.status, 415);
    let long = "x".repeat(129);
    for (given, kept) in [("abc-1", true), ("a b", false), (long.as_str(), false)] {
        let header = format!("X-Request-Id: {given}\r\n");
        let answer = server.send("GET /api/v1/tenants", &header, "").await;
        let returned = answer.header("x-request-id").unwrap();
        assert_eq!(returned == given, kept, "{returned}");
        assert!(!returned.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_can_be_sent_back() {
    let server = Server::with_acme().await;
    server.client.tenants().suspend("acme", "unpaid").await.unwrap();
    for path in ["tenants/acme", "plans/pro"] {
        let read = server.send(&format!("GET /api/v1/{path}"), "", "").await;
        let written = server.send(&format!("PUT /api/v1/{path}"), "", &read.body).await;
        assert_eq!(written.status, 200, "{}", written.body);
        let (mut read, mut written) = (read.json(), written.json());
        for member in ["updated_at", "revision"] {
            read.as_object_mut().unwrap().remove(member);
            written.as_object_mut().unwrap().remove(member);
        }
        assert_eq!(read, written);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_member_is_named_with_what_may_be_meant() {
    let server = Server::with_acme().await;
    for (body, detail) in [
        (r#"{"id":"x","name":"X","limts":{}}"#, "there is no `limts` here; did you mean `limits`?"),
        (
            r#"{"id":"x","name":"X","colour":{}}"#,
            "there is no `colour` here, only id, name, limits, features",
        ),
        (r#"{"id":"x"}"#, "this is missing"),
    ] {
        let answer = server.send("POST /api/v1/plans", "", body).await;
        assert_eq!(answer.json()["detail"], detail, "{body}");
    }
}
