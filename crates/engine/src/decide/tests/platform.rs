//! A small platform to decide requests on: two tenants, a plan, routes, and credentials of all sorts.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_credentials::{api_key::ApiKeySecret, signing::SigningKey};
use tenantry_model::{
    CertificatePem, IssuerId, KeyId, Resource, ResourceKind, TenantId, Timestamp,
};

use super::super::*;
use crate::{Change, HeaderFacts, Runtime, RuntimeOptions, VerifiedClient, trace::Explanation};

pub(super) const NOW_SECONDS: u64 = 1_800_000_000;

pub(super) fn now() -> Now {
    Now { unix: Timestamp::from_unix_ms(NOW_SECONDS * 1000), monotonic: Duration::from_secs(77) }
}

pub(super) fn tenant_id(slug: &str) -> TenantId {
    TenantId::from_parts(1, u128::from(slug.bytes().next().unwrap()))
}

pub(super) fn empty() -> Table {
    let options = RuntimeOptions {
        named_tenants: 10,
        token_cache_bytes: 1 << 20,
        limited_subjects: 1_000,
        max_in_flight: 1_000,
        seed: 3,
    };
    Table::new(Arc::new(Runtime::new(options)), 3)
}

pub(super) fn resource(kind: ResourceKind, json: &Value) -> Resource {
    Resource::from_json(kind, json.to_string().as_bytes())
        .unwrap_or_else(|error| panic!("{json}: {error}"))
}

pub(super) fn put(table: &Table, kind: ResourceKind, json: &Value) -> Table {
    let applied = table.apply([Change::Put(resource(kind, json))]);
    assert_eq!(applied.refused, []);
    applied.table
}

pub(super) fn tenant(slug: &str, changes: &Value) -> Value {
    let mut json = json!({"id": tenant_id(slug), "slug": slug, "state": "active", "plan": "pro"});
    for (field, value) in changes.as_object().unwrap() {
        json[field] = value.clone();
    }
    json
}

/// The secret of a key is drawn from its name, so that tests can present it.
pub(super) fn secret(name: &str) -> String {
    let mut bytes = name.bytes().cycle();
    ApiKeySecret::generate(|| bytes.next().unwrap()).expose().to_owned()
}

pub(super) fn key(name: &str, tenant: &str, changes: &Value) -> Value {
    let digest = tenantry_credentials::api_key::parse(&secret(name)).unwrap().digest();
    let id = KeyId::from_parts(1, u128::from_be_bytes(digest.as_bytes()[..16].try_into().unwrap()));
    let mut json = json!({"id": id, "tenant": tenant_id(tenant), "digest": digest});
    for (field, value) in changes.as_object().unwrap() {
        json[field] = value.clone();
    }
    json
}

pub(super) fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

/// An issuer of all tenants, which signs with the key of seed 1 under the id `k1`.
pub(super) fn shared_issuer() -> Value {
    json!({
        "id": IssuerId::from_parts(1, 1), "issuer": "https://id.example/", "audiences": ["api"],
        "algorithms": ["EdDSA"], "tenant_claim": "tenant", "jwks": {"keys": [signing_key(1).jwk("k1")]},
    })
}

pub(super) fn claims(tenant: &str, changes: &Value) -> Value {
    let mut json = json!({
        "iss": "https://id.example/", "aud": "api", "sub": "u1", "tenant": tenant, "exp": NOW_SECONDS + 300,
    });
    for (field, value) in changes.as_object().unwrap() {
        json[field] = value.clone();
    }
    json
}

pub(super) fn token(claims: &Value) -> String {
    signing_key(1).sign(claims, "k1")
}

