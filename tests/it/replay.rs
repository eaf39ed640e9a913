//! An access log decided again, as documents would have it.

use std::fs;

use serde_json::{Value, json};
use tenantry_test_support::{Platform, eventually};

use crate::cli::User;

const LOG: &str = "access.log";

#[tokio::test]
async fn who_would_be_answered_otherwise() {
    let settings = [("ACCESS_LOG__ENABLED", "true"), ("ACCESS_LOG__PATH", LOG)];
    let platform = Platform::start_with(&settings).await;
    let user = User::of(&platform);
    let secret = platform.tenant("acme", json!({})).await;
    platform.tenant("beta", json!({"auth": "none"})).await;
    for _ in 0..3 {
        assert_eq!(platform.get("acme.example", "/reports/7").key(&secret).status().await, 200);
    }
    assert_eq!(platform.get("beta.example", "/reports/7").status().await, 200);
    assert_eq!(platform.get("acme.example", "/").key("tnt_wrong").status().await, 401);
    assert_eq!(platform.get("nobody.example", "/").status().await, 404);
    let log = platform.path(LOG);
    eventually("all lines are written", async || {
        (fs::read_to_string(&log).ok()?.lines().count() == 6).then_some(())
    })
    .await;
    let candidate = |name: &str, text: &str| {
        let path = user.home.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let replay = |candidate: &str| {
        user.says(&format!("-o json replay {} --candidate {candidate}", log.display()))
    };
    let none = candidate("none.yaml", "documents: []\n");
    let said = replay(&none).ended(0).json();
    assert_eq!(
        (&said["decided"], &said["different"], &said["changes"]),
        (&json!(5), &json!(0), &json!(0))
    );
    assert_eq!(said["left_out"], json!({"credential-invalid": 1}));

    // The plan loses its feature, and a route begins to ask for it; one tenant changes hosts.
    let gated = candidate(
        "gated.yaml",
        "documents:\n- {kind: plan, id: pro, name: Pro}\n- kind: route\n  id: reports\n  match: {path_prefix: /reports}\n  require_features: [reports]\n  upstream: main\n- {kind: tenant, slug: beta, name: beta, plan: pro, auth: none, domains: [nobody.example]}\n",
    );
    let said = replay(&gated).ended(1).json();
    let differences = said["differences"].as_array().unwrap();
    let told = |difference: &Value| {
        let outcome = |name: &str| difference[name]["outcome"].as_str().unwrap().to_owned();
        let host = difference["host"].as_str().unwrap().to_owned();
        (host, outcome("before"), outcome("after"), difference["count"].as_u64().unwrap())
    };
    let mut differences: Vec<_> = differences.iter().map(told).collect();
    differences.sort();
    let expected = [
        ("acme.example", "forward", "feature-disabled", 3),
        ("beta.example", "forward", "unknown-host", 1),
        ("nobody.example", "unknown-host", "forward", 1),
    ];
    let expected = expected.map(|(host, before, after, count)| {
        (host.to_owned(), before.to_owned(), after.to_owned(), count)
    });
    assert_eq!(differences, expected);
    assert_eq!(said["different"], 5);
    // Nothing was changed.
    assert_eq!(platform.get("acme.example", "/reports/7").key(&secret).status().await, 200);
    user.says("route get reports").ended(3);
    let table = user.says(&format!("replay {} --candidate {gated}", log.display())).ended(1);
    assert!(table.out.contains("feature-disabled (403)"), "{}", table.out);
    assert!(table.out.contains("6 of 6 requests would be answered otherwise"), "{}", table.out);
    // What it predicts is what comes.
    user.says(&format!("apply --file {gated} --wait")).ended(0);
    assert_eq!(platform.get("acme.example", "/reports/7").key(&secret).status().await, 403);
    assert_eq!(platform.get("nobody.example", "/").status().await, 200);
    assert_eq!(platform.get("beta.example", "/").status().await, 404);

    // What is there already and nothing of the log has led to so far: another upstream, another plan.
    user.says("upstream create spare --endpoint 127.0.0.1:9").ended(0);
    user.says("plan create free --name Free").ended(0);
    let moved = candidate(
        "moved.yaml",
        "documents:\n- {kind: route, id: all, upstream: spare}\n- {kind: tenant, slug: beta, name: beta, plan: free, auth: none}\n",
    );
    let said = replay(&moved).ended(1).json();
    let differences = said["differences"].as_array().unwrap();
    let led = differences.iter().filter(|difference| difference["host"] == "nobody.example");
    let led: Vec<_> = led.map(|difference| difference["after"]["upstream"].clone()).collect();
    assert_eq!(led, [json!("spare")], "{differences:?}");

    let faulty =
        candidate("faulty.yaml", "documents: [{kind: tenant, slug: c, name: c, plan: none}]\n");
    let said = replay(&faulty).ended(2);
    assert!(said.complaint.contains("/documents/0/plan"), "{}", said.complaint);
    user.says(&format!("replay {} --candidate {none}", user.home.path().join("none").display()))
        .ended(2);
}
