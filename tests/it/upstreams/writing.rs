//! What can be written of an upstream, and what can be read again.

use serde_json::{Value, json};
use tenantry_test_support::{Authority, Platform};

struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    async fn send(&self, method: http::Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).json(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_place() {
    let platform = Platform::start().await;
    let api = api(&platform);
    let (ours, other) =
        (Authority::new("a").client("a.test"), Authority::new("b").client("b.test"));
    let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (change, pointer) in [
        (json!({"health_check": {"type": "http", "interval_ms": 1}}), "/health_check/interval_ms"),
        (json!({"health_check": {"type": "http", "path": "x"}}), "/health_check/path"),
        (json!({"health_check": {"type": "ping"}}), "/health_check/type"),
        (json!({"health_check": {"type": "tcp", "path": "/"}}), "/health_check"),
        (json!({"balance": {"policy": "best"}}), "/balance/policy"),
        (json!({"outlier": {"max_ejected_percent": 0}}), "/outlier/max_ejected_percent"),
        (json!({"timeouts": {"total_ms": 0}}), "/timeouts/total_ms"),
        (json!({"retries": {"attempts": 9}}), "/retries/attempts"),
        (json!({"max_requests": 0}), "/max_requests"),
        (json!({"protocol": "spdy"}), "/protocol"),
        (json!({"tls": {"ca_pem": "x"}}), "/tls/ca_pem"),
        (json!({"tls": {"ca_pem": not_der}}), "/tls/ca_pem"),
        (json!({"tls": {"ca_pem": ours.key_pem}}), "/tls/ca_pem"),
        (json!({"tls": {"client_certificate_pem": ours.certificate_pem}}), "/tls/client_key_pem"),
        (json!({"tls": {"client_key_pem": ours.key_pem}}), "/tls/client_certificate_pem"),
        (
            json!({"tls": {"client_certificate_pem": ours.certificate_pem, "client_key_pem": other.key_pem}}),
            "/tls/client_key_pem",
        ),
    ] {
        let (status, problem) =
            api.send(http::Method::PATCH, "/api/v1/upstreams/main", &change).await;
        let found = (status, &problem["errors"][0]["pointer"]);
        assert_eq!(found, (422, &pointer.into()), "{change}: {problem}");
        assert!(!problem.to_string().contains("PRIVATE KEY"), "{problem}");
    }
}

#[tokio::test]
async fn a_client_key_is_never_shown_and_not_lost() {
    let platform = Platform::start().await;
    let api = api(&platform);
    let ours = Authority::new("a").client("a.test");
    let tls = json!({"tls": {"client_certificate_pem": ours.certificate_pem, "client_key_pem": ours.key_pem}});
    let path = "/api/v1/upstreams/main";
    let (status, shown) = api.send(http::Method::PATCH, path, &tls).await;
    assert_eq!((status, shown["tls"]["client_certificate_pem"].is_string()), (200, true));
    assert!(!shown.to_string().contains("PRIVATE KEY"), "{shown}");
    // What was shown can be written again.
    let mut written = shown.clone();
    for field in ["created_at", "updated_at", "revision"] {
        written.as_object_mut().unwrap().remove(field);
    }
    written["max_requests"] = 7.into();
    let (status, shown) = api.send(http::Method::PUT, path, &written).await;
    assert_eq!((status, &shown["max_requests"]), (200, &7.into()), "{shown}");
    for path in [path, "/api/v1/upstreams", "/api/v1/audit"] {
        let (status, shown) = api.send(http::Method::GET, path, &json!({})).await;
        assert_eq!(status, 200);
        assert!(!shown.to_string().contains("PRIVATE KEY"), "{path}: {shown}");
    }
    let another = Authority::new("b").client("b.test").certificate_pem;
    written["tls"]["client_certificate_pem"] = another.into();
    let (status, problem) = api.send(http::Method::PUT, path, &written).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &"/tls/client_key_pem".into()));
}

fn api(platform: &Platform) -> Api {
    Api {
        http: platform.http().clone(),
        url: format!("http://{}", platform.api_address()),
        token: platform.root_token(),
    }
}
