//! Listeners that are bound before pingora starts.
//!
//! Pingora binds when its services run, and ends the process if it cannot. Binding first gives a
//! clear error, and with port 0 the port that was taken. Pingora then finds the socket in the table
//! that it keeps for sockets handed over by a predecessor.

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::IntoRawFd as _,
    sync::Arc,
};

use anyhow::Context as _;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::{
    server::{Fds, ListenFds, ShutdownWatch},
    services::{Service, ServiceReadyNotifier, ServiceWithDependents},
};

/// A bound socket, on its way to the service that will accept on it.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds an address.
    pub(crate) fn new(address: SocketAddr, what: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| {
            format!("cannot listen on {address} for {what}; is another process using it? choose another address")
        })?;
        listener.set_nonblocking(true).context("cannot prepare a listener")?;
        let address = listener.local_addr().context("cannot read the address of a listener")?;
        Ok(Self { listener, address })
    }

    pub(crate) fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// The address, with the port that was taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A service whose listener is already bound.
pub(crate) struct Prebound<S> {
    service: S,
    bound: Option<Bound>,
}

impl<S: Service> Prebound<S> {
    /// `service` must have been told to listen on the bound address, as text.
    pub(crate) fn new(service: S, bound: Bound) -> Self {
        Self { service, bound: Some(bound) }
    }
}

#[async_trait]
impl<S: Service> ServiceWithDependents for Prebound<S> {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        let mut fds = Fds::new();
        if let Some(Bound { listener, address }) = self.bound.take() {
            fds.add(address.to_string(), listener.into_raw_fd());
        }
        ready.notify_ready();
        self.service
            .start_service(Some(Arc::new(Mutex::new(fds))), shutdown, listeners_per_fd)
            .await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }
}
