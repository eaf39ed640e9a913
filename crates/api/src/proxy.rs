//! The proxies and what each enforces.

use serde::{Deserialize, Serialize};
use tenantry_model::Timestamp;

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
    /// The history of the state it enforces.
    pub epoch: Option<String>,
    /// The revision it enforces.
    pub revision: Option<u64>,
    /// Up to here all changes of the platform are in force at it, also those that concern no proxy; none if it
    /// follows another history, or has not reported.
    pub enforced_through: Option<u64>,
    /// The hash of the state it holds.
    pub hash: Option<String>,
    /// How many revisions it is behind; none if it follows another history, or has not reported.
    pub lag: Option<u64>,
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
