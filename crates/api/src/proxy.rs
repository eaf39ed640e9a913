//! The proxies and what each enforces.

use serde::{Deserialize, Serialize};
use tenantry_model::{RegionId, TenantId, Timestamp};

/// One proxy, as `GET /api/v1/proxies` returns it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyBody {
    /// Its name.
    pub node: String,
    /// Whether it is following the stream now.
    pub connected: bool,
    /// The version of its build; none before its first report.
    pub version: Option<String>,
    /// Where it stands: the region it is enrolled for, or else what it says.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub region: Option<RegionId>,
    /// The history of the state it enforces.
    pub epoch: Option<String>,
    /// The revision it enforces.
    pub revision: Option<u64>,
    /// Up to here all changes of the platform are in force at it, also those that concern no proxy; none if it
    /// follows another history, or has not reported.
    pub enforced_through: Option<u64>,
    /// The hash of the state it holds.
    pub hash: Option<String>,
    /// The hash of what it is to hold at that revision; none if it is not remembered any more. It is asked to send
    /// everything again where the two differ.
    #[serde(default)]
    pub hash_expected: Option<String>,
    /// How many revisions it is behind; none if it follows another history, or has not reported.
    pub lag: Option<u64>,
    /// For how many seconds there has been a newer state than it enforces, at least: 0 if there is none. None if it
    /// follows another history, or has not reported.
    #[serde(default)]
    pub config_age_seconds: Option<u64>,
    /// When it began to enforce what it enforces.
    pub applied_at: Option<Timestamp>,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
    /// How many tenants it holds.
    pub tenants: Option<u64>,
    /// Resources it refuses, each kept in its last good form.
    pub refused: Vec<RefusedResource>,
    /// How many it refuses in all; the list may be cut.
    pub refused_total: u64,
}

/// A resource that a proxy does not enforce in its newest form.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedResource {
    /// Its kind.
    pub kind: String,
    /// Its identifier.
    pub id: String,
    /// Why, as a sentence.
    pub reason: String,
}

/// What the proxies have made of a tenant, as `GET /api/v1/tenants/{tenant}/status` returns it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantStatusBody {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub tenant_id: TenantId,
    /// Its slug.
    pub slug: String,
    /// The revision of its last change: of itself, or of anything that belongs to it.
    pub revision: u64,
    /// How many proxies enforce it as it is.
    pub enforced: u64,
    /// How many do not yet.
    pub behind: u64,
    /// How many refuse a part of it, and keep that part as it was.
    pub refused: u64,
    /// How many are known and do not follow the stream now; they go on with what they have.
    pub disconnected: u64,
    /// How many are of another region, and do not have it.
    #[serde(default)]
    pub elsewhere: u64,
    /// Each of them, for whoever may see the proxies.
    #[serde(default)]
    pub proxies: Vec<TenantAtProxy>,
}

/// What one proxy has made of a tenant.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantAtProxy {
    /// Its name.
    pub node: String,
    /// How it stands there.
    pub state: TenantAtProxyState,
    /// Up to here all changes of the platform are in force at it; none if it follows another history, or has not
    /// reported.
    pub enforced_through: Option<u64>,
    /// What of the tenant it refuses.
    pub refused: Vec<RefusedResource>,
}

/// How a tenant stands at a proxy.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantAtProxyState {
    /// As it is.
    Enforced,
    /// As it was.
    Behind,
    /// A part of it as it was, because the proxy refuses the newer form.
    Refused,
    /// The proxy does not follow the stream, and goes on with what it has.
    Disconnected,
    /// Not there: the proxy is enrolled for another region.
    Elsewhere,
}

/// `POST /api/v1/distribution/removal`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowRemoval {
    /// For how long, from 1 to 60.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 60))]
    pub minutes: u8,
}

/// Until when proxies are told that a mass removal is meant.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalAllowedBody {
    /// From this instant on it is not.
    pub until: Timestamp,
    /// The revision that wrote it.
    pub revision: u64,
}