/// Plan `pro` with feature `reports`, upstream `main`, routes `/` and `/reports`, tenants `acme` and
/// `beta` with a domain and a key each, and one issuer for both.
pub(super) fn platform() -> Table {
    let mut table = empty();
    for (kind, json) in [
        (ResourceKind::Plan, json!({"id": "pro", "name": "Pro", "features": ["reports"]})),
        (
            ResourceKind::Upstream,
            json!({"id": "main", "endpoints": [{"address": "127.0.0.1:9000"}]}),
        ),
        (ResourceKind::Route, json!({"id": "all", "upstream": "main"})),
        (
            ResourceKind::Route,
            json!({"id": "reports", "match": {"path_prefix": "/reports"}, "require_features": ["reports"], "upstream": "main"}),
        ),
        (ResourceKind::Tenant, tenant("acme", &json!({}))),
        (ResourceKind::Tenant, tenant("beta", &json!({}))),
        (ResourceKind::Domain, json!({"host": "acme.example", "tenant": tenant_id("acme")})),
        (ResourceKind::Domain, json!({"host": "*.acme.example", "tenant": tenant_id("acme")})),
        (ResourceKind::Domain, json!({"host": "beta.example", "tenant": tenant_id("beta")})),
        (ResourceKind::ApiKey, key("acme-1", "acme", &json!({"scopes": ["reports:read"]}))),
        (
            ResourceKind::ApiKey,
            key("acme-old", "acme", &json!({"expires_at": "2020-01-01T00:00:00Z"})),
        ),
        (ResourceKind::ApiKey, key("beta-1", "beta", &json!({}))),
        (ResourceKind::Issuer, shared_issuer()),
    ] {
        table = put(&table, kind, &json);
    }
    table
}

/// A request in the making.
pub(super) struct Request {
    pub(super) client: std::net::IpAddr,
    pub(super) sni: Option<String>,
    pub(super) client_certificate: Option<(TenantId, CertificatePem)>,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) fn get(host: &str, path: &str) -> Request {
    Request {
        client: [192, 0, 2, 1].into(),
        sni: None,
        client_certificate: None,
        method: "GET",
        path: path.into(),
        headers: vec![("host", host.into())],
    }
}

impl Request {
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn key(self, name: &str) -> Self {
        self.header("x-api-key", secret(name))
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(super) fn with_facts<T>(&self, then: impl FnOnce(&RequestFacts<'_>) -> T) -> T {
        let headers = HeaderFacts::collect(
            self.headers.iter().map(|(name, value)| (*name, value.as_bytes())),
        );
        let all_headers: http::HeaderMap = self
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((http::HeaderName::from_static(name), value.parse().ok()?))
            })
            .collect();
        then(&RequestFacts {
            client: self.client,
            sni: self.sni.as_deref(),
            client_certificate: self
                .client_certificate
                .as_ref()
                .map(|(tenant, authorities)| VerifiedClient { tenant: *tenant, authorities }),
            method: self.method,
            path: &self.path,
            headers,
            all_headers: &all_headers,
        })
    }

    pub(super) fn decide(&self, table: &Table) -> Decision {
        self.with_facts(|facts| decide(table, facts, now(), &mut ()))
    }

    pub(super) fn decide_at(&self, table: &Table, now: Now) -> Decision {
        self.with_facts(|facts| decide(table, facts, now, &mut ()))
    }

    pub(super) fn explain(&self, table: &Table) -> (Decision, Explanation) {
        let mut explanation = Explanation::default();
        let decision = self.with_facts(|facts| explain(table, facts, now(), &mut explanation));
        (decision, explanation)
    }

    /// Asserts what becomes of the request: `tenant route`, with `-` for no tenant and the location
    /// of a redirect behind it, or a reason.
    #[track_caller]
    pub(super) fn check(&self, table: &Table, expected: &str) {
        assert_eq!(outcome(&self.decide(table)), expected, "{:?} {}", self.headers, self.path);
    }
}

pub(super) fn outcome(decision: &Decision) -> String {
    match decision {
        Decision::Forward(forward) => {
            format!("{} {}", slug(forward.admission.as_ref()), forward.route.id())
        }
        Decision::Redirect(Redirection { admission, route, status, location }) => {
            format!("{} {} {status} {location}", slug(admission.as_ref()), route.id())
        }
        Decision::Deny(denial) => denial.reason.as_str().to_owned(),
    }
}

fn slug(admission: Option<&Admission>) -> &str {
    admission.map_or("-", |admission| admission.tenant.slug().as_str())
}
