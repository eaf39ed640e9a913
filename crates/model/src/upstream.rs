//! Upstreams: named groups of servers, and how they are treated.
//!
//! Everything but the endpoints may be left out; what is left out is not written either, so an upstream
//! that says nothing of them has the same bytes, and the same hash, as before they existed.

mod balance;
mod endpoint;
mod health;
mod patience;
mod tls;

use serde::{Deserialize, Serialize};

pub use balance::{Balance, HashHeader, HashOn, Policy};
pub use endpoint::{Endpoint, EndpointAddress, Endpoints, MAX_ENDPOINTS};
pub use health::{CheckKind, CheckPath, HealthCheck, Outlier};
pub use patience::{Retries, RetryStatus, Timeouts};
pub use tls::{CertificatePem, ClientKey, PrivateKeyPem, Protocol, ServerName, UpstreamTls};

use crate::{RegionId, UpstreamId, bounded::Bounded};

/// How much of something an upstream is given at once.
pub type Cap = Bounded<1, 1_000_000>;

/// A named group of servers that answer alike.
///
/// What few upstreams have is boxed: every resource is as large as the largest.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Chosen by the operator.
    pub id: UpstreamId,
    /// Its servers.
    pub endpoints: Endpoints,
    /// Where its servers stand; a tenant of another region is never sent to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// Which server a request goes to; in turn, if not given.
    #[serde(default, skip_serializing_if = "Balance::is_default")]
    pub balance: Balance,
    /// Whether the servers are asked how they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<Box<HealthCheck>>,
    /// Whether a server that fails requests is left out for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier: Option<Box<Outlier>>,
    /// How long to wait for what; the proxy's bootstrap config says it where this does not.
    #[serde(default, skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
    /// How often a request is tried again; the proxy's bootstrap config says it if this does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Box<Retries>>,
    /// The most requests in progress in one proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<Cap>,
    /// The most open connections of one proxy, those that are kept for later included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<Cap>,
    /// The version of HTTP that its servers are spoken to in.
    #[serde(default, skip_serializing_if = "Protocol::is_default")]
    pub protocol: Protocol,
    /// Makes connections TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<UpstreamTls>>,
}

impl Upstream {
    /// What its client key is sealed for: a sealed key is good for no other upstream.
    #[must_use]
    pub fn sealing_context(id: &UpstreamId) -> String {
        format!("upstream/{id}")
    }

    /// The key of the certificate that it shows to its servers.
    #[must_use]
    pub fn client_key(&self) -> Option<&ClientKey> {
        self.tls.as_ref()?.client_key_pem.as_ref()
    }

    /// With its client key, if there is one, in another form.
    ///
    /// # Errors
    /// What changing the form ends in.
    pub fn with_client_key<E>(
        mut self,
        change: impl FnOnce(ClientKey) -> Result<ClientKey, E>,
    ) -> Result<Self, E> {
        if let Some(tls) = &mut self.tls
            && let Some(key) = tls.client_key_pem.take()
        {
            tls.client_key_pem = Some(change(key)?);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
