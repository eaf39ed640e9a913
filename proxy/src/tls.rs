//! TLS towards clients: from a connection to a stream and the facts of its handshake.
//!
//! Which certificate is shown, and whether the client must show one, is read from the active state in
//! every handshake: a new certificate serves the next handshake, and no connection notices.
//!
//! **Resumption never stands in for a client certificate.** Tenants with authorities of their own get
//! a set-up without tickets and without a session cache, so every connection to them is a full
//! handshake; tickets of the other set-up mean nothing there. What was verified is kept with the
//! connection, together with the authorities it was verified by, and the engine compares both with
//! the tenant of each request: a connection says nothing to another tenant, nor once the authorities
//! have changed.
//!
//! A name that no certificate fits is told so (`unrecognized_name`, RFC 6066, section 3), instead of
//! being shown a certificate that the client must refuse.

mod configs;

use std::{io, sync::Arc, time::Duration};

use configs::Configs;
pub use configs::{MinimumVersion, TlsOptions};
use rustls::{
    CipherSuite, ProtocolVersion, ServerConnection,
    server::{Acceptor, ClientHello},
};
use tenantry_certs::ClientIdentity;
use tenantry_engine::VerifiedClient;
use tenantry_model::{CertificatePem, TenantId};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use crate::{
    active::{Active, ActiveState},
    secrets::Secrets,
};

/// Accepts TLS connections.
#[derive(Debug)]
pub(crate) struct TlsAcceptor {
    active: Arc<Active>,
    configs: Configs,
}

/// What a handshake settled.
#[derive(Debug, Clone)]
pub(crate) struct TlsFacts {
    /// The name the client asked for, in lower case.
    pub(crate) server_name: Option<String>,
    pub(crate) protocol: Protocol,
    version: Option<ProtocolVersion>,
    cipher: Option<CipherSuite>,
    /// The certificate that the client proved itself with, if it had to.
    client_certificate: Option<ClientCertificate>,
}

/// What is spoken inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A client certificate that was verified.
#[derive(Debug, Clone)]
struct ClientCertificate {
    tenant: TenantId,
    authorities: CertificatePem,
    identity: ClientIdentity,
}

impl TlsFacts {
    /// The version of TLS, as the standard calls it.
    pub(crate) fn version(&self) -> Option<&'static str> {
        self.version.and_then(|version| version.as_str())
    }

    /// The cipher suite, as the standard calls it.
    pub(crate) fn cipher(&self) -> Option<&'static str> {
        self.cipher.and_then(|cipher| cipher.as_str())
    }

    /// Whom the client certificate names.
    pub(crate) fn client_identity(&self) -> Option<&ClientIdentity> {
        self.client_certificate.as_ref().map(|certificate| &certificate.identity)
    }

    /// For whom a client certificate was verified, for the engine.
    pub(crate) fn verified_client(&self) -> Option<VerifiedClient<'_>> {
        self.client_certificate.as_ref().map(|certificate| VerifiedClient {
            tenant: certificate.tenant,
            authorities: &certificate.authorities,
        })
    }
}

/// Why a connection did not come about. The client has been sent an alert, if it was still there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// What came was not a handshake that can be served, or the connection broke.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    /// There is no certificate for the name, and no default.
    #[error("there is no certificate for the name")]
    UnrecognizedName,
    /// There is no state yet.
    #[error("there is no state to serve from yet")]
    NotReady,
    /// The tenant's set-up cannot be made.
    #[error("the tenant's client certificates cannot be verified: {0}")]
    Unusable(String),
}

/// Alerts that rustls has no occasion to send (RFC 8446, section 6).
#[derive(Debug, Clone, Copy)]
enum Alert {
    InternalError = 80,
    UnrecognizedName = 112,
}

/// Whose client certificates are asked for in a handshake.
struct Asked {
    tenant: TenantId,
    authorities: CertificatePem,
}

