//! Changes that are only looked at: answered as if they were made, and nothing comes of them.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use tenantry_test_support::{Authority, Contract, eventually};

use crate::server::{Answer, Server, exchange};

/// What cannot be looked at without being done, or changes nothing anyway.
const REFUSED: [(&str, &str, &str); 5] = [
    (
        "logIn",
        "POST /api/v1/sessions",
        r#"{"email":"ada@example.com","password":"a good password"}"#,
    ),
    ("logOut", "DELETE /api/v1/sessions/current", ""),
    ("diff", "POST /api/v1/diff", "documents: []"),
    ("explain", "POST /api/v1/explain", r#"{"host":"acme.example.com"}"#),
    ("replay", "POST /api/v1/replay", r#"{"documents":[],"requests":[]}"#),
];

/// What needs proxies, and is looked at with them.
const ELSEWHERE: [&str; 3] = ["startRollout", "releaseRollout", "takeBackRollout"];
/// An operation, a request to it, and its body.
type Change = (&'static str, &'static str, Value);

/// Something of every kind, and what each is called.
struct World {
    server: Server,
    names: BTreeMap<String, String>,
}

impl World {
    async fn new() -> Self {
        let server = Server::with_acme().await;
        let mut world = Self { server, names: BTreeMap::new() };
        for (name, line, body) in [
            (
                "",
                "POST /tenants",
                json!({"slug": "fresh", "name": "F", "plan": "pro", "state": "provisioning"}),
            ),
            ("", "POST /tenants", json!({"slug": "held", "name": "H", "plan": "pro"})),
            ("", "POST /tenants/held/suspend", json!({"reason": "unpaid"})),
            ("", "POST /tenants", json!({"slug": "leaving", "name": "L", "plan": "pro"})),
            ("", "POST /tenants", json!({"slug": "gone", "name": "G", "plan": "pro"})),
            ("", "DELETE /tenants/gone", Value::Null),
            ("", "POST /tenants", json!({"slug": "lost", "name": "L", "plan": "pro"})),
            ("", "POST /tenants/lost/domains", json!({"host": "lost.example.com"})),
            ("", "POST /tenants/lost/keys", json!({"name": "ci"})),
            ("", "DELETE /tenants/lost", Value::Null),
            ("", "POST /plans", json!({"id": "small", "name": "S"})),
            ("", "POST /groups", json!({"id": "core", "name": "C"})),
            ("", "POST /features", json!({"id": "beta"})),
            (
                "",
                "POST /upstreams",
                json!({"id": "main", "endpoints": [{"address": "127.0.0.1:1"}]}),
            ),
            (
                "",
                "POST /upstreams",
                json!({"id": "spare", "endpoints": [{"address": "127.0.0.1:1"}]}),
            ),
            ("", "POST /routes", json!({"id": "all", "upstream": "main"})),
            ("issuer", "POST /tenants/acme/issuers", issuer()),
            ("shared", "POST /issuers", shared_issuer("https://shared.example.com/")),
            ("certificate", "POST /certificates", certificate(&["acme.example.com"])),
            ("key", "POST /tenants/acme/keys", json!({"name": "ci"})),
            ("old", "POST /tenants/acme/keys", json!({"name": "old"})),
            ("", "PUT /tenants/acme/quotas/devices", json!({"current": 5})),
            (
                "lease",
                "POST /tenants/acme/quotas/devices/reserve",
                json!({"amount": 1, "lease_seconds": 600}),
            ),
            (
                "",
                "PUT /tenants/acme/subscription",
                json!({"period": {"count": 1, "unit": "month"}}),
            ),
            ("user", "POST /users", json!({"email": "bob@example.com"})),
            ("nobody", "POST /users", json!({"email": "eve@example.com"})),
            (
                "",
                "POST /tenants/acme/members",
                json!({"email": "bob@example.com", "role": "viewer"}),
            ),
            ("", "POST /tenants/acme/roles", json!({"id": "keys", "permissions": ["keys:write"]})),
            (
                "invitation",
                "POST /tenants/acme/invitations",
                json!({"email": "c@example.com", "role": "viewer"}),
            ),
            (
                "",
                "POST /tenants/acme/invitations",
                json!({"email": "accepts@example.com", "role": "viewer"}),
            ),
            (
                "operator",
                "POST /operators",
                json!({"name": "Ada", "email": "ada@example.com", "roles": ["admin"]}),
            ),
            ("mine", "POST /operators/{operator}/tokens", json!({"name": "ci"})),
            ("theirs", "POST /tenants/acme/tokens", json!({"name": "ci", "role": "viewer"})),
            ("node", "POST /nodes", json!({"name": "edge-1"})),
        ] {
            let (method, path) = line.split_once(' ').unwrap();
            let line = world.filled(&format!("{method} /api/v1{path}"));
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = world.server.send(&line, "", &body).await;
            assert!(answer.status < 300, "{line}: {}", answer.body);
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            let id = if name == "lease" { &body["reservation"]["id"] } else { &body["id"] };
            if !name.is_empty() {
                world.names.insert(name.to_owned(), id.as_str().unwrap().to_owned());
            }
        }
        let token = world.invited("accepts@example.com").await;
        world.names.insert("token".to_owned(), token);
        world.names.insert("past".to_owned(), world.commits().await.to_string());
        world
    }

    fn filled(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    /// The token in the letter to an address.
    async fn invited(&self, address: &str) -> String {
        let letters = self.server.directory.path().join("mail");
        let letter = eventually("the letter", async || {
            let files = fs::read_dir(&letters).ok()?.filter_map(Result::ok);
            let mut texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
            texts.find(|text| text.contains(address) && text.contains("#tni_"))
        })
        .await;
        let (_, rest) = letter.split_once("#tni_").unwrap();
        format!("tni_{}", rest.split_whitespace().next().unwrap())
    }

    /// How many commits there were.
    async fn commits(&self) -> u64 {
        let page = exchange(self.server.running.api, "GET /metrics", "", "").await.body;
        let mut lines = page.lines().filter(|line| !line.starts_with('#'));
        let line = lines.find(|line| line.contains("store_revision")).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    }

    async fn send(&self, line: &str, query: &str, body: &str) -> Answer {
        let (line, body) = (self.filled(line), self.filled(body));
        let mark = if line.contains('?') { '&' } else { '?' };
        let line = if query.is_empty() { line } else { format!("{line}{mark}{query}") };
        // Many tenants come as lines.
        let kind = if line.contains("/import") { "x-ndjson" } else { "json" };
        let token = self.server.running.root_token.expose();
        let headers =
            format!("Authorization: Bearer {token}\r\nContent-Type: application/{kind}\r\n");
        exchange(self.server.running.api, &line, &headers, &body).await
    }
}

fn issuer() -> Value {
    json!({"issuer": "https://acme.example.com/", "audiences": ["a"], "algorithms": ["RS256"],
        "jwks_url": "https://acme.example.com/jwks"})
}

fn shared_issuer(name: &str) -> Value {
    let mut issuer = issuer();
    issuer["issuer"] = name.into();
    issuer["tenant_claim"] = "tenant".into();
    issuer
}

fn certificate(names: &[&str]) -> Value {
    let issued = Authority::new("test").server(names);
    json!({"chain_pem": issued.certificate_pem, "key_pem": issued.key_pem})
}

/// A good request for every operation that changes something: in this order, each is good also after
/// those before it were made.
fn changes() -> Vec<Change> {
    let upstream = json!({"endpoints": [{"address": "127.0.0.1:2"}]});
    let issuers = |name: &str| {
        let mut issuer = issuer();
        issuer["issuer"] = name.into();
        issuer
    };
    vec![
        (
            "createTenant",
            "POST /api/v1/tenants",
            json!({"slug": "new", "name": "N", "plan": "pro",
            "domains": ["new.example.com"], "key": {"name": "ci"}, "admin": {"email": "n@example.com"}}),
        ),
        (
            "replaceTenant",
            "PUT /api/v1/tenants/acme",
            json!({"slug": "acme", "name": "A", "plan": "pro"}),
        ),
        ("patchTenant", "PATCH /api/v1/tenants/acme", json!({"name": "Acme"})),
        ("activateTenant", "POST /api/v1/tenants/fresh/activate", Value::Null),
        ("suspendTenant", "POST /api/v1/tenants/leaving/suspend", json!({"reason": "unpaid"})),
        ("resumeTenant", "POST /api/v1/tenants/held/resume", Value::Null),
        (
            "patchTenantSettings",
            "PATCH /api/v1/tenants/acme/settings",
            json!({"time_zone": "Europe/Berlin"}),
        ),
        ("deleteTenant", "DELETE /api/v1/tenants/leaving?retention_days=3", Value::Null),
        ("undeleteTenant", "POST /api/v1/tenants/gone/undelete", Value::Null),
        ("purgeTenant", "POST /api/v1/tenants/lost/purge", json!({"confirm": "lost"})),
        ("addDomain", "POST /api/v1/tenants/acme/domains", json!({"host": "more.example.com"})),
        ("createKey", "POST /api/v1/tenants/acme/keys", json!({"name": "new"})),
        ("replaceKey", "PUT /api/v1/tenants/acme/keys/{key}", json!({"name": "ci"})),
        ("patchKey", "PATCH /api/v1/tenants/acme/keys/{key}", json!({"name": "CI"})),
        ("rollKey", "POST /api/v1/tenants/acme/keys/{key}/roll", json!({"overlap_seconds": 60})),
        ("revokeKey", "DELETE /api/v1/tenants/acme/keys/{old}", Value::Null),
        ("setQuota", "PUT /api/v1/tenants/acme/quotas/devices", json!({"current": 7})),
        ("reserveQuota", "POST /api/v1/tenants/acme/quotas/devices/reserve", json!({"amount": 2})),
        (
            "confirmQuota",
            "POST /api/v1/tenants/acme/quotas/devices/confirm",
            json!({"reservation": "{lease}"}),
        ),
        ("releaseQuota", "POST /api/v1/tenants/acme/quotas/devices/release", json!({"amount": 1})),
        (
            "putSubscription",
            "PUT /api/v1/tenants/acme/subscription",
            json!({"period": {"count": 12, "unit": "month"}}),
        ),
        ("renewSubscription", "POST /api/v1/tenants/acme/subscription/renew", Value::Null),
        ("markSubscriptionPastDue", "POST /api/v1/tenants/acme/subscription/past-due", Value::Null),
        (
            "cancelSubscription",
            "POST /api/v1/tenants/acme/subscription/cancel",
            json!({"at_period_end": true}),
        ),
        ("deleteSubscription", "DELETE /api/v1/tenants/acme/subscription", Value::Null),
        (
            "createTenantIssuer",
            "POST /api/v1/tenants/acme/issuers",
            issuers("https://b.example.com/"),
        ),
        ("replaceTenantIssuer", "PUT /api/v1/tenants/acme/issuers/{issuer}", issuer()),
        ("deleteTenantIssuer", "DELETE /api/v1/tenants/acme/issuers/{issuer}", Value::Null),
        ("createIssuer", "POST /api/v1/issuers", shared_issuer("https://c.example.com/")),
        (
            "replaceSharedIssuer",
            "PUT /api/v1/issuers/{shared}",
            shared_issuer("https://shared.example.com/"),
        ),
        ("deleteIssuer", "DELETE /api/v1/issuers/{shared}", Value::Null),
        (
            "replaceCertificate",
            "PUT /api/v1/certificates/{certificate}",
            certificate(&["acme.example.com"]),
        ),
        ("deleteCertificate", "DELETE /api/v1/certificates/{certificate}", Value::Null),
        ("createCertificate", "POST /api/v1/certificates", certificate(&["b.example.com"])),
        ("removeDomain", "DELETE /api/v1/tenants/acme/domains/acme.example.com", Value::Null),
        ("createPlan", "POST /api/v1/plans", json!({"id": "new", "name": "N"})),
        ("replacePlan", "PUT /api/v1/plans/small", json!({"name": "Small"})),
        ("patchPlan", "PATCH /api/v1/plans/small", json!({"name": "Smaller"})),
        ("deletePlan", "DELETE /api/v1/plans/small", Value::Null),
        ("createGroup", "POST /api/v1/groups", json!({"id": "new", "name": "N"})),
        ("replaceGroup", "PUT /api/v1/groups/core", json!({"name": "Core"})),
        ("patchGroup", "PATCH /api/v1/groups/core", json!({"name": "Kernel"})),
        ("deleteGroup", "DELETE /api/v1/groups/core", Value::Null),
        ("createFeature", "POST /api/v1/features", json!({"id": "new"})),
        ("replaceFeature", "PUT /api/v1/features/beta", json!({"description": "Beta"})),
        ("patchFeature", "PATCH /api/v1/features/beta", json!({"description": "Gamma"})),
        ("deleteFeature", "DELETE /api/v1/features/beta", Value::Null),
        ("createRoute", "POST /api/v1/routes", json!({"id": "new", "upstream": "main"})),
        ("replaceRoute", "PUT /api/v1/routes/all", json!({"upstream": "main"})),
        ("patchRoute", "PATCH /api/v1/routes/all", json!({"match": {"path_prefix": "/x"}})),
        ("deleteRoute", "DELETE /api/v1/routes/all", Value::Null),
        (
            "createUpstream",
            "POST /api/v1/upstreams",
            json!({"id": "new", "endpoints": [{"address": "127.0.0.1:3"}]}),
        ),
        ("replaceUpstream", "PUT /api/v1/upstreams/spare", upstream.clone()),
        ("patchUpstream", "PATCH /api/v1/upstreams/spare", upstream),
        ("deleteUpstream", "DELETE /api/v1/upstreams/spare", Value::Null),
        ("createUser", "POST /api/v1/users", json!({"email": "d@example.com"})),
        ("patchUser", "PATCH /api/v1/users/{user}", json!({"name": "Bob"})),
        (
            "addMember",
            "POST /api/v1/tenants/acme/members",
            json!({"email": "f@example.com", "role": "viewer"}),
        ),
        ("changeMember", "PATCH /api/v1/tenants/acme/members/{user}", json!({"role": "developer"})),
        ("removeMember", "DELETE /api/v1/tenants/acme/members/{user}", Value::Null),
        ("deleteUser", "DELETE /api/v1/users/{nobody}", Value::Null),
        ("createRole", "POST /api/v1/tenants/acme/roles", json!({"id": "new", "permissions": []})),
        ("replaceRole", "PUT /api/v1/tenants/acme/roles/keys", json!({"permissions": []})),
        ("deleteRole", "DELETE /api/v1/tenants/acme/roles/keys", Value::Null),
        (
            "createInvitation",
            "POST /api/v1/tenants/acme/invitations",
            json!({"email": "g@example.com", "role": "viewer"}),
        ),
        (
            "resendInvitation",
            "POST /api/v1/tenants/acme/invitations/{invitation}/resend",
            Value::Null,
        ),
        ("revokeInvitation", "DELETE /api/v1/tenants/acme/invitations/{invitation}", Value::Null),
        ("acceptInvitation", "POST /api/v1/invitations/accept", json!({"token": "{token}"})),
        (
            "createOperator",
            "POST /api/v1/operators",
            json!({"name": "B", "email": "h@example.com", "roles": ["admin"]}),
        ),
        ("patchOperator", "PATCH /api/v1/operators/{operator}", json!({"name": "Ada L."})),
        (
            "setOperatorPassword",
            "PUT /api/v1/operators/{operator}/password",
            json!({"password": "a good password"}),
        ),
        ("createOperatorToken", "POST /api/v1/operators/{operator}/tokens", json!({"name": "new"})),
        ("revokeOperatorToken", "DELETE /api/v1/operators/{operator}/tokens/{mine}", Value::Null),
        ("deleteOperator", "DELETE /api/v1/operators/{operator}", Value::Null),
        (
            "createTenantToken",
            "POST /api/v1/tenants/acme/tokens",
            json!({"name": "new", "role": "viewer"}),
        ),
        ("enrollNode", "POST /api/v1/nodes", json!({"name": "edge-2", "region": "eu"})),
        ("allowRemoval", "POST /api/v1/distribution/removal", json!({"minutes": 10})),
        ("revokeNode", "DELETE /api/v1/nodes/{node}", Value::Null),
        ("revokeTenantToken", "DELETE /api/v1/tenants/acme/tokens/{theirs}", Value::Null),
        ("import", "POST /api/v1/import", json!({"slug": "imported", "name": "I", "plan": "pro"})),
        (
            "apply",
            "POST /api/v1/apply",
            json!({"documents": [{"kind": "plan", "id": "applied", "name": "A"}]}),
        ),
        ("rollBack", "POST /api/v1/revisions/{past}/rollback?partial=true", Value::Null),
    ]
}

/// Every text in an answer that could be used as a credential.
fn secrets(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let is_secret = ["tnt_", "tno_", "tni_", "tns_", "tnn_"]
                .iter()
                .any(|start| text.starts_with(start));
            // What a key is recognised by is the beginning of it.
            (is_secret && text.len() > 20).then(|| text.clone()).into_iter().collect()
        }
        Value::Array(values) => values.iter().flat_map(secrets).collect(),
        Value::Object(members) => members.values().flat_map(secrets).collect(),
        _ => Vec::new(),
    }
}

/// The answer, or its end where it comes piece by piece: how far it has come depends on how quick it was.
fn last_line(body: &str) -> Value {
    serde_json::from_str(body.lines().last().unwrap_or_default()).unwrap_or_default()
}

/// What each change would be answered.
async fn rehearsed(world: &World, changes: &[Change]) -> Vec<(u16, Value)> {
    let mut foreseen = Vec::new();
    for (id, line, body) in changes {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = world.send(line, "dry_run=true", &body).await;
        assert!(answer.status < 300, "{id}: {} {}", answer.status, answer.body);
        assert_eq!(answer.header("dry-run"), Some("true"), "{id}");
        for header in ["etag", "location", "tenantry-revision", "idempotency-replayed"] {
            assert_eq!(answer.header(header), None, "{id}: {header}");
        }
        let shown = last_line(&answer.body);
        assert_eq!(secrets(&shown), Vec::<String>::new(), "{id}");
        foreseen.push((answer.status, shown));
    }
    foreseen
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_can_be_looked_at_without_being_made() {
    let world = World::new().await;
    let changes = changes();
    let writes = Contract::committed()
        .operations()
        .filter(|(path, method, _)| path.starts_with("/api/") && *method != "get");
    for (path, method, operation) in writes {
        let id = operation["operationId"].as_str().unwrap();
        let known = changes.iter().map(|(id, ..)| *id).chain(REFUSED.map(|(id, ..)| id));
        let is_known = known.chain(ELSEWHERE).any(|known| known == id);
        assert!(is_known, "{method} {path} changes something: add {id} to this test");
    }
    // What was made before still has commits to follow in the background, an end of which cannot be seen: letters
    // are noted as sent, entries are linked. There are few of these; what a dry run did would come each time.
    let mut passes = 0;
    let (before, foreseen) = loop {
        let (before, foreseen) = (world.commits().await, rehearsed(&world, &changes).await);
        let after = world.commits().await;
        if after == before {
            break (before, foreseen);
        }
        passes += 1;
        assert!(passes < 10, "something was done: {} commits", after - before);
    };
    // What was foreseen is what comes: the same form, the same status.
    for ((id, line, body), (status, foreseen)) in changes.iter().zip(foreseen) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = world.send(line, "dry_run=false", &body).await;
        assert_eq!(answer.status, status, "{id}: {}", answer.body);
        assert_eq!(answer.header("dry-run"), None, "{id}");
        let revision = answer.header("tenantry-revision").map(|text| text.parse::<u64>().unwrap());
        // What is told piece by piece says it at its end.
        assert!(
            revision.map_or(*id == "import", |revision| revision > before),
            "{id}: {revision:?}"
        );
        let made = last_line(&answer.body);
        let members = |value: &Value| -> Vec<String> {
            value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(members(&made), members(&foreseen), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_for_the_same_reasons() {
    let server = Server::with_acme().await;
    let viewer = server.tenant_token("acme", json!({"role": "viewer"})).await;
    let tenant = |slug: &str| format!(r#"{{"slug":"{slug}","name":"A","plan":"pro"}}"#);
    for (line, headers, body, status, kind) in [
        ("POST /api/v1/tenants", "", tenant("acme"), 409, "slug-taken"),
        ("POST /api/v1/tenants", "", tenant("a_b"), 422, "invalid"),
        ("POST /api/v1/plans", "", r#"{"id":"pro","name":"P"}"#.to_owned(), 409, "id-taken"),
        ("DELETE /api/v1/plans/pro", "", String::new(), 409, "in-use"),
        ("DELETE /api/v1/plans/none", "", String::new(), 404, "not-found"),
        ("POST /api/v1/tenants/acme/resume", "", String::new(), 409, "invalid-state"),
        (
            "PATCH /api/v1/plans/pro",
            "If-Match: \"0\"\r\n",
            r#"{"name":"x"}"#.to_owned(),
            412,
            "precondition-failed",
        ),
    ] {
        let real = server.send(line, headers, &body).await;
        let rehearsed = server.send(&format!("{line}?dry_run=true"), headers, &body).await;
        assert_eq!(rehearsed.status, status, "{line}: {}", rehearsed.body);
        let (real, rehearsed) = (real.json(), rehearsed.json());
        assert_eq!(rehearsed["type"], format!("urn:tenantry:problem:{kind}"));
        for member in ["type", "detail", "errors"] {
            assert_eq!(real[member], rehearsed[member], "{line}");
        }
    }
    let denied = "POST /api/v1/tenants/acme/keys?dry_run=true";
    assert_eq!(server.send_as(&viewer, denied, "", r#"{"name":"ci"}"#).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_plainly_a_dry_run_is_no_change_either() {
    let server = Server::with_acme().await;
    let body = r#"{"slug":"globex","name":"Globex","plan":"pro"}"#;
    for query in [
        "dry_run",
        "dry_run=",
        "dry_run=yes",
        "dry_run=TRUE",
        "dry_run=1",
        "dry_run=true&dry_run=false",
        "dry_run=true&dry_run=true",
        "dry-run=true",
        "dryRun=true",
        "x=%ff",
    ] {
        let answer = server.send(&format!("POST /api/v1/tenants?{query}"), "", body).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
        assert_eq!(answer.json()["type"], "urn:tenantry:problem:invalid-query");
    }
    // Written in another way it is the same parameter.
    let answer = server.send("POST /api/v1/tenants?dry%5Frun=tr%75e", "", body).await;
    assert_eq!((answer.status, answer.header("dry-run")), (201, Some("true")));
    for (id, line, body) in REFUSED {
        let answer = server.send(&format!("{line}?dry_run=true"), "", body).await;
        assert_eq!(answer.status, 400, "{id}: {}", answer.body);
        assert_eq!(answer.json()["errors"][0]["pointer"], "?dry_run", "{id}");
    }
    assert_eq!(server.send("GET /api/v1/tenants/globex", "", "").await.status, 404);
    // A key that was given to a dry run is not used up, and what it names is looked at all the same.
    let key = "Idempotency-Key: one\r\n";
    let rehearse = "POST /api/v1/tenants?dry_run=true";
    assert_eq!(server.send(rehearse, key, body).await.status, 201);
    let made = server.send("POST /api/v1/tenants", key, body).await;
    assert_eq!((made.status, made.header("idempotency-replayed")), (201, None));
    assert_eq!(server.send(rehearse, key, body).await.status, 409);
}
