//! A client that speaks TLS with the gateway.

use std::{net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Authority, Issued, Request};

/// A client that connects to the gateway whatever the name, and keeps its connections.
#[derive(Debug, Clone)]
pub struct TlsClient {
    http: reqwest::Client,
    tls: ClientConfig,
    gateway: SocketAddr,
}

#[derive(Debug)]
struct Always(SocketAddr);

impl Resolve for Always {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

impl TlsClient {
    /// Trusts servers of this authority, and shows this certificate if it is asked for one. It speaks
    /// HTTP/2 where that is offered.
    #[must_use]
    pub fn new(gateway: SocketAddr, trusting: &Authority, certificate: Option<&Issued>) -> Self {
        Self::build(reqwest::Client::builder(), gateway, trusting, certificate)
    }

    /// The same, and speaks HTTP/1.1 alone.
    #[must_use]
    pub fn http1(gateway: SocketAddr, trusting: &Authority, certificate: Option<&Issued>) -> Self {
        Self::build(reqwest::Client::builder().http1_only(), gateway, trusting, certificate)
    }

    fn build(
        builder: reqwest::ClientBuilder,
        gateway: SocketAddr,
        trusting: &Authority,
        certificate: Option<&Issued>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusting.der()).expect("a certificate to trust");
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots);
        let tls = match certificate {
            Some(issued) => tls
                .with_client_auth_cert(vec![issued.der()], issued.key_der())
                .expect("a certificate to show"),
            None => tls.with_no_client_auth(),
        };
        let builder = builder.tls_backend_preconfigured(tls.clone()).no_proxy();
        let builder = builder.redirect(reqwest::redirect::Policy::none());
        let http = builder.dns_resolver(Arc::new(Always(gateway))).build().expect("a client");
        Self { http, tls, gateway }
    }

    /// A request on a connection for this name.
    pub fn get(&self, name: &str, path: &str) -> Request {
        let url = format!("https://{name}:{}{path}", self.gateway.port());
        Request::of(self.http.get(url))
    }

    /// A connection of its own for this name, which offers these protocols.
    ///
    /// # Errors
    /// What went wrong in the handshake.
    pub async fn connect(
        &self,
        name: &str,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut tls = self.tls.clone();
        tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.gateway).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).expect("a host name");
        TlsConnector::from(Arc::new(tls)).connect(name, stream).await
    }
}
