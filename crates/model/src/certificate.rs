//! Certificates: what a proxy proves itself with for a TLS name, and whom a tenant's clients prove
//! themselves by.
//!
//! What stands in the PEM is for `tenantry-certs` to read; here it is text of bounded size that holds
//! no private key.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{CertificateId, DomainPattern, Invalid, SealedSecret, TenantId};

/// The largest chain or list of authorities, as PEM.
pub const MAX_PEM_BYTES: usize = 64 * 1024;
/// The most names one certificate serves.
pub const MAX_CERTIFICATE_DOMAINS: usize = 20;

/// Certificates as PEM text (RFC 7468), without any private key.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, max_length = 65536, pattern = "-----BEGIN CERTIFICATE-----"))]
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CertificatePem(Arc<str>);

impl CertificatePem {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are one and the same, or have the same text.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl FromStr for CertificatePem {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = |rule: &'static str| Err(Invalid::new("certificate", "[hidden]", rule));
        if text.contains("PRIVATE KEY") {
            return refused("it holds a private key, which does not belong here");
        }
        if text.len() > MAX_PEM_BYTES || !text.contains("-----BEGIN CERTIFICATE-----") {
            return refused("it is one or more certificates as PEM, at most 64 KiB");
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for CertificatePem {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificatePem({} bytes)", self.0.len())
    }
}

/// A certificate with its key, and the names it is shown for.
///
/// For one name the order is: exact before wildcard, and for the same pattern a tenant's own before
/// the platform's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Never changes.
    pub id: CertificateId,
    /// The tenant whose domains it serves; none for one of the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The names it is shown for; each is covered by the leaf.
    pub domains: BTreeSet<DomainPattern>,
    /// The leaf and what leads from it towards its authority.
    pub chain_pem: CertificatePem,
    /// The private key as PEM, sealed.
    pub key: SealedSecret,
    /// Whether it is shown where no other certificate fits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
}

impl Certificate {
    /// What its key is sealed for: a sealed key is good for no other certificate.
    #[must_use]
    pub fn sealing_context(id: CertificateId) -> String {
        format!("certificate/{id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_bounded_and_holds_no_key() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(pem.parse::<CertificatePem>().unwrap().as_str(), pem);
        let key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n";
        for bad in ["", "x", key, &format!("{pem}{key}"), &pem.repeat(MAX_PEM_BYTES / 20)] {
            let error = bad.parse::<CertificatePem>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
