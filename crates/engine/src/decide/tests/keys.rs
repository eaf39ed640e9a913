//! What a key says of itself: from where, how often, and whether at all.

use std::{net::IpAddr, time::Duration};

use serde_json::{Value, json};
use tenantry_model::{ResourceKind, Timestamp};

use super::{super::*, platform::*};

fn with_key(changes: &Value) -> Table {
    put(&platform(), ResourceKind::ApiKey, &key("acme-1", "acme", changes))
}

fn from(client: &str) -> Request {
    let client: IpAddr = client.parse().unwrap();
    Request { client, ..get("acme.example", "/").key("acme-1") }
}

#[test]
fn a_key_is_good_from_its_networks_only() {
    let table = with_key(&json!({"allowed_networks": ["192.0.2.0/24", "2001:db8::/32"]}));
    for (client, expected) in [
        ("192.0.2.77", "acme all"),
        ("::ffff:192.0.2.77", "acme all"),
        ("2001:db8::1", "acme all"),
        ("192.0.3.1", "ip-denied"),
        ("::ffff:192.0.3.1", "ip-denied"),
        ("2001:db9::1", "ip-denied"),
    ] {
        from(client).check(&table, expected);
    }
    // Other keys of the tenant, and other tenants, are not concerned.
    let other = put(&table, ResourceKind::ApiKey, &key("acme-other", "acme", &json!({})));
    let request = Request { client: [203, 0, 113, 9].into(), ..get("acme.example", "/") };
    request.key("acme-other").check(&other, "acme all");
    // The list is the key's: it opens nothing that the tenant's own lists close.
    let closed = json!({"access": {"mode": "allowlist", "allow": ["198.51.100.0/24"]}});
    let closed = put(&table, ResourceKind::Tenant, &tenant("acme", &closed));
    from("192.0.2.77").check(&closed, "ip-denied");
    from("198.51.100.1").check(&closed, "ip-denied");
}

#[test]
fn a_key_that_is_off_is_refused_like_one_that_is_not() {
    let table = with_key(&json!({"enabled": false, "expires_at": "2020-01-01T00:00:00Z"}));
    let off = from("192.0.2.1").decide(&table);
    let unknown = get("acme.example", "/").key("nobody").decide(&table);
    assert_eq!(outcome(&off), "credential-invalid");
    assert_eq!(outcome(&off), outcome(&unknown));
    let (_, explanation) = from("192.0.2.1").explain(&table);
    assert!(explanation.0.iter().any(|step| step.detail.contains("is off")), "{explanation:?}");
    from("192.0.2.1").check(&with_key(&json!({"enabled": true})), "acme all");
}

#[test]
fn a_key_is_good_until_the_instant_at_which_it_expires() {
    let expires_at = now().unix;
    let table = with_key(&json!({ "expires_at": expires_at }));
    let at = |unix_ms: u64| Now { unix: Timestamp::from_unix_ms(unix_ms), ..now() };
    let outcome_at =
        |unix_ms: u64| outcome(&from("192.0.2.1").decide_at(&table, at(unix_ms))).to_owned();
    assert_eq!(outcome_at(expires_at.unix_ms() - 1), "acme all");
    assert_eq!(outcome_at(expires_at.unix_ms()), "credential-expired");
}

fn levels(decision: &Decision) -> Vec<(String, u32)> {
    let left = |level: LimitLevel<'_>| (level.name().into_owned(), level.level.remaining);
    match decision {
        Decision::Forward(forward) => forward.limits().map(left).collect(),
        Decision::Deny(denial) => denial.limits().map(left).collect(),
        Decision::Redirect(_) => panic!("nothing redirects here"),
    }
}

#[test]
fn limits_of_a_key_are_checked_beside_its_tenants() {
    let limit =
        |name: &str, quota: u32| json!({"name": name, "quota": quota, "window_seconds": 60});
    let rules = json!({"rate_limits": [limit("a", 3)]});
    let plan = json!({"id": "pro", "name": "Pro", "limits": {"requests": [limit("a", 5)]}});
    let table = put(&with_key(&rules), ResourceKind::Plan, &plan);
    let table = put(&table, ResourceKind::ApiKey, &key("acme-other", "acme", &rules));
    let request = from("192.0.2.1");
    for left in (0..3).rev() {
        let expected = [("a".to_owned(), left + 2), ("key.a".to_owned(), left)];
        assert_eq!(levels(&request.decide(&table)), expected);
    }
    // The key has none left, and nothing is charged to the tenant for what is refused.
    for _ in 0..3 {
        let refused = request.decide(&table);
        assert_eq!(outcome(&refused), "rate-limited");
        assert_eq!(levels(&refused)[1], ("key.a".to_owned(), 0));
    }
    // The other key has its own, and the tenant what is left.
    let other = get("acme.example", "/").key("acme-other");
    assert_eq!(levels(&other.decide(&table)), [("a".into(), 1), ("key.a".into(), 2)]);
    other.check(&table, "acme all");
    other.check(&table, "rate-limited");
}

#[test]
fn what_a_key_has_spent_outlives_the_table() {
    let rules =
        |quota: u32| json!({"rate_limits": [{"name": "a", "quota": quota, "window_seconds": 60}]});
    let table = with_key(&rules(4));
    let request = from("192.0.2.1");
    for _ in 0..4 {
        request.check(&table, "acme all");
    }
    request.check(&table, "rate-limited");
    // The same resources again, in a full state: nothing was given back.
    let again = put(&table, ResourceKind::ApiKey, &key("acme-1", "acme", &rules(4)));
    request.check(&again, "rate-limited");
    // A raised limit remembers the four.
    let raised = put(&again, ResourceKind::ApiKey, &key("acme-1", "acme", &rules(10)));
    assert_eq!(levels(&request.decide(&raised)), [("key.a".to_owned(), 5)]);
}

#[test]
fn a_limit_of_a_key_may_be_told_apart_further() {
    let rules = json!({"rate_limits": [
        {"name": "c", "quota": 1, "window_seconds": 60, "per": "client"},
        {"name": "r", "quota": 1, "window_seconds": 60, "routes": ["reports"]},
    ]});
    let table = with_key(&rules);
    from("192.0.2.1").check(&table, "acme all");
    from("192.0.2.1").check(&table, "rate-limited");
    from("192.0.2.2").check(&table, "acme all");
    let reports = |client: [u8; 4]| Request {
        client: client.into(),
        ..get("acme.example", "/reports").key("acme-1")
    };
    reports([192, 0, 2, 3]).check(&table, "acme reports");
    reports([192, 0, 2, 4]).check(&table, "rate-limited");
}

#[test]
fn uses_are_noted_when_they_are_charged() {
    let table = with_key(&json!({}));
    let uses = || table.runtime().key_uses.take(10);
    from("192.0.2.1").explain(&table);
    get("acme.example", "/").check(&table, "credential-missing");
    get("beta.example", "/").key("acme-1").check(&table, "tenant-mismatch");
    assert_eq!(uses(), []);
    from("192.0.2.1").check(&table, "acme all");
    from("192.0.2.1").check(&table, "acme all");
    let used = uses();
    assert_eq!(used.len(), 1);
    assert_eq!(used[0].1, Timestamp::from_unix_ms(NOW_SECONDS * 1000 / 60_000 * 60_000));
    assert_eq!(uses(), []);
    let later = Now {
        unix: Timestamp::from_unix_ms((NOW_SECONDS + 3600) * 1000),
        monotonic: Duration::from_secs(4000),
    };
    from("192.0.2.1").decide_at(&table, later);
    assert_eq!(uses().len(), 1);
}
