//! API keys as they are kept: by digest, never by secret.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Invalid, KeyId, RateLimits, Scope, TenantId, Timestamp, access::Networks};

/// The most networks that one key may be used from. They are looked at on each request.
pub const MAX_KEY_NETWORKS: usize = 256;

/// The most scopes of one key. Keys that had more before there was this bound keep them.
pub const MAX_KEY_SCOPES: usize = 64;

/// The SHA-256 digest of an API key's whole text; 64 lower-case hexadecimal digits outside the
/// program. Keys carry far more entropy than can be guessed, so no slow hash is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Wraps the 32 bytes of a digest.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyDigest {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid::new("key digest", text, "it is 64 lower-case hexadecimal digits");
        if text.len() != 64
            || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| refused())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for KeyDigest {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> String {
        digest.to_string()
    }
}

/// An API key of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Never changes, and is not the secret.
    pub id: KeyId,
    /// Its owner.
    pub tenant: TenantId,
    /// What a presented key is looked up by.
    pub digest: KeyDigest,
    /// What it may do.
    #[serde(default)]
    pub scopes: BTreeSet<Scope>,
    /// From this instant on it is refused.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Whether it is accepted at all. A key that is not is refused like one that does not exist.
    #[serde(default = "enabled", skip_serializing_if = "is_enabled")]
    pub enabled: bool,
    /// From where it may be used; from anywhere, if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_networks: Option<KeyNetworks>,
    /// Limits of its own, which each request with it must pass beside its tenant's.
    #[serde(default, skip_serializing_if = "RateLimits::is_empty")]
    pub rate_limits: RateLimits,
}

/// What a key is that does not say: accepted.
#[must_use]
pub fn enabled() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_enabled(enabled: &bool) -> bool {
    *enabled
}

/// What may be written of a key: all of it but its identity and its secret.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// What it is for.
    pub name: String,
    /// What it may do; at most 64.
    #[cfg_attr(feature = "openapi", schema(max_items = 64))]
    #[serde(default)]
    pub scopes: BTreeSet<Scope>,
    /// From this instant on it is refused; never, if not given.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Whether it is accepted at all; it is, if not given.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// From where it may be used; from anywhere, if not given.
    #[serde(default)]
    pub allowed_networks: Option<KeyNetworks>,
    /// Limits of its own, beside its tenant's.
    #[serde(default)]
    pub rate_limits: RateLimits,
}

impl KeySpec {
    /// A key of this name that may be used by anybody who has it, for nothing that needs a scope.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            scopes: BTreeSet::new(),
            expires_at: None,
            enabled: true,
            allowed_networks: None,
            rate_limits: RateLimits::default(),
        }
    }
}

/// The networks that a key may be used from: at least one. An empty list could be read as "nowhere" as
/// well as "anywhere", so it is refused.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, min_items = 1, max_items = 256))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Networks")]
pub struct KeyNetworks(Networks);

impl KeyNetworks {
    /// The networks, in the order they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[ipnet::IpNet] {
        self.0.as_slice()
    }
}

impl TryFrom<Networks> for KeyNetworks {
    type Error = Invalid;

    fn try_from(networks: Networks) -> Result<Self, Invalid> {
        let refused = |rule: &'static str| Err(Invalid::new("network list of a key", "", rule));
        match networks.as_slice().len() {
            0 => refused("name at least one network, or leave the list out"),
            count if count > MAX_KEY_NETWORKS => refused("at most 256 networks fit"),
            _ => Ok(Self(networks)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_the_newer_fields_keeps_its_bytes() {
        let old = format!(
            r#"{{"id":"{}","tenant":"{}","digest":"{}","scopes":["a"],"expires_at":null}}"#,
            KeyId::from_parts(1, 2),
            TenantId::from_parts(1, 3),
            KeyDigest::from_bytes([1; 32])
        );
        let key: ApiKey = serde_json::from_str(&old).unwrap();
        assert!(key.enabled && key.allowed_networks.is_none() && key.rate_limits.is_empty());
        assert_eq!(serde_json::to_string(&key).unwrap(), old);
    }

    #[test]
    fn networks_of_a_key_are_some_and_not_too_many() {
        let parse = |networks: Vec<String>| {
            serde_json::from_value::<KeyNetworks>(serde_json::json!(networks))
        };
        assert!(parse(vec![]).unwrap_err().to_string().contains("at least one"));
        assert!(parse(vec!["10.0.0.1/8".to_owned()]).is_err());
        let many = |count: usize| (0..count).map(|i| format!("10.0.{}.{}", i / 256, i % 256));
        assert!(parse(many(MAX_KEY_NETWORKS).collect()).is_ok());
        assert!(parse(many(MAX_KEY_NETWORKS + 1).collect()).is_err());
    }

    #[test]
    fn digests_have_one_spelling() {
        let digest = KeyDigest::from_bytes([0xa7; 32]);
        assert_eq!(digest.to_string().parse::<KeyDigest>().unwrap(), digest);
        for bad in
            [digest.to_string().to_uppercase(), "0".repeat(63), "g".repeat(64), "é".repeat(32)]
        {
            assert!(bad.parse::<KeyDigest>().is_err(), "{bad}");
        }
    }
}
