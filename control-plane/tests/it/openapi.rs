//! The OpenAPI document: what it must be, whoever adds to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tenantry_api::Exchange;
use tenantry_control_plane::router;
use tenantry_test_support::Contract;

use crate::server::{Server, exchange};

const COMMITTED: &str = include_str!("../../../docs/openapi.json");

fn document() -> Value {
    serde_json::from_slice(&router::document().json()).unwrap()
}

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.collect()
}

fn walk<'v>(value: &'v Value, visit: &mut impl FnMut(&'v serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| walk(value, visit));
        }
        Value::Array(values) => values.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let served = String::from_utf8(router::document().json().to_vec()).unwrap() + "\n";
    if std::env::var_os("TENANTRY_RENEW_OPENAPI").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        std::fs::write(file, &served).unwrap();
        return;
    }
    let differs = COMMITTED.lines().zip(served.lines()).position(|(old, new)| old != new);
    assert!(
        COMMITTED == served,
        "docs/openapi.json is not what the handlers say now (line {differs:?}). If that is meant, \
         renew it and read the difference:\n  TENANTRY_RENEW_OPENAPI=1 cargo test -p \
         tenantry-control-plane --test it the_committed_document && git diff docs/openapi.json"
    );
}

#[test]
fn it_is_whole() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut references = BTreeSet::new();
    walk(&document, &mut |object| references.extend(object.get("$ref").and_then(Value::as_str)));
    for reference in &references {
        let found = document.pointer(reference.strip_prefix('#').unwrap());
        assert!(found.is_some(), "{reference} refers to nothing");
    }
    for kind in ["schemas", "responses", "parameters", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(reference.as_str()), "nothing refers to {reference}");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::meta::is_valid(schema), "{name} is not a JSON Schema: {schema}");
    }
}

#[test]
fn every_operation_says_what_it_is() {
    let document = document();
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(Value::as_str)
        .collect();
    let mut ids = BTreeMap::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{at} has no id"));
        assert!(
            id.chars().all(|c| c.is_ascii_alphanumeric()) && id.starts_with(char::is_lowercase)
        );
        assert_eq!(ids.insert(id, at.clone()), None, "{id} stands twice");
        assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{at}");
        for tag in operation["tags"].as_array().unwrap() {
            assert!(tags.contains(tag.as_str().unwrap()), "{at}: describe the tag {tag}");
        }
        let named: BTreeSet<_> = path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{'))
            .map(|name| name.trim_end_matches('}'))
            .collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let described: BTreeSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(named, described, "{at}: the names in the path and those described");
        for parameter in parameters.iter().filter(|parameter| parameter["$ref"].is_null()) {
            assert!(parameter["description"].is_string(), "{at}: describe {parameter}");
        }
        let good = operation["responses"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|status| status.starts_with('2'));
        assert_eq!(good.count(), 1, "{at} has one good answer");
    }
}

#[test]
fn what_only_shows_something_asks_for_no_more() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        for scope in operation["security"][0]["bearer"].as_array().into_iter().flatten() {
            let (noun, verb) = scope.as_str().unwrap().split_once(':').unwrap();
            assert!(!noun.is_empty() && matches!(verb, "read" | "write" | "purge"), "{scope}");
            // It shows what is meant for proxies alone, so who may only look does not get it.
            if path == "/api/v1/snapshot" {
                continue;
            }
            // What is compared does not fit a URL.
            let shows = method == "get"
                || ["/api/v1/diff", "/api/v1/explain", "/api/v1/replay"].contains(&path);
            assert_eq!(verb == "read", shows, "{method} {path} asks for {scope}");
        }
    }
    let none = router::document();
    assert_eq!(none.need(&"GET".parse().unwrap(), "/api/v1/nothing"), None);
}

/// The router is made of `routes!` alone, which takes nothing that does not describe itself.
#[test]
fn there_is_no_other_way_into_the_router() {
    let source = include_str!("../../src/router.rs");
    let api = source.split("/// What proxies talk to.").next().unwrap();
    for other in [".route(", ".route_service(", ".nest(", ".nest_service(", ".fallback_service("] {
        assert!(
            !api.contains(other),
            "router.rs uses {other}: describe the handler and use routes!"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_are_served_to_everybody() {
    let server = Server::start().await;
    let json = exchange(server.running.api, "GET /api/v1/openapi.json", "", "").await;
    assert_eq!((json.status, json.header("content-type")), (200, Some("application/json")));
    assert_eq!(json.json(), document());
    let page = exchange(server.running.api, "GET /docs", "", "").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    for (_, _, operation) in operations(&document()) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.body.contains(&format!("id=\"{id}\"")), "{id} is not on the page");
    }
    for fetched in ["<script", "<link", "src=", "@import", "url(", "http://", "https://cdn"] {
        assert!(!page.body.contains(fetched), "the page holds {fetched}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_described_is_noticed() {
    let server = Server::with_acme().await;
    let answer = server.send("GET /api/v1/tenants/acme", "", "").await;
    let headers = answer.head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let (headers, method) = (headers.collect(), "GET".parse().unwrap());
    let check = |pointer: &str, value: Value| {
        let mut document = document();
        *document.pointer_mut(pointer).unwrap() = value;
        Contract::new(document).check(&Exchange {
            method: &method,
            path: "/api/v1/tenants/acme",
            status: 200,
            headers: &headers,
            body: answer.body.as_bytes(),
        })
    };
    let tenant = "/components/schemas/TenantBody/properties";
    let get = "/paths/~1api~1v1~1tenants~1{tenant}/get/responses";
    assert_eq!(check("/info/title", "Same".into()), Ok(()));
    for (pointer, value, said) in [
        (format!("{tenant}/name"), json!({"type": "integer"}), "is not of type \"integer\""),
        (format!("{tenant}/state"), json!({"enum": ["gone"]}), "\"gone\""),
        (tenant.to_owned(), json!({}), "Additional properties"),
        (get.to_owned(), json!({"404": {}}), "this status is not described"),
        (format!("{get}/200/content"), json!({"text/plain": {}}), "is not described"),
        ("/components/headers/ETag".to_owned(), json!({"schema": {"enum": ["x"]}}), "ETag"),
    ] {
        let said_of = check(&pointer, value).unwrap_err();
        assert!(said_of.contains(said), "{pointer}: {said_of}");
    }
}
