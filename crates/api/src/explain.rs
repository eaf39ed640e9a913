//! `POST /api/v1/explain`, and `POST /explain` on a proxy's admin listener: why a request would be answered as it
//! would.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use serde::{Deserialize, Serialize};

/// A request to explain. Nothing is sent anywhere and nothing is charged.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(default = "localhost")]
    pub from_ip: IpAddr,
    /// The TLS server name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// As if a client certificate had been verified when the connection was made, for the tenant of the
    /// TLS server name or, without one, of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_certificate: bool,
    /// Other headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The proxy by whose state it is decided, with what is left of limits there; the control plane's state, if it is
    /// not given. For the control plane alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

impl fmt::Debug for ExplainRequest {
    /// Leaves out what may be a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, path, method, proxy, .. } = self;
        let mut shown = f.debug_struct("ExplainRequest");
        shown.field("host", host).field("path", path).field("method", method);
        shown.field("proxy", proxy).finish_non_exhaustive()
    }
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ExplainResponse {
    /// The revision it was decided by.
    pub revision: u64,
    /// The proxy that decided it; none, if the control plane did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
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
    /// What is not known here, and might decide otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One step of a decision.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainStep {
    /// Which stage.
    pub stage: String,
    /// The rule, and what it said.
    pub detail: String,
    /// The resources that it follows from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ExplainRule>,
}

/// A resource that a step of a decision follows from.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainRule {
    /// Its kind.
    pub kind: String,
    /// Its identifier.
    pub id: String,
    /// The revision that wrote the form in which it was decided by; none, if that is not kept any more, or if a proxy
    /// was asked directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// A rate limit and what is left of it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
