//! Listeners that are bound before anything is started.
//!
//! Pingora binds when its services run, and ends the process if it cannot. Binding first gives a
//! clear error, and with port 0 the port that was taken.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::Context as _;
use async_trait::async_trait;
use pingora::{
    apps::ServerApp,
    protocols::l4::stream::Stream,
    server::{ListenFds, ShutdownWatch},
    services::{ServiceReadyNotifier, ServiceWithDependents},
};

use crate::lifecycle::handover::Sockets;

/// A bound socket, on its way to the service that will accept on it.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes the socket that a predecessor listened on under this name, or binds the address.
    pub(crate) fn new(
        address: SocketAddr,
        name: &str,
        inherited: &mut Sockets,
    ) -> anyhow::Result<Self> {
        let listener = match inherited.take(name) {
            Some(listener) if is_same(address, &listener) => listener,
            _ => TcpListener::bind(address).with_context(|| {
                format!("cannot listen on {address} for {name}; is another process using it? choose another address")
            })?,
        };
        listener.set_nonblocking(true).context("cannot prepare a listener")?;
        let address = listener.local_addr().context("cannot read the address of a listener")?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that was taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    pub(crate) fn into_listener(self) -> TcpListener {
        self.listener
    }
}

/// Whether a listener listens where it is asked to; port 0 asks for any port.
fn is_same(wanted: SocketAddr, listener: &TcpListener) -> bool {
    listener.local_addr().is_ok_and(|address| {
        address.ip() == wanted.ip() && (wanted.port() == 0 || address.port() == wanted.port())
    })
}

/// A service for a few clients that are not strangers, on a listener that is already bound.
pub(crate) struct Listening<A> {
    app: Arc<A>,
    bound: Option<Bound>,
    /// Its own end, which may come before the process's.
    closing: ShutdownWatch,
}

impl<A> Listening<A> {
    pub(crate) fn new(app: A, bound: Bound, closing: ShutdownWatch) -> Self {
        Self { app: Arc::new(app), bound: Some(bound), closing }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServiceWithDependents for Listening<A> {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        shutdown: ShutdownWatch,
        _: usize,
        ready: ServiceReadyNotifier,
    ) {
        ready.notify_ready();
        let Some(bound) = self.bound.take() else { return };
        let listener = match tokio::net::TcpListener::from_std(bound.into_listener()) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot accept connections"),
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.closing.wait_for(|closing| *closing) => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (app, shutdown) = (Arc::clone(&self.app), shutdown.clone());
                    tokio::spawn(async move {
                        let mut stream = Some(Box::new(Stream::from(stream)) as _);
                        while let Some(open) = stream {
                            stream = app.process_new(open, &shutdown).await;
                        }
                    });
                }
                Err(error) => crate::connection::service::pause(&error).await,
            }
        }
    }

    fn name(&self) -> &'static str {
        "admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
