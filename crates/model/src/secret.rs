//! Secrets that are sealed under a master key: unreadable wherever they are stored or sent.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Invalid;

const VERSION: &str = "v1";
const KEY_ID_DIGITS: usize = 16;
/// A nonce of 12 bytes and a tag of 16, in base64.
const MIN_PAYLOAD: usize = 38;
const MAX_PAYLOAD: usize = 32 * 1024;

/// A sealed secret: `v1.`, the identifier of the master key (16 hexadecimal digits), `.`, and nonce
/// and ciphertext in base64url. What it hides is known only to whoever has the master key.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealedSecret(Box<str>);

impl SealedSecret {
    /// Of its parts; the payload is nonce and ciphertext in base64url without padding.
    ///
    /// # Errors
    /// If the parts are not what they should be.
    pub fn new(key_id: &str, payload: &str) -> Result<Self, Invalid> {
        format!("{VERSION}.{key_id}.{payload}").parse()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Which master key opens it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.0.split('.').nth(1).unwrap_or_default()
    }

    /// Nonce and ciphertext, in base64url.
    #[must_use]
    pub fn payload(&self) -> &str {
        self.0.split('.').nth(2).unwrap_or_default()
    }
}

impl FromStr for SealedSecret {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let mut parts = text.split('.');
        let (version, key_id, payload) = (parts.next(), parts.next(), parts.next());
        let good = version == Some(VERSION)
            && key_id.is_some_and(|id| id.len() == KEY_ID_DIGITS && id.bytes().all(is_hex))
            && payload.is_some_and(|payload| {
                (MIN_PAYLOAD..=MAX_PAYLOAD).contains(&payload.len())
                    && payload.bytes().all(is_base64)
            })
            && parts.next().is_none();
        if good {
            Ok(Self(text.into()))
        } else {
            // Not the text: somebody may have put a secret in its place.
            Err(Invalid::new("sealed secret", "[hidden]", "it is what this platform sealed itself"))
        }
    }
}

impl TryFrom<String> for SealedSecret {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<SealedSecret> for String {
    fn from(secret: SealedSecret) -> String {
        secret.0.into()
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({})", self.key_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_has_one_form() {
        let (id, payload) = ("0123456789abcdef", "a".repeat(40));
        let secret = SealedSecret::new(id, &payload).unwrap();
        assert_eq!((secret.key_id(), secret.payload()), (id, payload.as_str()));
        assert_eq!(secret.as_str().parse::<SealedSecret>().unwrap(), secret);
        assert!(!format!("{secret:?}").contains(&payload));
        for (id, payload) in [
            ("0123456789ABCDEF", payload.as_str()),
            ("0123456789abcde", payload.as_str()),
            (id, "short"),
            (id, &"=".repeat(40)),
            (id, &format!("{payload}.x")),
            (id, &"a".repeat(MAX_PAYLOAD + 1)),
        ] {
            let error = SealedSecret::new(id, payload).unwrap_err().to_string();
            assert!(!error.contains(payload), "{error}");
        }
        assert!(format!("v2.{id}.{payload}").parse::<SealedSecret>().is_err());
    }
}
