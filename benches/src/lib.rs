//! A platform of any size to measure on: every tenant has one domain and one API key, all are on one
//! plan with a rate limit and a feature, and one issuer speaks for all.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use serde_json::json;
use tenantry_credentials::{api_key::ApiKeySecret, signing::SigningKey};
use tenantry_engine::{
    Change, HeaderFacts, Now, RequestFacts, Runtime, RuntimeOptions, Single, Table,
};
use tenantry_model::{
    ApiKey, AuthRequirement, Domain, Endpoint, Invalid, KeyId, Resource, ResourceKind, Slug,
    Tenant, TenantId, TenantState, Timestamp,
};

/// What a platform could not be built from; no figure comes of it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

const NOW_SECONDS: u64 = 1_800_000_000;
const SEED: u64 = 0x7e4a_4e7a;

/// The time of every measured request. Limits are far above what is spent, so it can stand still.
#[must_use]
pub fn now() -> Now {
    Now { unix: Timestamp::from_unix_ms(NOW_SECONDS * 1000), monotonic: Duration::from_secs(1000) }
}

/// An engine without resources.
#[must_use]
pub fn empty_table() -> Table {
    let options = RuntimeOptions {
        named_tenants: 200,
        token_cache_bytes: 64 << 20,
        limited_subjects: 1_000_000,
        max_in_flight: 1_000_000,
        seed: SEED,
    };
    Table::new(Arc::new(Runtime::new(options)), SEED)
}

/// A table with this many tenants.
///
/// # Errors
/// None that the fixed input can cause.
pub fn table_of(tenants: u32) -> Result<Table, Failure> {
    let mut resources = shared_resources()?;
    for number in 0..tenants {
        resources.push(Resource::Tenant(tenant(number)?));
        resources.push(Resource::Domain(Domain {
            host: host(number).parse()?,
            tenant: tenant_id(number),
        }));
        resources.push(Resource::ApiKey(api_key(number)));
    }
    Ok(empty_table().replace(resources).table)
}

/// The change of one tenant, as a delta.
///
/// # Errors
/// None that the fixed input can cause.
pub fn one_tenant_delta(number: u32, round: u64) -> Result<Change, Failure> {
    let mut tenant = tenant(number)?;
    tenant.features.insert("reports".parse()?, round.is_multiple_of(2));
    Ok(Change::Put(Resource::Tenant(tenant)))
}

/// The change of the plan that all tenants have.
///
/// # Errors
/// None that the fixed input can cause.
pub fn plan_delta(round: u64) -> Result<Change, Failure> {
    let limit = json!({"name": "burst", "quota": 1_000_000_000 - round, "window_seconds": 1});
    let plan = json!({"id": "pro", "name": "Pro", "limits": {"requests": [limit]}, "features": ["reports"]});
    let plan = Resource::from_json(ResourceKind::Plan, plan.to_string().as_bytes())?;
    Ok(Change::Put(plan))
}

/// The change of a route that all tenants share.
///
/// # Errors
/// None that the fixed input can cause.
pub fn route_delta(round: u64) -> Result<Change, Failure> {
    let prefix = format!("/reports-{round}");
    let route = json!({"id": "reports", "match": {"path_prefix": prefix}, "upstream": "main"});
    let route = Resource::from_json(ResourceKind::Route, route.to_string().as_bytes())?;
    Ok(Change::Put(route))
}

fn shared_resources() -> Result<Vec<Resource>, Failure> {
    let resource =
        |kind, json: serde_json::Value| Resource::from_json(kind, json.to_string().as_bytes());
    let limit = json!({"name": "burst", "quota": 1_000_000_000, "window_seconds": 1});
    let issuer = json!({
        "id": "iss_00000000000000000000000001", "issuer": "https://id.example/", "audiences": ["api"],
        "algorithms": ["EdDSA"], "tenant_claim": "tenant", "jwks": {"keys": [signing_key()?.jwk("k1")]},
    });
    let endpoint = Endpoint { address: "127.0.0.1:9000".parse()?, weight: NonZeroU16::MIN };
    Ok(vec![
        resource(
            ResourceKind::Plan,
            json!({"id": "pro", "name": "Pro", "limits": {"requests": [limit]}, "features": ["reports"]}),
        )?,
        resource(ResourceKind::Upstream, json!({"id": "main", "endpoints": [endpoint]}))?,
        resource(ResourceKind::Route, json!({"id": "all", "upstream": "main"}))?,
        resource(
            ResourceKind::Route,
            json!({"id": "reports", "match": {"path_prefix": "/reports"}, "require_features": ["reports"], "upstream": "main"}),
        )?,
        resource(ResourceKind::Issuer, issuer)?,
    ])
}

