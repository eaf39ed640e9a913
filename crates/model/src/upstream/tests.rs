use serde_json::json;

use super::*;
use crate::SealedSecret;

fn parse(changes: &serde_json::Value) -> Result<Upstream, serde_json::Error> {
    let mut json = json!({"id": "a", "endpoints": [{"address": "127.0.0.1:1"}]});
    for (field, value) in changes.as_object().unwrap() {
        json[field] = value.clone();
    }
    serde_json::from_value(json)
}

#[test]
fn an_upstream_without_the_rest_keeps_its_bytes() {
    let plain = r#"{"id":"a","endpoints":[{"address":"127.0.0.1:1","weight":1}]}"#;
    let upstream: Upstream = serde_json::from_str(plain).unwrap();
    assert_eq!(serde_json::to_string(&upstream).unwrap(), plain);
}

#[test]
fn what_is_written_is_read_again() {
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
    let full = json!({
        "balance": {"policy": "consistent_hash", "hash_on": {"header": "X-User"}},
        "health_check": {"type": "http", "path": "/health?x=1", "host": "app.example",
            "expect_status": [200, 204], "interval_ms": 1000, "timeout_ms": 500,
            "healthy_after": 1, "unhealthy_after": 2},
        "outlier": {"consecutive_failures": 5, "eject_ms": 30000, "max_ejected_percent": 50},
        "timeouts": {"connect_ms": 100, "first_byte_ms": 200, "idle_ms": 300, "total_ms": 400},
        "retries": {"attempts": 2, "budget_percent": 20, "statuses": [503]},
        "max_requests": 10, "max_connections": 20, "protocol": "auto",
        "tls": {"server_name": "app.internal", "ca_pem": pem, "client_certificate_pem": pem,
            "client_key_pem": key, "verify": false},
    });
    let upstream = parse(&full).unwrap();
    let again = serde_json::to_value(&upstream).unwrap();
    assert_eq!(serde_json::from_value::<Upstream>(again).unwrap(), upstream);
    assert!(!format!("{upstream:?}").contains("BEGIN PRIVATE"), "a key is not shown");
    let on = upstream.balance.hash_on();
    assert!(matches!(on, Some(HashOn::Header(name)) if name.as_str() == "x-user"));
    assert!(upstream.health_check.unwrap().expects(204));
}

#[test]
fn a_client_key_is_clear_or_sealed_in_one_field() {
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
    let sealed = SealedSecret::new("0123456789abcdef", &"a".repeat(40)).unwrap();
    let with = |key: &str| {
        let tls = json!({"client_certificate_pem": pem, "client_key_pem": key});
        parse(&json!({"tls": tls})).unwrap()
    };
    let (clear, stored) = (with(key), with(sealed.as_str()));
    assert!(matches!(clear.client_key(), Some(ClientKey::Clear(text)) if text.expose() == key));
    assert_eq!(stored.client_key(), Some(&ClientKey::Sealed(sealed.clone())));
    let changed = clear.with_client_key(|_| Ok::<_, ()>(ClientKey::Sealed(sealed))).unwrap();
    assert_eq!(changed, stored);
    assert_eq!(parse(&json!({})).unwrap().with_client_key(Err), Ok(parse(&json!({})).unwrap()));
    let again = serde_json::to_value(&stored).unwrap();
    assert_eq!(serde_json::from_value::<Upstream>(again).unwrap(), stored);
}

#[test]
fn what_is_left_out_has_a_default() {
    let hash = parse(&json!({"balance": {"policy": "consistent_hash"}})).unwrap();
    assert_eq!(hash.balance.hash_on(), Some(HashOn::Tenant));
    let check = parse(&json!({"health_check": {"type": "tcp"}})).unwrap().health_check.unwrap();
    assert_eq!((check.interval().as_secs(), check.unhealthy_after()), (5, 3));
    assert_eq!(parse(&json!({"retries": {}})).unwrap().retries, Some(Box::default()));
    let outlier = parse(&json!({"outlier": {}})).unwrap().outlier.unwrap();
    assert_eq!(outlier.max_ejected_percent.get(), 50);
}

#[test]
fn rules_are_kept() {
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    for bad in [
        json!({"balance": {"policy": "random"}}),
        json!({"balance": {"policy": "round_robin", "hash_on": "tenant"}}),
        json!({"balance": {"policy": "consistent_hash", "hash_on": {"header": "x user"}}}),
        json!({"health_check": {"type": "tcp", "path": "/"}}),
        json!({"health_check": {"type": "http", "path": "health"}}),
        json!({"health_check": {"type": "http", "path": "/ x"}}),
        json!({"health_check": {"type": "http", "interval_ms": 0}}),
        json!({"health_check": {"type": "http", "interval_ms": 100, "timeout_ms": 200}}),
        json!({"health_check": {"type": "http", "expect_status": [99]}}),
        json!({"health_check": {"type": "http", "healthy_after": 0}}),
        json!({"outlier": {"consecutive_failures": 0}}),
        json!({"outlier": {"max_ejected_percent": 101}}),
        json!({"timeouts": {"connect_ms": 0}}),
        json!({"timeouts": {"total": 1}}),
        json!({"retries": {"attempts": 6}}),
        json!({"retries": {"statuses": [500]}}),
        json!({"max_requests": 0}),
        json!({"max_connections": 0}),
        json!({"protocol": "http3"}),
        json!({"tls": {"server_name": "not a name"}}),
        json!({"tls": {"ca_pem": "nothing"}}),
        json!({"tls": {"client_key_pem": pem}}),
        json!({"tls": {"ca": pem}}),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
}
