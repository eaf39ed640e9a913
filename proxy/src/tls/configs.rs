//! The set-ups that handshakes are made with: one for all names, and one for each list of authorities
//! that some tenant's clients must have their certificates from.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use anyhow::Context as _;
use quick_cache::sync::Cache;
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring::Ticketer,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, danger::ClientCertVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use serde::Deserialize;
use tenantry_certs::client_authorities;
use tenantry_model::CertificatePem;

use super::server_name;
use crate::{active::Active, secrets::Secrets};

/// How TLS is spoken with clients.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/proxy.toml describes each key where operators read it")]
pub struct TlsOptions {
    pub minimum_version: MinimumVersion,
    pub http2: bool,
    pub session_tickets: bool,
    pub client_ca_cache: NonZeroUsize,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum MinimumVersion {
    /// RFC 5246, with forward-secret authenticated ciphers only.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// The set-ups. The one without client certificates is shared by all names.
pub(super) struct Configs {
    resolver: Arc<dyn ResolvesServerCert>,
    secrets: Arc<Secrets>,
    options: TlsOptions,
    shared: Arc<ServerConfig>,
    by_authorities: Cache<CertificatePem, Arc<ServerConfig>>,
}

impl Configs {
    pub(super) fn new(
        active: Arc<Active>,
        secrets: Arc<Secrets>,
        options: TlsOptions,
    ) -> anyhow::Result<Self> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(Resolver(active));
        let mut shared = config(&secrets, options, &resolver, None)?;
        if options.session_tickets {
            // Rotates its key every six hours and forgets the one before after six more.
            shared.ticketer = Ticketer::new().context("session tickets need random bytes")?;
        }
        let by_authorities = Cache::new(options.client_ca_cache.get());
        Ok(Self { resolver, secrets, options, shared: Arc::new(shared), by_authorities })
    }

    /// For names whose tenant asks for no client certificate.
    pub(super) fn shared(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared)
    }

    /// For names whose tenant asks for certificates of these authorities.
    pub(super) fn with_client_certificates(
        &self,
        authorities: &CertificatePem,
    ) -> Result<Arc<ServerConfig>, String> {
        self.by_authorities.get_or_insert_with(authorities, || {
            let verifier = client_authorities(authorities, self.secrets.provider())
                .map_err(|error| error.to_string())?;
            config(&self.secrets, self.options, &self.resolver, Some(verifier))
                .map(Arc::new)
                .map_err(|error| error.to_string())
        })
    }
}

/// Without any resumption; the shared set-up adds its tickets.
fn config(
    secrets: &Secrets,
    options: TlsOptions,
    resolver: &Arc<dyn ResolvesServerCert>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[&SupportedProtocolVersion] = match options.minimum_version {
        MinimumVersion::Tls12 => &[&TLS13, &TLS12],
        MinimumVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(secrets.provider()))
        .with_protocol_versions(versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(resolver));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let protocols: &[&[u8]] = if options.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

impl fmt::Debug for Configs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configs").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Picks the certificate from the state of the moment.
#[derive(Debug)]
struct Resolver(Arc<Active>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let state = self.0.load()?;
        let name = server_name(&hello);
        state.certificates.find(name.as_deref()).map(|entry| Arc::clone(entry.key()))
    }
}
