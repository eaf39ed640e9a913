//! Whose word is taken for who the client is.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use tenantry_engine::{HeaderLines, HeaderLookup, NetworkSet};
use tenantry_wire::forwarded;

use super::Connection;

/// The networks of proxies that stand in front of us.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    forwarded: Arc<NetworkSet>,
    proxy_header: Arc<NetworkSet>,
}

impl Trust {
    /// `forwarded`: whose `X-Forwarded-*` is believed; `proxy_header`: who must send a PROXY header.
    pub(crate) fn new(forwarded: &[IpNet], proxy_header: &[IpNet]) -> Self {
        Self {
            forwarded: Arc::new(NetworkSet::new(forwarded)),
            proxy_header: Arc::new(NetworkSet::new(proxy_header)),
        }
    }

    /// Whether the peer must begin its connections with a PROXY header.
    pub(crate) fn sends_proxy_header(&self, peer: IpAddr) -> bool {
        self.proxy_header.contains(peer)
    }

    /// Whether the address is that of a proxy whose `X-Forwarded-*` is believed.
    pub(crate) fn forwards(&self, address: IpAddr) -> bool {
        self.forwarded.contains(address)
    }

    /// Whose request it is.
    pub(crate) fn client(&self, connection: &Connection, headers: &dyn HeaderLookup) -> IpAddr {
        let peer = connection.client.ip().to_canonical();
        if !self.forwards(peer) {
            return peer;
        }
        let lines = headers.lines("x-forwarded-for");
        forwarded::client(peer, lines.iter().copied(), |address| self.forwards(address))
    }

    /// Whether the client spoke TLS: with us, or with a trusted proxy in front of us that says so.
    pub(crate) fn is_https(&self, connection: &Connection, headers: &dyn HeaderLookup) -> bool {
        let is_told = self.forwards(connection.client.ip());
        let told = if is_told { headers.lines("x-forwarded-proto") } else { HeaderLines::new() };
        match told.first() {
            Some(scheme) => scheme.eq_ignore_ascii_case(b"https"),
            None => connection.tls.is_some(),
        }
    }
}
