//! TLS and the version of HTTP towards an upstream.
//!
//! PEM is only looked at here; whether there are certificates in it is for whoever compiles it.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Invalid, SealedSecret, host::is_dns_name};

const MAX_PEM_BYTES: usize = 64 * 1024;

/// The version of HTTP that servers are spoken to in.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by ALPN with TLS, and with prior knowledge without.
    Http2,
    /// With TLS what the server prefers, without HTTP/1.1.
    Auto,
}

impl Protocol {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The name that a server's certificate must have.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = Hostname, max_length = 253))]
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ServerName(Arc<str>);

impl ServerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_dns_name(text) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(Invalid::new("server name", text, "write a DNS name, such as app.internal"))
        }
    }
}

impl TryFrom<String> for ServerName {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Certificates in PEM (RFC 7468).
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = UpstreamCertificatePem, value_type = String, max_length = 65536, pattern = "-----BEGIN CERTIFICATE-----"))]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CertificatePem(Arc<str>);

impl CertificatePem {
    /// The PEM text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CertificatePem {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        let is_pem = text.len() <= MAX_PEM_BYTES && text.contains("-----BEGIN CERTIFICATE-----");
        // A key that was put in the wrong field must neither be kept nor shown.
        if is_pem && !text.contains("PRIVATE KEY-----") {
            Ok(Self(text.into()))
        } else {
            let rule = "write one or more certificates in PEM, at most 64 KiB, and no private key";
            Err(Invalid::new("certificate", "", rule))
        }
    }
}

/// A private key in PEM; a secret.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, max_length = 65536, pattern = "PRIVATE KEY-----"))]
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PrivateKeyPem(Arc<str>);

impl PrivateKeyPem {
    /// The secret itself, to be used and not shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(..)")
    }
}

impl TryFrom<String> for PrivateKeyPem {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        let is_pem = text.len() <= MAX_PEM_BYTES && text.contains("PRIVATE KEY-----");
        if is_pem && !text.contains("ENCRYPTED") {
            Ok(Self(text.into()))
        } else {
            let rule = "write one private key in PEM without a pass phrase, at most 64 KiB";
            Err(Invalid::new("private key", "", rule))
        }
    }
}

/// A private key as it was written, or sealed as it is stored and sent. Both stand in the same field:
/// a text is one or the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClientKey {
    /// In PEM; a secret.
    Clear(PrivateKeyPem),
    /// Under the platform's master key.
    Sealed(SealedSecret),
}

impl TryFrom<String> for ClientKey {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        match text.parse() {
            Ok(sealed) => Ok(Self::Sealed(sealed)),
            Err(_) => text.try_into().map(Self::Clear),
        }
    }
}

#[cfg(feature = "openapi")]
crate::openapi::text_schema!(
    ClientKey,
    crate::openapi::text(
        "One private key in PEM without a pass phrase. It can be written and never be read.",
        "PRIVATE KEY-----",
        1..=65_536
    )
);

impl From<ClientKey> for String {
    fn from(key: ClientKey) -> String {
        match key {
            ClientKey::Clear(key) => key.expose().to_owned(),
            ClientKey::Sealed(sealed) => sealed.into(),
        }
    }
}

/// TLS towards the servers of an upstream.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The name sent as SNI and demanded of the certificate; the endpoint's own name if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<ServerName>,
    /// The authorities that are believed; the machine's own if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<CertificatePem>,
    /// What the proxy shows to servers that ask who it is, with what leads to the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_pem: Option<CertificatePem>,
    /// The key of that certificate. It can be written and never be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_pem: Option<ClientKey>,
    /// Whether the certificate is checked; only ever off for tests.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub verify: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(verify: &bool) -> bool {
    *verify
}
