//! API keys as they are kept: by digest, never by secret.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Invalid, KeyId, Scope, TenantId, Timestamp};

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
}

#[cfg(test)]
mod tests {
    use super::*;

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
