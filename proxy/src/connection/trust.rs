//! Whose word is taken for who the client is.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use pingora::http::RequestHeader;
use tenantry_engine::NetworkSet;
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
    pub(crate) fn client(&self, connection: &Connection, request: &RequestHeader) -> IpAddr {
        let values = request.headers.get_all("x-forwarded-for").iter();
        forwarded::client(
            connection.client.ip(),
            values.map(http::HeaderValue::as_bytes),
            |address| self.forwards(address),
        )
    }

    /// Whether the client spoke TLS: with us, or with a trusted proxy in front of us that says so.
    pub(crate) fn is_https(
        &self,
        connection: &Connection,
        is_tls: bool,
        request: &RequestHeader,
    ) -> bool {
        let told = request.headers.get("x-forwarded-proto").map(http::HeaderValue::as_bytes);
        match told {
            Some(scheme) if self.forwards(connection.client.ip()) => {
                scheme.eq_ignore_ascii_case(b"https")
            }
            _ => is_tls,
        }
    }
}
