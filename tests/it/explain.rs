//! Why requests are answered as they are: by the control plane's state, and by a proxy's.

use serde_json::{Value, json};
use tenantry_api::{ExplainRequest, ExplainResponse, ProblemKind};
use tenantry_test_support::{Platform, json as body};

async fn explain(platform: &Platform, request: Value) -> ExplainResponse {
    platform.api().explain(&body::<ExplainRequest>(request)).await.unwrap()
}

/// Outcome, status, tenant, and what each stage said.
type Told = (String, Option<u16>, Option<String>, Vec<(String, String)>);

/// All but what only the one or the other knows.
fn said(explained: &ExplainResponse) -> Told {
    let steps = explained.steps.iter().filter(|step| step.stage != "admit");
    let steps = steps.map(|step| (step.stage.clone(), step.detail.clone())).collect();
    (explained.outcome.clone(), explained.status, explained.tenant.clone(), steps)
}

#[tokio::test]
async fn control_plane_and_proxy_decide_alike_and_name_their_rules() {
    let mut platform = Platform::start().await;
    let limits = json!({"requests": [{"name": "hourly", "quota": 5, "window_seconds": 3600}]});
    let secret = platform.tenant("acme", json!({"limits": limits})).await;
    let other = platform.tenant("beta", json!({"auth": "none"})).await;
    for _ in 0..2 {
        assert_eq!(platform.get("acme.example", "/").key(&secret).status().await, 200);
    }
    for request in [
        json!({"host": "acme.example", "path": "/a", "key": secret}),
        json!({"host": "ACME.example:8080", "key": secret}),
        json!({"host": "acme.example"}),
        json!({"host": "acme.example", "key": other}),
        json!({"host": "beta.example"}),
        json!({"host": "nobody.example", "key": secret}),
        json!({"host": "nobody.example"}),
        json!({"host": "not a host"}),
        json!({"host": "acme.example", "headers": {"authorization": format!("Bearer {secret}")}}),
    ] {
        let by_state = explain(&platform, request.clone()).await;
        let mut asked = request.clone();
        asked["proxy"] = "edge-1".into();
        let by_proxy = explain(&platform, asked).await;
        assert_eq!(said(&by_state), said(&by_proxy), "{request}");
        assert_eq!((by_state.proxy, by_proxy.proxy.as_deref()), (None, Some("edge-1")));
        let shown = format!("{:?}{:?}", by_state.steps, by_proxy.steps);
        assert!(!shown.contains(secret.get(8..).unwrap()), "{shown}");
    }
    let request = json!({"host": "acme.example", "key": secret});
    let by_state = explain(&platform, request.clone()).await;
    assert_eq!((by_state.outcome.as_str(), by_state.limits[0].remaining), ("forward", 4));
    assert!(by_state.notes[0].contains("only proxies know"), "{:?}", by_state.notes);
    let mut asked = request.clone();
    asked["proxy"] = "edge-1".into();
    let by_proxy = explain(&platform, asked.clone()).await;
    // Two were spent, and explaining spends nothing.
    assert_eq!(by_proxy.limits[0].remaining, 2, "{by_proxy:?}");
    let acme = platform.api().tenants().get("acme").await.unwrap();
    for explained in [&by_state, &by_proxy] {
        let rules = || explained.steps.iter().flat_map(|step| &step.rules);
        let tenant = rules().find(|rule| rule.kind == "tenant").unwrap();
        assert_eq!(
            (tenant.id.as_str(), tenant.revision),
            (acme.id.to_string().as_str(), Some(acme.revision))
        );
        for kind in ["domain", "api_key", "plan", "route", "upstream"] {
            let found = rules().find(|rule| rule.kind == kind);
            assert!(found.is_some_and(|rule| rule.revision.is_some()), "{kind}: {explained:?}");
        }
    }
    // A change of the tenant is in the next explanation, with its revision.
    let denied = json!({"access": {"mode": "public", "deny": ["127.0.0.0/8"]}});
    let changed = platform.api().waiting(30).tenants().patch("acme", &denied, None).await.unwrap();
    for asked in [request, asked.clone()] {
        let explained = explain(&platform, asked).await;
        assert_eq!(explained.outcome, "ip-denied");
        let last = explained.steps.last().unwrap();
        assert_eq!(last.rules[0].revision, Some(changed.revision), "{last:?}");
    }
    // What was asked is in no log, and nobody waits for ever.
    assert!(!platform.proxy_printed().contains(secret.get(8..).unwrap()));
    let unknown = body::<ExplainRequest>(json!({"host": "acme.example", "proxy": "edge-9"}));
    let error = platform.api().explain(&unknown).await.unwrap_err();
    assert!(error.problem().unwrap().is(ProblemKind::Invalid));
    platform.kill_proxy();
    let error = platform.api().explain(&body::<ExplainRequest>(asked)).await.unwrap_err();
    assert!(error.problem().unwrap().is(ProblemKind::ProxySilent), "{error:?}");
}