impl TlsAcceptor {
    /// Serves what the active state holds.
    pub(crate) fn new(
        active: Arc<Active>,
        secrets: Arc<Secrets>,
        options: TlsOptions,
    ) -> anyhow::Result<Self> {
        let configs = Configs::new(Arc::clone(&active), secrets, options)?;
        Ok(Self { active, configs })
    }

    /// Performs the handshake. How long it may take is for the caller to bound.
    pub(crate) async fn accept<IO>(&self, io: IO) -> Result<(TlsStream<IO>, TlsFacts), TlsError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let hello =
            LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(TlsError::Handshake)?;
        let name = server_name(&hello.client_hello());
        let (asked, config) = match self.set_up(name.as_deref()) {
            Ok(set_up) => set_up,
            Err(error) => {
                refuse(hello.io, error.alert()).await;
                return Err(error);
            }
        };
        let stream = match hello.into_stream(config).into_fallible().await {
            Ok(stream) => stream,
            Err((error, io)) => {
                close(io).await;
                return Err(TlsError::Handshake(error));
            }
        };
        let facts = facts(stream.get_ref().1, name, asked)?;
        Ok((stream, facts))
    }

    fn set_up(
        &self,
        name: Option<&str>,
    ) -> Result<(Option<Asked>, Arc<rustls::ServerConfig>), TlsError> {
        let state = self.active.load().ok_or(TlsError::NotReady)?;
        if state.certificates.find(name).is_none() {
            return Err(TlsError::UnrecognizedName);
        }
        let Some(asked) = name.and_then(|name| asked(&state, name)) else {
            return Ok((None, self.configs.shared()));
        };
        let config = self.configs.with_client_certificates(&asked.authorities);
        config.map(|config| (Some(asked), config)).map_err(TlsError::Unusable)
    }
}

impl TlsError {
    fn alert(&self) -> Alert {
        match self {
            Self::UnrecognizedName => Alert::UnrecognizedName,
            Self::NotReady | Self::Unusable(_) | Self::Handshake(_) => Alert::InternalError,
        }
    }
}

fn server_name(hello: &ClientHello<'_>) -> Option<String> {
    hello.server_name().map(str::to_ascii_lowercase)
}

fn asked(state: &ActiveState, name: &str) -> Option<Asked> {
    let tenant = state.table.tenant_of_host(name)?;
    tenant.client_ca().map(|ca| Asked { tenant: tenant.id(), authorities: ca.clone() })
}

fn facts(
    connection: &ServerConnection,
    server_name: Option<String>,
    asked: Option<Asked>,
) -> Result<TlsFacts, TlsError> {
    let unproven = || TlsError::Unusable("there is no readable client certificate".to_owned());
    let client_certificate = match asked {
        None => None,
        Some(Asked { tenant, authorities }) => {
            let certificate = connection.peer_certificates().and_then(<[_]>::first);
            let identity = certificate.and_then(|der| ClientIdentity::of(der).ok());
            let identity = identity.ok_or_else(unproven)?;
            Some(ClientCertificate { tenant, authorities, identity })
        }
    };
    Ok(TlsFacts {
        server_name,
        protocol: match connection.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        },
        version: connection.protocol_version(),
        cipher: connection.negotiated_cipher_suite().map(|suite| suite.suite()),
        client_certificate,
    })
}

/// Sends a fatal alert in the clear, as the handshake has not agreed on any keys, and closes.
async fn refuse<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO, alert: Alert) {
    let record = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, alert as u8];
    // The client may be gone, which comes to the same.
    let _ = io.write_all(&record).await;
    close(io).await;
}

/// Closes after an alert. Closing with unread bytes makes the kernel reset the connection, and a client
/// that sent its first request already would never hear the alert: a little is read and forgotten first.
async fn close<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) {
    const MAX_READS: usize = 16;
    let drained = async {
        // Whether the client is still there makes no difference.
        let _ = io.shutdown().await;
        let mut scrap = [0; 2048];
        for _ in 0..MAX_READS {
            if !matches!(io.read(&mut scrap).await, Ok(1..)) {
                return;
            }
        }
    };
    let _ = timeout(Duration::from_secs(1), drained).await;
}

#[cfg(test)]
mod tests;
