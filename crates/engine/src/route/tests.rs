use serde_json::json;

use super::*;

/// Routes by id and match, the identifier being the member's name.
fn routes(specs: serde_json::Value) -> Routes {
    let mut routes = Routes::default();
    for (id, matches) in specs.as_object().unwrap() {
        let json = serde_json::json!({"id": id, "match": matches, "upstream": "main"});
        routes.insert(serde_json::from_value(json).unwrap());
    }
    routes.reindex();
    routes
}

fn check(routes: &Routes, host: &str, method: &str, path: &str, expected: Option<&str>) {
    check_with(routes, &[], host, method, path, expected);
}

fn check_with(
    routes: &Routes,
    headers: &[(&'static str, &'static str)],
    host: &str,
    method: &str,
    path: &str,
    expected: Option<&str>,
) {
    let headers: http::HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        })
        .collect();
    let found = routes.find(&Wanted { host, path, method, headers: &headers });
    assert_eq!(
        found.map(|route| route.id().as_str()),
        expected,
        "{method} {host}{path} {headers:?}"
    );
}

#[test]
fn the_most_specific_route_wins() {
    let routes = routes(json!({
        "root": {},
        "reports": {"path_prefix": "/reports"},
        "reports-post": {"path_prefix": "/reports", "methods": ["POST"]},
        "deep": {"path_prefix": "/reports/2026/q1", "methods": ["GET"]},
        "exact": {"hosts": ["www.acme.com"]},
        "wild": {"hosts": ["*.acme.com"], "path_prefix": "/reports"},
    }));
    check(&routes, "a.b", "GET", "/", Some("root"));
    check(&routes, "a.b", "GET", "/other/deep/path", Some("root"));
    check(&routes, "a.b", "GET", "/reports", Some("reports"));
    check(&routes, "a.b", "GET", "/reports/", Some("reports"));
    check(&routes, "a.b", "GET", "/reports/x", Some("reports"));
    check(&routes, "a.b", "GET", "/reports-old", Some("root"));
    check(&routes, "a.b", "POST", "/reports/x", Some("reports-post"));
    check(&routes, "a.b", "GET", "/reports/2026/q1/x/y/z", Some("deep"));
    check(&routes, "a.b", "PUT", "/reports/2026/q1", Some("reports"));
    check(&routes, "a.b", "HEAD", "/reports/2026/q1", Some("deep"));
    // A host that is named beats a longer path for any host.
    check(&routes, "www.acme.com", "GET", "/reports", Some("exact"));
    check(&routes, "x.acme.com", "GET", "/reports", Some("wild"));
    check(&routes, "x.acme.com", "GET", "/", Some("root"));
    check(&routes, "acme.com", "GET", "/reports", Some("reports"));
    check(&routes, "x.y.acme.com", "GET", "/reports", Some("reports"));
}

#[test]
fn no_route_is_an_answer() {
    check(&routes(json!({})), "a.b", "GET", "/", None);
    let one = routes(json!({"one": {"path_prefix": "/a/b", "methods": ["GET"]}}));
    check(&one, "a.b", "GET", "/a", None);
    check(&one, "a.b", "GET", "/", None);
    check(&one, "a.b", "POST", "/a/b", None);
    check(&one, "a.b", "GET", "/a/bc", None);
    let root_only = routes(json!({"root": {}}));
    check(&root_only, "a.b", "GET", "/x/y", Some("root"));
}

#[test]
fn among_equals_the_smaller_id_wins() {
    let routes = routes(json!({"b": {}, "a": {}}));
    check(&routes, "a.b", "GET", "/", Some("a"));
}

#[test]
fn an_exact_path_beats_every_prefix_of_its_host() {
    let routes = routes(json!({
        "prefix": {"path_prefix": "/login"},
        "exact": {"path": "/login"},
        "slash": {"path": "/files/"},
        "root": {},
        "host": {"hosts": ["www.acme.com"], "path_prefix": "/login"},
        "host-exact": {"hosts": ["*.acme.com"], "path": "/login"},
        "post": {"path": "/post", "methods": ["POST"]},
        "home": {"path": "/"},
    }));
    check(&routes, "a.b", "GET", "/login", Some("exact"));
    check(&routes, "a.b", "GET", "/login/", Some("prefix"));
    check(&routes, "a.b", "GET", "/login/x", Some("prefix"));
    check(&routes, "a.b", "GET", "/loginx", Some("root"));
    check(&routes, "a.b", "GET", "/files/", Some("slash"));
    check(&routes, "a.b", "GET", "/files", Some("root"));
    check(&routes, "a.b", "GET", "/", Some("home"));
    // The host comes first: exact, then wildcard, then any.
    check(&routes, "www.acme.com", "GET", "/login", Some("host"));
    check(&routes, "app.acme.com", "GET", "/login", Some("host-exact"));
    check(&routes, "app.acme.com", "GET", "/login/x", Some("prefix"));
    // A method or header that does not match leads on to the next route.
    check(&routes, "a.b", "POST", "/post", Some("post"));
    check(&routes, "a.b", "GET", "/post", Some("root"));
}

#[test]
fn methods_before_headers_before_ids() {
    let routes = routes(json!({
        "a-plain": {"path_prefix": "/x"},
        "b-one": {"path_prefix": "/x", "headers": [{"name": "X-Version", "value": "2"}]},
        "c-two": {"path_prefix": "/x", "headers": [{"name": "x-version", "value": "2"}, {"name": "x-beta"}]},
        "d-method": {"path_prefix": "/x", "methods": ["POST"]},
        "e-method": {"path_prefix": "/x", "methods": ["POST"], "headers": [{"name": "x-beta"}]},
        "f-one": {"path_prefix": "/x", "headers": [{"name": "x-beta"}]},
    }));
    let (version, beta) = (("x-version", "2"), ("x-beta", ""));
    let get = |headers: &[(&'static str, &'static str)], expected| {
        check_with(&routes, headers, "a.b", "GET", "/x/y", Some(expected));
    };
    get(&[], "a-plain");
    get(&[("x-version", "3")], "a-plain");
    get(&[("x-version", "2 ")], "a-plain");
    get(&[version], "b-one");
    // One of several lines is enough.
    get(&[("x-version", "1"), version], "b-one");
    get(&[version, beta], "c-two");
    get(&[beta], "f-one");
    let post = |headers: &[(&'static str, &'static str)], expected| {
        check_with(&routes, headers, "a.b", "POST", "/x/y", Some(expected));
    };
    post(&[version], "d-method");
    post(&[version, beta], "e-method");
}
