//! A certificate chain and its private key.

use std::{collections::BTreeSet, fmt, sync::Arc};

use rustls::{
    Error as TlsError, InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use tenantry_model::{CertificatePem, DomainPattern, Host, Timestamp};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

/// The most certificates in one chain.
pub const MAX_CHAIN: usize = 10;
/// The most names of one leaf that are looked at.
const MAX_NAMES: usize = 1000;
const MAX_KEY_BYTES: usize = 16 * 1024;

/// Why a chain or a key cannot be used. The texts are for whoever uploaded it and hold none of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CertificateError {
    #[error("it is not PEM: give the text between the BEGIN and END lines as it came")]
    NotPem,
    #[error("there is no certificate in it")]
    NoCertificate,
    #[error("a chain has at most {MAX_CHAIN} certificates")]
    TooLong,
    #[error("certificate {position} of the chain cannot be read as X.509")]
    NotX509 { position: usize },
    #[error(
        "certificate {position} of the chain was not issued by the one after it; begin with the leaf, and let each be followed by its issuer"
    )]
    Order { position: usize },
    #[error("the leaf is the certificate of an authority; begin with the server's own")]
    Authority,
    #[error("the leaf names no DNS name in its subject alternative names")]
    NoNames,
    #[error("the leaf does not cover {domain}")]
    NotCovered { domain: DomainPattern },
    #[error("the certificate has expired ({})", .not_after)]
    Expired { not_after: Timestamp },
    #[error(
        "there is no private key in it that can be used; give one RSA, P-256, P-384 or Ed25519 key, not encrypted, as PEM"
    )]
    NoKey,
    #[error("the private key does not belong to the leaf")]
    KeyMismatch,
}

/// What a leaf says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafFacts {
    /// Its DNS names, as far as they are names or wildcards over one label.
    pub names: BTreeSet<DomainPattern>,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// The SHA-256 digest of the leaf, in hexadecimal.
    pub fingerprint: String,
}

/// A chain that was read, in order: the leaf first.
#[derive(Debug, Clone)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    leaf: LeafFacts,
}

impl Chain {
    /// Reads a chain. Each certificate must be followed by its issuer; the last one's issuer, or the
    /// root, need not be there.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(pem: &CertificatePem) -> Result<Self, CertificateError> {
        let certificates = certificates(pem.as_str())?;
        let parsed: Vec<_> = certificates
            .iter()
            .enumerate()
            .map(|(index, der)| parse(der, index + 1))
            .collect::<Result<_, _>>()?;
        for (index, (certificate, issuer)) in parsed.iter().zip(parsed.iter().skip(1)).enumerate() {
            if certificate.issuer().as_raw() != issuer.subject().as_raw() {
                return Err(CertificateError::Order { position: index + 1 });
            }
        }
        let leaf = parsed.first().zip(certificates.first());
        let leaf = leaf.map(|(leaf, der)| facts(leaf, der));
        let leaf = leaf.ok_or(CertificateError::NoCertificate)??;
        Ok(Self { certificates, leaf })
    }

    /// What the leaf says.
    #[must_use]
    pub fn leaf(&self) -> &LeafFacts {
        &self.leaf
    }

    /// Whether the leaf covers every one of these names. A wildcard covers one label.
    ///
    /// # Errors
    /// [`CertificateError::NotCovered`] with the first that it does not cover.
    pub fn covers<'d>(
        &self,
        domains: impl IntoIterator<Item = &'d DomainPattern>,
    ) -> Result<(), CertificateError> {
        let names = &self.leaf.names;
        let missing = domains.into_iter().find(|domain| {
            let by_wildcard = match domain {
                DomainPattern::Exact(host) => {
                    parent(host).is_some_and(|parent| names.contains(&parent))
                }
                DomainPattern::Wildcard(_) => false,
            };
            !by_wildcard && !names.contains(domain)
        });
        missing
            .map_or(Ok(()), |domain| Err(CertificateError::NotCovered { domain: domain.clone() }))
    }

    /// Whether it has not expired at this time. One that is not valid yet is no error: certificates
    /// are handed out with a few minutes to spare, and clocks differ.
    ///
    /// # Errors
    /// [`CertificateError::Expired`].
    pub fn check_expiry(&self, now: Timestamp) -> Result<(), CertificateError> {
        let not_after = self.leaf.not_after;
        if now.unix_ms() <= not_after.unix_ms() {
            Ok(())
        } else {
            Err(CertificateError::Expired { not_after })
        }
    }

    /// The chain with its private key, PEM text, ready for handshakes.
    ///
    /// # Errors
    /// [`CertificateError::NoKey`], [`CertificateError::KeyMismatch`].
    pub fn certified(
        self,
        key_pem: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, CertificateError> {
        if key_pem.len() > MAX_KEY_BYTES {
            return Err(CertificateError::NoKey);
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| CertificateError::NoKey)?;
        let mut certificates = self.certificates;
        certificates.shrink_to_fit();
        match CertifiedKey::from_der(certificates, key, provider) {
            Ok(certified) => Ok(Arc::new(certified)),
            Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(CertificateError::KeyMismatch)
            }
            Err(_) => Err(CertificateError::NoKey),
        }
    }
}

/// The SHA-256 digest of a certificate, in hexadecimal.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(der) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The certificates of a PEM text.
pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        if certificates.len() == MAX_CHAIN {
            return Err(CertificateError::TooLong);
        }
        certificates.push(certificate.map_err(|_| CertificateError::NotPem)?);
    }
    if certificates.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(certificates) }
}

pub(crate) fn parse<'a>(
    der: &'a CertificateDer<'_>,
    position: usize,
) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der.as_ref()) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::NotX509 { position }),
    }
}

fn facts(
    leaf: &X509Certificate<'_>,
    der: &CertificateDer<'_>,
) -> Result<LeafFacts, CertificateError> {
    if leaf.is_ca() {
        return Err(CertificateError::Authority);
    }
    let alternative = leaf.subject_alternative_name();
    let alternative = alternative.map_err(|_| CertificateError::NotX509 { position: 1 })?;
    let names = alternative.iter().flat_map(|names| names.value.general_names.iter());
    let names: BTreeSet<DomainPattern> = names
        .take(MAX_NAMES)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => name.parse().ok(),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return Err(CertificateError::NoNames);
    }
    let validity = leaf.validity();
    Ok(LeafFacts {
        names,
        not_before: timestamp(validity.not_before.timestamp()),
        not_after: timestamp(validity.not_after.timestamp()),
        fingerprint: fingerprint(der),
    })
}

/// Times before 1970 are as good as 1970: long past.
fn timestamp(unix_seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(u64::try_from(unix_seconds).unwrap_or(0).saturating_mul(1000))
}

/// The wildcard that would cover this host.
fn parent(host: &Host) -> Option<DomainPattern> {
    let (_, parent) = host.as_str().split_once('.')?;
    parent.parse().ok().map(DomainPattern::Wildcard)
}
