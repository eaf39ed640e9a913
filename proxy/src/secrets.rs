//! What becomes usable only in this process's memory: sealed keys are opened, chains and keys are
//! made ready for handshakes.
//!
//! A resource that cannot be opened or used is refused by itself, with the reason for the control
//! plane to show; its previous form stays in force.

use std::{fs, io::Read as _, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

use anyhow::Context as _;
use rustls::crypto::CryptoProvider;
use tenantry_certs::{Chain, Entry, client_authorities, provider};
use tenantry_credentials::sealing::MasterKeys;
use tenantry_model::{
    Certificate, Issuer, SealedSecret, Tenant, Upstream,
    upstream::{ClientKey, PrivateKeyPem},
};

/// The master keys, and the cryptography that keys are used with.
#[derive(Debug)]
pub(crate) struct Secrets {
    master_keys: MasterKeys,
    provider: Arc<CryptoProvider>,
}

impl Secrets {
    pub(crate) fn new(master_keys: MasterKeys) -> Self {
        Self { master_keys, provider: provider() }
    }

    /// The cryptography.
    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// A certificate, ready for handshakes. Expiry is no reason to refuse it here: clients judge it,
    /// and a name without any certificate helps nobody.
    pub(crate) fn certificate(&self, certificate: Certificate) -> Result<Entry, String> {
        let ready = || -> anyhow::Result<_> {
            let chain = Chain::parse(&certificate.chain_pem)?;
            chain.covers(&certificate.domains)?;
            let context = Certificate::sealing_context(certificate.id);
            let key = self
                .master_keys
                .open(&certificate.key, &context)
                .context("the private key cannot be opened")?;
            Ok(chain.certified(&key, &self.provider)?)
        };
        let key = ready().map_err(|error| format!("{error:#}"))?;
        Ok(Entry::new(certificate, key))
    }

    /// An issuer with its secrets opened.
    pub(crate) fn issuer(&self, issuer: Issuer) -> Result<Issuer, String> {
        let context = Issuer::sealing_context(issuer.id());
        issuer.opened(|sealed| {
            let open = || -> anyhow::Result<_> {
                let sealed: SealedSecret = sealed.parse()?;
                let secret = self.master_keys.open(&sealed, &context)?;
                Ok(String::from_utf8(secret.to_vec())?)
            };
            open().map_err(|error| format!("its shared secret cannot be opened: {error:#}"))
        })
    }

    /// An upstream with its client key opened. A key that was never sealed stays as it is.
    pub(crate) fn upstream(&self, upstream: Upstream) -> Result<Upstream, String> {
        let context = Upstream::sealing_context(&upstream.id);
        upstream.with_client_key(|key| {
            let ClientKey::Sealed(sealed) = key else { return Ok(key) };
            let open = || -> anyhow::Result<_> {
                let key = self.master_keys.open(&sealed, &context)?;
                Ok(PrivateKeyPem::try_from(String::from_utf8(key.to_vec())?)?)
            };
            let opened = open().map(ClientKey::Clear);
            opened.map_err(|error| format!("its client key cannot be opened: {error:#}"))
        })
    }

    /// Whether a tenant's authorities can be used.
    pub(crate) fn check_tenant(&self, tenant: &Tenant) -> Result<(), String> {
        let authorities = tenant.client_ca_pem.as_ref();
        let verifier = authorities.map(|pem| client_authorities(pem, &self.provider));
        verifier.transpose().map(drop).map_err(|error| format!("client_ca_pem: {error}"))
    }
}

/// The master keys of this process: given as text, or in a file that only its owner may read.
pub(crate) fn master_keys(text: Option<&str>, file: Option<&Path>) -> anyhow::Result<MasterKeys> {
    if let Some(text) = text {
        return MasterKeys::parse(text).context("TENANTRY_MASTER_KEY is not usable");
    }
    let Some(path) = file else { return Ok(MasterKeys::none()) };
    let read = || -> anyhow::Result<MasterKeys> {
        let mut file = fs::File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut content = String::new();
        file.read_to_string(&mut content)?;
        Ok(MasterKeys::from_file(&content, mode)?)
    };
    read().with_context(|| format!("the master key file {} is not usable", path.display()))
}
