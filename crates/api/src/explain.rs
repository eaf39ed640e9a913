//! `POST /explain` on a proxy's admin listener: why a request would be answered as it would.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use serde::{Deserialize, Serialize};

/// A request to explain. Nothing is sent anywhere and nothing is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The `Host` header.
    pub host: String,
    /// The path.
    #[serde(default = "root")]
    pub path: String,
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// The API key in `X-API-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The token in `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    /// The client's address.
    #[serde(default = "localhost")]
    pub from_ip: IpAddr,
    /// The TLS server name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Other headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

fn root() -> String {
    "/".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

fn localhost() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

/// What would become of the request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ExplainResponse {
    /// The revision it was decided by.
    pub revision: u64,
    /// `forward`, `redirect`, or the reason for which it would be refused.
    pub outcome: String,
    /// The status of the redirect or refusal.
    pub status: Option<u16>,
    /// The tenant's slug.
    pub tenant: Option<String>,
    /// The route it would take.
    pub route: Option<String>,
    /// Where it would go.
    pub upstream: Option<String>,
    /// Each step of the decision, in order.
    pub steps: Vec<ExplainStep>,
    /// What would be left of the tenant's rate limits.
    pub limits: Vec<LimitLeft>,
}

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainStep {
    /// Which stage.
    pub stage: String,
    /// The rule, and what it said.
    pub detail: String,
}

/// A rate limit and what is left of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitLeft {
    /// The limit's name.
    pub name: String,
    /// Requests per window.
    pub quota: u32,
    /// The window, in seconds.
    pub window_seconds: u32,
    /// Requests that would be left.
    pub remaining: u32,
    /// Seconds until nothing is spent any more.
    pub reset_seconds: f64,
}
