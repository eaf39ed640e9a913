//! Lists: which tenants, in which order, and what of them.

use serde_json::{Value, json};

use crate::server::Server;

async fn seeded() -> Server {
    let server = Server::with_acme().await;
    let group = r#"{"id": "europe", "name": "Europe"}"#;
    assert_eq!(server.send("POST /api/v1/groups", "", group).await.status, 201);
    for (slug, name, more) in [
        ("globex", "Globex Inc.", json!({"group": "europe", "labels": {"tier": "gold"}})),
        ("initech", "Initech (old)", json!({"region": "eu", "labels": {"tier": "trial"}})),
        ("umbrella", "The Umbrella", json!({"region": "us", "labels": {"tier": "gold"}})),
    ] {
        let mut body = json!({"slug": slug, "name": name, "plan": "pro"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let created = server.send("POST /api/v1/tenants", "", &body.to_string()).await;
        assert_eq!(created.status, 201, "{}", created.body);
    }
    let reason = r#"{"reason": "unpaid"}"#;
    let suspended = server.send("POST /api/v1/tenants/umbrella/suspend", "", reason).await;
    assert_eq!(suspended.status, 200);
    server
}

fn slugs(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["slug"].as_str().unwrap()).collect()
}

fn query(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_found_by_what_is_known_of_them() {
    let server = seeded().await;
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 18] = [
        (&[], &["acme", "globex", "initech", "umbrella"]),
        (&[("state", "suspended")], &["umbrella"]),
        (&[("plan", "pro"), ("state", "active")], &["acme", "globex", "initech"]),
        (&[("plan", "free")], &[]),
        (&[("group", "europe")], &["globex"]),
        (&[("region", "us")], &["umbrella"]),
        (&[("label", "tier=gold")], &["globex", "umbrella"]),
        (&[("label", "tier=gold"), ("state", "active")], &["globex"]),
        (&[("q", "ECH (O")], &["initech"]),
        (&[("q", "e")], &["acme", "globex", "initech", "umbrella"]),
        (&[("q", "bre")], &["umbrella"]),
        (&[("q", "")], &["acme", "globex", "initech", "umbrella"]),
        (&[("filter", "state = active AND NOT labels.tier = trial")], &["acme", "globex"]),
        (&[("filter", "labels.tier:* AND (region = eu OR group:*)")], &["globex", "initech"]),
        (&[("filter", "name:\"(old)\""), ("q", "init")], &["initech"]),
        (&[("order_by", "name")], &["acme", "globex", "initech", "umbrella"]),
        (&[("order_by", "slug desc")], &["umbrella", "initech", "globex", "acme"]),
        (
            &[("order_by", "name desc"), ("filter", "created_at >= 2020-01-01T00:00:00Z")],
            &["umbrella", "initech", "globex", "acme"],
        ),
    ];
    for (parameters, expected) in cases {
        let whole =
            server.send(&format!("GET /api/v1/tenants?{}", query(parameters)), "", "").await;
        assert_eq!(whole.status, 200, "{parameters:?}: {}", whole.body);
        let whole = whole.json();
        let mut listed = slugs(&whole);
        // All were made in the same instant.
        if !parameters.iter().any(|(name, _)| *name == "order_by") {
            listed.sort_unstable();
        }
        assert_eq!(listed, expected, "{parameters:?}");
        // The same one by one.
        let (mut walked, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut parameters = parameters.to_vec();
            parameters.push(("limit", "1"));
            parameters.extend(cursor.as_ref().map(|cursor| ("cursor", cursor.as_str())));
            let line = format!("GET /api/v1/tenants?{}", query(&parameters));
            let page = server.send(&line, "", "").await.json();
            walked.extend(slugs(&page).into_iter().map(str::to_owned));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(walked, slugs(&whole), "{parameters:?}");
    }
    let id = server.send("GET /api/v1/tenants/globex", "", "").await.json()["id"].clone();
    let by_id = format!("GET /api/v1/tenants?q={}", id.as_str().unwrap());
    assert_eq!(slugs(&server.send(&by_id, "", "").await.json()), ["globex"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_each_change_that_was_answered_before() {
    let server = Server::with_acme().await;
    let list = async |parameters: &str| {
        server.send(&format!("GET /api/v1/tenants?{parameters}"), "", "").await.json()
    };
    for round in 0..50 {
        let label = format!(r#"{{"labels": {{"round": "{round}"}}, "name": "Round {round}"}}"#);
        assert_eq!(server.send("PATCH /api/v1/tenants/acme", "", &label).await.status, 200);
        assert_eq!(slugs(&list(&format!("label=round%3D{round}")).await), ["acme"]);
        assert_eq!(slugs(&list(&format!("q=round+{round}")).await), ["acme"]);
        assert_eq!(slugs(&list(&format!("label=round%3D{}", round + 1)).await), [""; 0]);
        let slug = format!("t-{round}");
        server.create_tenant(&slug, &[]).await;
        assert_eq!(slugs(&list(&format!("filter=slug%3D{slug}")).await), [slug.as_str()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_members_that_are_asked_for_are_answered() {
    let server = seeded().await;
    let get = async |path: &str| server.send(&format!("GET /api/v1/{path}"), "", "").await;
    let page = get("tenants?q=globex&fields=slug,%20labels").await;
    assert_eq!(
        page.body,
        r#"{"items":[{"slug":"globex","labels":{"tier":"gold"}}],"next_cursor":null}"#
    );
    let one = get("tenants/globex?fields=slug").await;
    assert_eq!(one.body, r#"{"slug":"globex"}"#);
    assert!(one.header("ETag").is_some());
    assert_eq!(
        get("tenants/acme/domains?fields=host").await.body,
        r#"{"items":[{"host":"acme.example.com"}],"next_cursor":null}"#
    );
    assert_eq!(get("plans/pro?fields=id").await.body, r#"{"id":"pro"}"#);
    // Pages go on as they do without.
    let first = get("tenants?limit=2&fields=slug&order_by=slug").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second =
        get(&format!("tenants?limit=2&fields=slug&order_by=slug&cursor={cursor}")).await.json();
    assert_eq!(slugs(&second), ["initech", "umbrella"]);
    for wrong in [
        "tenants?fields=secret",
        "tenants?fields=",
        "tenants?fields=id&fields=slug",
        "tenants/globex?fields=id,",
    ] {
        let refused = get(wrong).await;
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.body);
        let problem = refused.json();
        assert_eq!(problem["errors"][0]["pointer"], "?fields", "{problem}");
    }
    assert_eq!(get("tenants/nobody?fields=slug").await.status, 404);
    // What is changed is answered whole.
    let changed = server.send("PATCH /api/v1/tenants/acme?fields=slug", "", "{}").await;
    assert_eq!(changed.json()["errors"][0]["pointer"], "?fields", "{}", changed.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_with_the_place() {
    let server = Server::with_acme().await;
    for (parameter, value, detail) in [
        ("filter", "plan = pro and state = active", "at character 12"),
        ("filter", "colour = red", "there is no field `colour`"),
        ("order_by", "plan", "created_at, updated_at, slug or name"),
        ("label", "tier", "name=value"),
        ("q", &"a".repeat(201), "200 characters"),
        ("cursor", "nonsense", "cursor"),
        ("limit", "0", "1 to 1000"),
        ("limit", "many", "a whole number"),
        ("state", "angry", "provisioning"),
        ("colour", "red", "no parameter `colour`"),
    ] {
        let line = format!("GET /api/v1/tenants?{}", query(&[(parameter, value)]));
        let refused = server.send(&line, "", "").await;
        assert_eq!(refused.status, 400, "{parameter}={value}: {}", refused.body);
        let problem = refused.json();
        assert_eq!(problem["errors"][0]["pointer"], format!("?{parameter}"), "{problem}");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
}
