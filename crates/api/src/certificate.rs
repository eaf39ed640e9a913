//! Certificates, of a tenant or of the platform.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use tenantry_model::{CertificateId, CertificatePem, DomainPattern, TenantId, Timestamp};

/// `POST /api/v1/certificates`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateCertificate {
    /// The tenant whose domains it serves, by id or slug; none for a certificate of the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The names it is shown for, each covered by the leaf; all names of the leaf, if none is given.
    #[serde(default)]
    pub domains: BTreeSet<DomainPattern>,
    /// The leaf and then its issuers, as PEM.
    pub chain_pem: CertificatePem,
    /// The private key of the leaf, as PEM and not encrypted. It is never returned.
    pub key_pem: String,
    /// Whether it is shown where no other certificate fits; for one certificate of the platform.
    #[serde(default)]
    pub default: bool,
}

/// `PUT /api/v1/certificates/{id}`. Whose it is never changes.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceCertificate {
    /// The names it is shown for, each covered by the leaf; all names of the leaf, if none is given.
    #[serde(default)]
    pub domains: BTreeSet<DomainPattern>,
    /// The leaf and then its issuers, as PEM.
    pub chain_pem: CertificatePem,
    /// The private key of the leaf, as PEM and not encrypted. It is never returned.
    pub key_pem: String,
    /// Whether it is shown where no other certificate fits; for one certificate of the platform.
    #[serde(default)]
    pub default: bool,
}

/// Leave out the key.
impl fmt::Debug for CreateCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateCertificate").field("domains", &self.domains).finish_non_exhaustive()
    }
}

impl fmt::Debug for ReplaceCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplaceCertificate").field("domains", &self.domains).finish_non_exhaustive()
    }
}

/// A certificate as it is returned: without its key.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateBody {
    /// Never changes.
    pub id: CertificateId,
    /// The tenant whose domains it serves; none for a certificate of the platform.
    pub tenant: Option<TenantId>,
    /// The names it is shown for.
    pub domains: BTreeSet<DomainPattern>,
    /// Whether it is shown where no other certificate fits.
    pub default: bool,
    /// All names of the leaf.
    pub names: BTreeSet<DomainPattern>,
    /// From when on the leaf is valid.
    pub not_before: Timestamp,
    /// Until when the leaf is valid.
    pub not_after: Timestamp,
    /// The SHA-256 digest of the leaf, in hexadecimal.
    pub fingerprint: String,
    /// The leaf and its issuers, as PEM.
    pub chain_pem: CertificatePem,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that last wrote it; also its `ETag`.
    pub revision: u64,
}

/// Which certificates are listed.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuery {
    /// How many items a page has at most: 1 to 1000; 100, if not given.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u64>, minimum = 1, maximum = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before, with the same filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only those of this tenant, by id or slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}
