//! Client connections: accepted, bounded, and read strictly before pingora sees a request.
//!
//! A connection passes through here in this order:
//! 1. [`service`] accepts it, if there is a place for it ([`places`]), and gives it to a thread ([`workers`]);
//! 2. [`opening`] reads the PROXY header, where the peer must send one;
//! 3. where TLS is spoken, [`tls`](crate::tls) performs the handshake;
//! 4. [`http1`] or [`http2`] reads requests from it, and has each relayed or hands it to pingora.
//!
//! What is known of the connection travels with it as a [`Connection`], which the gateway finds in the
//! session's digest.

pub(crate) mod conduit;
mod http1;
mod http2;
mod opening;
pub(crate) mod places;
pub(crate) mod refusals;
mod rewound;
pub(crate) mod service;
pub(crate) mod trust;
pub(crate) mod workers;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use pingora::{http::ResponseHeader, protocols::raw_connect::ProxyDigest, proxy::Session};
use tenantry_engine::{Admission, TenantConnection};
use tenantry_model::TenantId;

use crate::{gateway::Passage, tls::TlsFacts};

/// What is known of a client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Who connected to us, or to the proxy in front of us if that says so in a PROXY header.
    pub(crate) client: SocketAddr,
    /// What the TLS handshake settled, if there was one.
    pub(crate) tls: Option<TlsFacts>,
    /// The tenants that it carries requests of: one, unless keys or tokens of several are used on it.
    tenants: Mutex<HashMap<TenantId, TenantConnection, FixedState>>,
    /// The request of HTTP/1.1 that was begun and that pingora is to go on with.
    pub(crate) begun: Begun,
    /// The thread that serves it.
    pub(crate) seat: workers::Seat,
    /// Counts it against the bounds for as long as it lives.
    _place: places::Place,
}

impl Connection {
    /// The connection that a request came on.
    pub(crate) fn of(session: &Session) -> Option<&Arc<Self>> {
        let digest = session.digest()?.proxy_digest.as_ref()?;
        digest.user_data.as_ref()?.downcast_ref()
    }

    /// Counts the connection for a tenant; not if the tenant has too many.
    pub(crate) fn carries(&self, admission: &Admission) -> bool {
        let (id, runtime) = (admission.tenant.id(), admission.tenant.runtime());
        let mut tenants = self.tenants.lock();
        // A tenant that was purged and made anew is another one.
        if tenants.get(&id).is_some_and(|tenant| tenant.is_of(runtime)) {
            return true;
        }
        let connected = runtime.connect(admission.max_connections());
        connected.map(|tenant| tenants.insert(id, tenant)).is_some()
    }

    /// The connection, in the one place of a pingora stream that can carry what is not pingora's.
    fn digest(self: &Arc<Self>) -> pingora::Result<Arc<ProxyDigest>> {
        let unused = Box::new(ResponseHeader::build(200, None)?);
        Ok(Arc::new(ProxyDigest::new(unused, Some(Box::new(Arc::clone(self))))))
    }
}

/// A request that was begun, left for pingora to go on with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun(Arc<Mutex<Option<Box<Passage>>>>);

impl Begun {
    /// Where one is left for the request of a session: of HTTP/2 there are many on one connection, so it stands with
    /// the head.
    pub(crate) fn of(session: &Session) -> Option<&Self> {
        match session.req_header().extensions.get() {
            Some(begun) => Some(begun),
            None => Connection::of(session).map(|connection| &connection.begun),
        }
    }

    /// Leaves a request.
    pub(crate) fn leave(&self, passage: Box<Passage>) {
        *self.0.lock() = Some(passage);
    }

    /// The request that was left.
    pub(crate) fn take(&self) -> Option<Box<Passage>> {
        self.0.lock().take()
    }
}
