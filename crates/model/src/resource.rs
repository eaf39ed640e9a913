//! Any resource, its kind and its identity.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{ApiKey, Certificate, Domain, Feature, Group, Issuer, Plan, Route, Tenant, Upstream};

/// The kinds of resources, in an order in which each stands after what it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is named after its type")]
pub enum ResourceKind {
    Feature,
    Plan,
    Group,
    Upstream,
    Tenant,
    Route,
    Domain,
    ApiKey,
    Issuer,
    Certificate,
}

impl ResourceKind {
    /// Every kind, in order.
    pub const ALL: [Self; 10] = [
        Self::Feature,
        Self::Plan,
        Self::Group,
        Self::Upstream,
        Self::Tenant,
        Self::Route,
        Self::Domain,
        Self::ApiKey,
        Self::Issuer,
        Self::Certificate,
    ];

    /// The kind as it is written in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Plan => "plan",
            Self::Group => "group",
            Self::Upstream => "upstream",
            Self::Tenant => "tenant",
            Self::Route => "route",
            Self::Domain => "domain",
            Self::ApiKey => "api_key",
            Self::Issuer => "issuer",
            Self::Certificate => "certificate",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which resource: its kind, and its identifier within that kind (a domain's is its host).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRef {
    /// The kind.
    pub kind: ResourceKind,
    /// The identifier as text.
    pub id: String,
}

impl fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// One resource of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its type")]
pub enum Resource {
    Feature(Feature),
    Plan(Plan),
    Group(Group),
    Upstream(Upstream),
    Tenant(Tenant),
    /// Boxed: it is by far the largest, and there are many more of the others.
    Route(Box<Route>),
    Domain(Domain),
    ApiKey(ApiKey),
    Issuer(Issuer),
    Certificate(Certificate),
}

impl Resource {
    /// Parses the JSON of a resource whose kind is known.
    ///
    /// # Errors
    /// The first rule the JSON breaks, with its place.
    pub fn from_json(kind: ResourceKind, json: &[u8]) -> Result<Self, serde_json::Error> {
        fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
            serde_json::from_slice(json)
        }
        Ok(match kind {
            ResourceKind::Feature => Self::Feature(parse(json)?),
            ResourceKind::Plan => Self::Plan(parse(json)?),
            ResourceKind::Group => Self::Group(parse(json)?),
            ResourceKind::Upstream => Self::Upstream(parse(json)?),
            ResourceKind::Tenant => Self::Tenant(parse(json)?),
            ResourceKind::Route => Self::Route(parse(json)?),
            ResourceKind::Domain => Self::Domain(parse(json)?),
            ResourceKind::ApiKey => Self::ApiKey(parse(json)?),
            ResourceKind::Issuer => Self::Issuer(parse(json)?),
            ResourceKind::Certificate => Self::Certificate(parse(json)?),
        })
    }

    /// The resource as JSON, the form that travels and is hashed.
    ///
    /// # Errors
    /// None that a validated resource can cause; the encoder's own.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Feature(feature) => serde_json::to_vec(feature),
            Self::Plan(plan) => serde_json::to_vec(plan),
            Self::Group(group) => serde_json::to_vec(group),
            Self::Upstream(upstream) => serde_json::to_vec(upstream),
            Self::Tenant(tenant) => serde_json::to_vec(tenant),
            Self::Route(route) => serde_json::to_vec(route),
            Self::Domain(domain) => serde_json::to_vec(domain),
            Self::ApiKey(api_key) => serde_json::to_vec(api_key),
            Self::Issuer(issuer) => serde_json::to_vec(issuer),
            Self::Certificate(certificate) => serde_json::to_vec(certificate),
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Feature(_) => ResourceKind::Feature,
            Self::Plan(_) => ResourceKind::Plan,
            Self::Group(_) => ResourceKind::Group,
            Self::Upstream(_) => ResourceKind::Upstream,
            Self::Tenant(_) => ResourceKind::Tenant,
            Self::Route(_) => ResourceKind::Route,
            Self::Domain(_) => ResourceKind::Domain,
            Self::ApiKey(_) => ResourceKind::ApiKey,
            Self::Issuer(_) => ResourceKind::Issuer,
            Self::Certificate(_) => ResourceKind::Certificate,
        }
    }

    /// Its kind and identifier.
    #[must_use]
    pub fn reference(&self) -> ResourceRef {
        let id = match self {
            Self::Feature(feature) => feature.id.to_string(),
            Self::Plan(plan) => plan.id.to_string(),
            Self::Group(group) => group.id.to_string(),
            Self::Upstream(upstream) => upstream.id.to_string(),
            Self::Tenant(tenant) => tenant.id.to_string(),
            Self::Route(route) => route.id.to_string(),
            Self::Domain(domain) => domain.host.to_string(),
            Self::ApiKey(api_key) => api_key.id.to_string(),
            Self::Issuer(issuer) => issuer.id().to_string(),
            Self::Certificate(certificate) => certificate.id.to_string(),
        };
        ResourceRef { kind: self.kind(), id }
    }
}
