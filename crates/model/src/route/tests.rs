use serde_json::json;

use super::*;

fn parse(json: serde_json::Value) -> Result<Route, serde_json::Error> {
    serde_json::from_str(&json.to_string())
}

#[test]
fn a_route_without_new_fields_is_written_as_it_ever_was() {
    let text = r#"{"id":"all","tenant":null,"match":{"hosts":["*.acme.com"],"path_prefix":"/a","methods":["GET"]},"auth":"none","require_features":["reports"],"require_scopes":["a:b"],"upstream":"main","forward_credential":false}"#;
    let route: Route = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&route).unwrap(), text);
}

#[test]
fn a_route_with_everything_comes_back_as_it_was() {
    let route = json!({
        "id": "v2", "tenant": null,
        "match": {"hosts": [], "path_prefix": "/", "methods": [], "path": "/v2", "headers": [{"name": "x-version", "value": "2"}]},
        "auth": "jwt", "require_features": [], "require_scopes": [],
        "upstreams": [{"upstream": "main", "weight": 95}, {"upstream": "canary", "weight": 5}],
        "forward_credential": true,
        "require_claims": {"role": ["admin", "owner"]},
        "rewrite": {"path_prefix": "/api", "host": "api.internal"},
        "request_headers": {"set": {"x-a": "1"}, "add": {}, "remove": ["x-b"]},
        "response_headers": {"set": {}, "add": {"x-c": "2"}, "remove": []},
        "request_body_bytes": 1024,
        "timeouts": {"first_byte_ms": 500, "total_ms": 2000},
    });
    assert_eq!(serde_json::to_value(parse(route.clone()).unwrap()).unwrap(), route);
    let exempt = json!({
        "id": "login", "tenant": null, "match": {"hosts": [], "path_prefix": "/login", "methods": []},
        "auth": "none", "require_features": [], "require_scopes": [],
        "redirect": {"status": 308, "host": "id.example", "path": "/"}, "forward_credential": false,
        "tenancy": "exempt",
    });
    assert_eq!(serde_json::to_value(parse(exempt.clone()).unwrap()).unwrap(), exempt);
}

#[test]
fn a_route_has_one_target() {
    for bad in [
        json!({"id": "a"}),
        json!({"id": "a", "upstream": null}),
        json!({"id": "a", "upstream": "main", "redirect": {"path": "/x"}}),
        json!({"id": "a", "upstream": "main", "upstreams": [{"upstream": "main", "weight": 1}]}),
        json!({"id": "a", "upstreams": []}),
    ] {
        let error = parse(bad.clone()).expect_err(&bad.to_string()).to_string();
        assert!(error.contains("upstreams"), "{bad}: {error}");
    }
}

#[test]
fn what_would_be_without_effect_is_refused() {
    let exempt = |more: serde_json::Value| {
        let mut route = json!({"id": "a", "upstream": "main", "tenancy": "exempt"});
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parse(route)
    };
    assert!(exempt(json!({})).is_ok());
    for bad in [
        json!({"tenant": "ten_00000000000000000000000001"}),
        json!({"auth": "any"}),
        json!({"require_features": ["a"]}),
        json!({"require_scopes": ["a"]}),
        json!({"require_claims": {"a": ["b"]}}),
    ] {
        assert!(exempt(bad.clone()).is_err(), "{bad}");
    }
    for bad in [
        json!({"rewrite": {"host": "a.b"}}),
        json!({"request_headers": {"set": {"x-a": "b"}}}),
        json!({"timeouts": {"idle_ms": 1}}),
    ] {
        let mut route = json!({"id": "a", "redirect": {"path": "/x"}});
        route.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        assert!(parse(route).is_err(), "{bad}");
    }
}

#[test]
fn claims_and_times_are_bounded() {
    let with = |field: &str, value: serde_json::Value| {
        parse(json!({"id": "a", "upstream": "main", field: value}))
    };
    assert!(with("require_claims", json!({"https://a.example/roles": ["x"]})).is_ok());
    let many: BTreeMap<_, _> = (0..17).map(|number| (format!("c{number}"), ["x"])).collect();
    for bad in [json!({"role": []}), json!({"": ["x"]}), json!({"role": [""]}), json!(many)] {
        assert!(with("require_claims", bad.clone()).is_err(), "{bad}");
    }
    assert!(with("timeouts", json!({"total_ms": 86_400_000})).is_ok());
    for bad in [json!({"total_ms": 0}), json!({"total_ms": 86_400_001}), json!({"totl_ms": 1})] {
        assert!(with("timeouts", bad.clone()).is_err(), "{bad}");
    }
    assert!(with("request_body_bytes", json!(0)).is_err());
}