fn tenant(number: u32) -> Result<Tenant, Failure> {
    Ok(Tenant {
        id: tenant_id(number),
        slug: slug(number)?,
        state: TenantState::Active,
        plan: "pro".parse()?,
        group: None,
        // Even ones are reached by host alone, odd ones need a credential.
        auth: if number.is_multiple_of(2) { AuthRequirement::None } else { AuthRequirement::Any },
        access: tenantry_model::Access::default(),
        features: std::collections::BTreeMap::default(),
        limits: tenantry_model::Limits::default(),
        client_ca_pem: None,
        region: None,
        branding: None,
        access_log: None,
    })
}

/// Spread over the whole range, as the random halves of real identifiers are.
fn spread(number: u32) -> u128 {
    u128::from(number.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

fn tenant_id(number: u32) -> TenantId {
    TenantId::from_parts(u64::from(number), spread(number))
}

fn slug(number: u32) -> Result<Slug, Invalid> {
    format!("tenant-{number}").parse()
}

/// The host of a tenant.
#[must_use]
pub fn host(number: u32) -> String {
    format!("tenant-{number}.example.com")
}

/// The secret of a tenant's API key.
#[must_use]
pub fn secret(number: u32) -> String {
    secret_key(number).expose().to_owned()
}

/// The digest of a tenant's API key, as an import takes it.
///
/// # Errors
/// None that the fixed input can cause.
pub fn digest(number: u32) -> Result<serde_json::Value, Failure> {
    Ok(serde_json::to_value(secret_key(number).digest())?)
}

/// SplitMix64, so that each number has bytes of its own.
fn secret_key(number: u32) -> ApiKeySecret {
    let mut state = u64::from(number);
    ApiKeySecret::generate(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 56).to_le_bytes()[0]
    })
}

fn api_key(number: u32) -> ApiKey {
    ApiKey {
        id: KeyId::from_parts(u64::from(number), spread(number)),
        tenant: tenant_id(number),
        digest: secret_key(number).digest(),
        scopes: std::collections::BTreeSet::default(),
        expires_at: None,
        enabled: true,
        allowed_networks: None,
        rate_limits: tenantry_model::RateLimits::default(),
    }
}

fn signing_key() -> Result<SigningKey, Failure> {
    Ok(SigningKey::from_seed(&[7; 32])?)
}

/// An `Authorization` header with a token for a tenant, of the size that identity providers send.
///
/// # Errors
/// None that the fixed input can cause.
pub fn bearer(number: u32) -> Result<String, Failure> {
    let claims = json!({
        "iss": "https://id.example/", "aud": "api", "sub": format!("user-{number}"), "tenant": slug(number)?,
        "exp": NOW_SECONDS + 3600, "email": format!("user-{number}@tenant-{number}.example.com"), "name": "A name of usual length",
        "scope": "openid profile email", "jti": format!("{:032x}", spread(number)),
    });
    Ok(format!("Bearer {}", signing_key()?.sign(&claims, "k1")))
}

/// The facts of a request with the headers a browser sends.
#[must_use]
pub fn facts<'a>(
    host: &'a str,
    key: Option<&'a str>,
    authorization: Option<&'a str>,
) -> RequestFacts<'a> {
    let single = |value: Option<&'a str>| {
        value.map_or(Single::Missing, |value| Single::One(value.as_bytes()))
    };
    RequestFacts {
        client: std::net::IpAddr::from([192, 0, 2, 7]),
        sni: None,
        client_certificate: None,
        method: "GET",
        path: "/reports/2026",
        headers: HeaderFacts {
            host: Single::One(host.as_bytes()),
            api_key: single(key),
            authorization: single(authorization),
            ..HeaderFacts::default()
        },
        all_headers: &(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_tenant_has_a_key_and_a_host_of_its_own() {
        let count = 50_000;
        assert_eq!((0..count).map(secret).collect::<HashSet<_>>().len(), count as usize);
        assert_eq!((0..count).map(host).collect::<HashSet<_>>().len(), count as usize);
        assert_eq!((0..count).map(tenant_id).collect::<HashSet<_>>().len(), count as usize);
    }
}
