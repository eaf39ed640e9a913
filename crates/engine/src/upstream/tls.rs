//! The TLS material of an upstream, parsed and checked.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use rustls::{
    RootCertStore,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use tenantry_model::upstream::{CertificatePem, ClientKey, PrivateKeyPem, UpstreamTls};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const MAX_CERTIFICATES: usize = 32;

/// Material that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFault {
    /// Where in the upstream, as a JSON pointer.
    pub pointer: &'static str,
    /// Why, as a sentence.
    pub reason: &'static str,
}

/// TLS material of an upstream, as DER.
#[derive(Debug)]
pub struct CompiledTls {
    /// The authorities that are believed; none for the machine's own.
    pub authorities: Vec<Vec<u8>>,
    /// What the proxy shows of itself.
    pub client: Option<ClientIdentity>,
    /// Differs where any of the material does.
    pub identity: u64,
    prepared: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// A client certificate with its key.
pub struct ClientIdentity {
    /// The certificate, and what leads to its authority.
    pub chain: Vec<Vec<u8>>,
    /// The key; a secret.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientIdentity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

const CA: &str = "/tls/ca_pem";
const CERTIFICATE: &str = "/tls/client_certificate_pem";
const KEY: &str = "/tls/client_key_pem";

fn refused<T>(pointer: &'static str, reason: &'static str) -> Result<T, TlsFault> {
    Err(TlsFault { pointer, reason })
}

impl CompiledTls {
    /// Parses and checks the material.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn new(tls: &UpstreamTls) -> Result<Self, TlsFault> {
        let authorities = match &tls.ca_pem {
            Some(pem) => authorities(pem)?,
            None => Vec::new(),
        };
        let client = match (&tls.client_certificate_pem, &tls.client_key_pem) {
            (None, None) => None,
            (Some(certificate), Some(ClientKey::Clear(key))) => Some(client(certificate, key)?),
            (Some(_), Some(ClientKey::Sealed(_))) => {
                return refused(KEY, "the client key is sealed and was not opened");
            }
            (Some(_), None) => return refused(KEY, "the client certificate needs its key"),
            (None, Some(_)) => return refused(CERTIFICATE, "the client key needs its certificate"),
        };
        let identity = super::ring::hash(&serde_json::to_vec(tls).unwrap_or_default());
        Ok(Self { authorities, client, identity, prepared: OnceLock::new() })
    }

    /// The material in the form that the caller's TLS library wants, made once and kept as long as
    /// the material is. One type only: with another one it is made each time.
    pub fn prepared<T: Any + Send + Sync>(&self, make: impl Fn(&Self) -> T) -> Arc<T> {
        let prepared = self.prepared.get_or_init(|| Arc::new(make(self)));
        Arc::clone(prepared).downcast().unwrap_or_else(|_| Arc::new(make(self)))
    }
}

fn authorities(pem: &CertificatePem) -> Result<Vec<Vec<u8>>, TlsFault> {
    let authorities = certificates(pem, CA)?;
    let mut store = RootCertStore::empty();
    for authority in &authorities {
        if store.add(authority.clone()).is_err() {
            return refused(CA, "one of the certificates cannot be used as an authority");
        }
    }
    Ok(authorities.into_iter().map(|authority| authority.to_vec()).collect())
}

fn client(certificate: &CertificatePem, key: &PrivateKeyPem) -> Result<ClientIdentity, TlsFault> {
    let chain = certificates(certificate, CERTIFICATE)?;
    let Ok(key) = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()) else {
        return refused(KEY, "this is no private key in PEM");
    };
    let Ok(signing) = any_supported_type(&key) else {
        return refused(KEY, "write an RSA, ECDSA (P-256 or P-384) or Ed25519 key");
    };
    if CertifiedKey::new(chain.clone(), signing).keys_match().is_err() {
        return refused(KEY, "this is not the key of the client certificate");
    }
    let chain = chain.into_iter().map(|certificate| certificate.to_vec()).collect();
    Ok(ClientIdentity { chain, key: key.secret_der().to_vec() })
}

fn certificates(
    pem: &CertificatePem,
    pointer: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_str().as_bytes()).collect();
    let Ok(certificates) = certificates else {
        return refused(pointer, "this is no certificate in PEM");
    };
    if certificates.is_empty() || certificates.len() > MAX_CERTIFICATES {
        return refused(pointer, "write 1 to 32 certificates");
    }
    // Whoever connects parses them by this parser, and takes it for granted that it can.
    if certificates.iter().any(|certificate| X509Certificate::from_der(certificate).is_err()) {
        return refused(pointer, "one of the certificates is damaged");
    }
    Ok(certificates)
}
