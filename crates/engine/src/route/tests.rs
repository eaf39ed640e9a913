use super::*;

fn routes(specs: &[(&str, &[&str], &str, &[&str])]) -> Routes {
    let mut routes = Routes::default();
    for (id, hosts, prefix, methods) in specs {
        let json = serde_json::json!({
            "id": id, "match": {"hosts": hosts, "path_prefix": prefix, "methods": methods}, "upstream": "main",
        });
        routes.insert(serde_json::from_value(json).unwrap());
    }
    routes.reindex();
    routes
}

fn check(routes: &Routes, host: &str, method: &str, path: &str, expected: Option<&str>) {
    let found = routes.find(host, path, method).map(|route| route.id().as_str());
    assert_eq!(found, expected, "{method} {host}{path}");
}

#[test]
fn the_most_specific_route_wins() {
    let routes = routes(&[
        ("root", &[], "/", &[]),
        ("reports", &[], "/reports", &[]),
        ("reports-post", &[], "/reports", &["POST"]),
        ("deep", &[], "/reports/2026/q1", &["GET"]),
        ("exact", &["www.acme.com"], "/", &[]),
        ("wild", &["*.acme.com"], "/reports", &[]),
    ]);
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
    check(&routes(&[]), "a.b", "GET", "/", None);
    let one = routes(&[("one", &[], "/a/b", &["GET"])]);
    check(&one, "a.b", "GET", "/a", None);
    check(&one, "a.b", "GET", "/", None);
    check(&one, "a.b", "POST", "/a/b", None);
    check(&one, "a.b", "GET", "/a/bc", None);
    let root_only = routes(&[("root", &[], "/", &[])]);
    check(&root_only, "a.b", "GET", "/x/y", Some("root"));
}

#[test]
fn among_equals_the_smaller_id_wins() {
    let routes = routes(&[("b", &[], "/", &[]), ("a", &[], "/", &[])]);
    check(&routes, "a.b", "GET", "/", Some("a"));
}
