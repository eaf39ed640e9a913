//! What a group does not allow, and features that are rolled out: the same at the proxy and in what the
//! control plane says.

use serde_json::{Value, json};
use tenantry_api::{CreateTenant, EffectiveQuery};
use tenantry_model::{Feature, Group, Plan, Route, Source};
use tenantry_test_support::{Platform, eventually, json as body};

#[tokio::test]
async fn a_group_bounds_plan_and_overrides() {
    let platform = Platform::start().await;
    let api = platform.api();
    let group = json!({"id": "eu", "name": "EU", "limits": {"request_body_bytes": 4}});
    api.groups().create(&body::<Group>(group)).await.unwrap();
    let own = json!({
        "group": "eu", "features": {"reports": true},
        "limits": {"request_body_bytes": 100, "requests": [{"name": "own", "quota": 1000, "window_seconds": 60}]},
    });
    let secret = platform.tenant("acme", own).await;
    let route = json!({"id": "reports", "match": {"path_prefix": "/reports"}, "require_features": ["reports"], "upstream": "main"});
    let route = api.routes().create(&body::<Route>(route)).await.unwrap();
    platform.enforced(route.revision).await;
    let send = async |bytes: &'static str| {
        let request = platform.request(http::Method::POST, "acme.example", "/").key(&secret);
        request.body(bytes).send().await
    };
    assert_eq!(send("1234").await.status, 200);
    assert_eq!(send("12345").await.problem(), "body-too-large");
    let reports = async || platform.get("acme.example", "/reports").key(&secret).send().await;
    assert_eq!(reports().await.status, 200);

    // A ceiling that comes later takes hold of what the tenant has, and keeps what it spent.
    let patch = json!({
        "features_off": ["reports"],
        "limits": {"requests": [{"name": "own", "quota": 5, "window_seconds": 3600}]},
    });
    let patched = api.groups().patch("eu", &patch, None).await.unwrap();
    platform.enforced(patched.revision).await;
    assert_eq!(reports().await.problem(), "feature-disabled");
    let limited = eventually("the ceiling is reached", async || {
        let answer = send("1").await;
        (answer.problem() == "rate-limited").then_some(answer)
    })
    .await;
    assert_eq!(limited.headers["ratelimit-policy"], "\"own\";q=5;w=3600");

    let explained = EffectiveQuery { explain: true };
    let effective = api.tenants().effective("acme", &explained).await.unwrap();
    let sources = effective.sources.unwrap();
    assert_eq!(effective.limits.requests[0].quota().get(), 5);
    assert_eq!(sources.limits.requests.values().collect::<Vec<_>>(), [&Source::Group]);
    assert_eq!(sources.limits.request_body_bytes, Source::Group);
    assert_eq!(sources.features.values().collect::<Vec<_>>(), [&Source::Group]);
    let plain = api.tenants().effective("acme", &EffectiveQuery::default()).await.unwrap();
    assert!(plain.sources.is_none());
    // In use, it cannot be deleted.
    let refused = api.groups().delete("eu", None).await.unwrap_err().to_string();
    assert!(refused.contains("tenant"), "{refused}");
}

#[tokio::test]
async fn a_roll_out_is_the_same_everywhere_and_killed_for_all() {
    let platform = Platform::start().await;
    let api = platform.api();
    let feature = |default: Value, killed: bool| -> Feature {
        body(json!({"id": "beta", "default": default, "killed": killed}))
    };
    api.features().create(&feature(json!({"percentage": 0}), false)).await.unwrap();
    let route = json!({"id": "beta", "match": {"path_prefix": "/beta"}, "require_features": ["beta"], "upstream": "main"});
    api.routes().create(&body::<Route>(route)).await.unwrap();
    let mut last = 0;
    for number in 0..30 {
        let tenant = json!({
            "slug": format!("t{number}"), "name": "T", "plan": "pro", "auth": "none",
            "domains": [format!("t{number}.example")],
        });
        last = api.tenants().create(&body::<CreateTenant>(tenant)).await.unwrap().tenant.revision;
    }
    platform.enforced(last).await;
    let mut before = Vec::new();
    for percentage in [0, 30, 60, 100] {
        let feature = feature(json!({ "percentage": percentage }), false);
        let replaced = api.features().replace("beta", &feature, None).await.unwrap();
        platform.enforced(replaced.revision).await;
        let mut on = Vec::new();
        for number in 0..30 {
            let (slug, host) = (format!("t{number}"), format!("t{number}.example"));
            let is_on = platform.get(&host, "/beta").status().await == 200;
            let said = api.tenants().effective(&slug, &EffectiveQuery::default()).await.unwrap();
            assert_eq!(said.features["beta".to_owned().as_str()], is_on, "{slug} at {percentage}");
            on.extend(is_on.then_some(number));
        }
        assert!(before.iter().all(|number| on.contains(number)), "{percentage} took it away");
        before = on;
    }
    assert_eq!(before.len(), 30);
    // The plan and the tenant say on, and it is off all the same.
    let plan = json!({"features": ["beta", "reports"]});
    api.plans()
        .patch("pro", &plan, None)
        .await
        .map(|_: tenantry_api::DocumentBody<Plan>| ())
        .unwrap();
    api.tenants().patch("t0", &json!({"features": {"beta": true}}), None).await.unwrap();
    let killed = api.features().replace("beta", &feature(json!(true), true), None).await.unwrap();
    platform.enforced(killed.revision).await;
    for host in ["t0.example", "t1.example"] {
        assert_eq!(platform.get(host, "/beta").send().await.problem(), "feature-disabled");
    }
}
