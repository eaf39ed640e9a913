//! How an endpoint is reached.

use std::{net::SocketAddr, time::Duration};

use pingora::{Error, ErrorType, OrErr as _, Result, upstreams::peer::HttpPeer};
use tenantry_model::EndpointAddress;

use crate::bootstrap::UpstreamBounds;

/// Makes peers with the configured bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connector {
    bounds: UpstreamBounds,
}

impl Connector {
    pub(crate) fn new(bounds: UpstreamBounds) -> Self {
        Self { bounds }
    }

    /// The peer for an endpoint. A name is looked up for each request, by the system's resolver and
    /// so with its cache; its first address is taken.
    pub(crate) async fn peer(&self, address: &EndpointAddress) -> Result<Box<HttpPeer>> {
        let address = match address {
            EndpointAddress::Socket(address) => *address,
            EndpointAddress::Name { host, port } => look_up(host, *port).await?,
        };
        let mut peer = Box::new(HttpPeer::new(address, false, String::new()));
        let seconds = |seconds: std::num::NonZeroU64| Some(Duration::from_secs(seconds.get()));
        peer.options.connection_timeout = seconds(self.bounds.connect_timeout_seconds);
        peer.options.total_connection_timeout = seconds(self.bounds.connect_timeout_seconds);
        peer.options.read_timeout = seconds(self.bounds.read_timeout_seconds);
        peer.options.write_timeout = seconds(self.bounds.write_timeout_seconds);
        peer.options.idle_timeout = seconds(self.bounds.idle_timeout_seconds);
        Ok(peer)
    }

    /// Whether another endpoint is tried after so many attempts.
    pub(crate) fn may_retry(&self, attempts: usize) -> bool {
        attempts < self.bounds.connect_attempts.get()
    }
}

async fn look_up(host: &str, port: u16) -> Result<SocketAddr> {
    let mut addresses = tokio::net::lookup_host((host, port))
        .await
        .or_err(ErrorType::ConnectNoRoute, "the endpoint's name is not known")?;
    addresses.next().ok_or_else(|| {
        Error::explain(ErrorType::ConnectNoRoute, "the endpoint's name has no address")
    })
}
