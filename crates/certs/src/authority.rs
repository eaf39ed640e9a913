//! The authorities that a tenant's clients must have their certificates from.

use std::sync::Arc;

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::CertificateDer,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tenantry_model::CertificatePem;

use crate::{
    CertificateError,
    chain::{certificates, fingerprint, parse},
};

/// Why a list of authorities cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum AuthorityError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("certificate {position} is not one of an authority")]
    NotAnAuthority { position: usize },
    #[error("the authorities cannot be used to verify clients")]
    Unusable,
}

/// Whom a client certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The subject's distinguished name, as text.
    pub subject: String,
    /// The SHA-256 digest of the certificate, in hexadecimal.
    pub fingerprint: String,
}

impl ClientIdentity {
    /// Reads a certificate that was verified.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let subject = parse(der, 1)?.subject().to_string();
        Ok(Self { subject, fingerprint: fingerprint(der) })
    }
}

/// What verifies that a client has a certificate of one of these authorities. A connection without
/// such a certificate does not come about.
///
/// # Errors
/// [`AuthorityError`].
pub fn client_authorities(
    pem: &CertificatePem,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, AuthorityError> {
    let mut roots = RootCertStore::empty();
    for (index, der) in certificates(pem.as_str())?.into_iter().enumerate() {
        let position = index + 1;
        if !parse(&der, position)?.is_ca() {
            return Err(AuthorityError::NotAnAuthority { position });
        }
        roots.add(der).map_err(|_| CertificateError::NotX509 { position })?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| AuthorityError::Unusable)
}
