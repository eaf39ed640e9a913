//! The format of API keys: `tnt_`, 30 random characters and a checksum of 6 characters.
//!
//! ```text
//! tnt_ 0123456789ABCDEFGHIJKLMNOPQRST 4PMbyp     (without the spaces; 40 bytes)
//!      |____________ body __________| |check|
//! ```
//!
//! Body and checksum are base62: `0-9`, then `A-Z`, then `a-z`, with the values 0 to 61 in that
//! order. Each character of the body is drawn uniformly, which gives 178 bits: too many to guess, so
//! a fast digest is enough to keep.
//!
//! The checksum is the CRC-32 of the body's 30 ASCII bytes (the CRC of ISO 3309, gzip and PNG; the
//! prefix is not part of it), written as a base62 number, most significant digit first, padded on
//! the left with `0` to 6 digits. It proves nothing about who wrote the key. It refuses typing
//! errors and random probes before any look-up, and lets a secret scanner tell a key from noise. A
//! CRC-32 sees every change within 32 adjacent bits, so any change within four adjacent characters
//! of the body is refused for certain; as a number has only one spelling here, so is any change of
//! the checksum alone. Other changes pass once in 2^32.

use std::{fmt, iter};

use sha2::{Digest, Sha256};
use tenantry_model::KeyDigest;
use zeroize::Zeroizing;

/// What every API key starts with.
pub const PREFIX: &str = "tnt_";
/// The length of every API key, in bytes.
pub const KEY_BYTES: usize = PREFIX.len() + BODY_BYTES + CHECKSUM_BYTES;

const BODY_BYTES: usize = 30;
const CHECKSUM_BYTES: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Why a text is no API key. Says nothing about whether a well-formed key exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// It does not start with [`PREFIX`].
    #[error("the API key does not start with `tnt_`")]
    Prefix,
    /// It is not [`KEY_BYTES`] long.
    #[error("the API key is not 40 bytes long")]
    Length,
    /// A character after the prefix is none of `0-9`, `A-Z` and `a-z`.
    #[error("the API key has a character that is neither a letter nor a digit")]
    Alphabet,
    /// The last six characters do not belong to the ones before.
    #[error("the API key's checksum is wrong")]
    Checksum,
}

/// A new API key, in the clear: shown to its owner once, then forgotten.
///
/// Its memory is wiped when it is dropped, and neither `Debug` nor `Display` shows it.
pub struct ApiKeySecret(Zeroizing<String>);

impl ApiKeySecret {
    /// Makes a key from a source of random bytes, which must be cryptographically secure.
    ///
    /// Six bits of each byte are used and the values 62 and 63 are drawn again, so that no
    /// character is likelier than another. A source that only ever returns such bytes (252 and
    /// above) never ends this call.
    #[must_use]
    pub fn generate(random: impl FnMut() -> u8) -> Self {
        Self(checked_text(PREFIX, random))
    }

    /// The key itself, to be handed to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored instead of the key.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        digest(&self.0)
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tnt_[hidden]")
    }
}

impl fmt::Display for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A well-formed API key that a client presented; whether it exists is for a look-up to say.
#[derive(Clone, Copy)]
pub struct PresentedKey<'t>(&'t str);

impl PresentedKey<'_> {
    /// What the key is looked up by: SHA-256 (FIPS 180-4) of its whole text, prefix and checksum
    /// included. A look-up by digest leaks no timing about the key.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        digest(self.0)
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tnt_[hidden]")
    }
}

/// Whether a text claims to be an API key: only the prefix is looked at.
#[must_use]
pub fn looks_like_api_key(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Checks the form of a presented key, allocating nothing.
///
/// # Errors
///
/// The first rule that is broken, in the order of [`ApiKeyError`].
pub fn parse(text: &str) -> Result<PresentedKey<'_>, ApiKeyError> {
    let rest = text.strip_prefix(PREFIX).ok_or(ApiKeyError::Prefix)?;
    if text.len() != KEY_BYTES {
        return Err(ApiKeyError::Length);
    }
    if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ApiKeyError::Alphabet);
    }
    if is_checked(rest) { Ok(PresentedKey(text)) } else { Err(ApiKeyError::Checksum) }
}

/// A prefix of 4 bytes, a body of random characters and their checksum.
pub(crate) fn checked_text(prefix: &str, random: impl FnMut() -> u8) -> Zeroizing<String> {
    // Room for the whole key from the start: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(KEY_BYTES));
    text.push_str(prefix);
    let body = iter::repeat_with(random)
        .filter_map(|byte| ALPHABET.get(usize::from(byte >> 2)))
        .take(BODY_BYTES);
    text.extend(body.map(|symbol| char::from(*symbol)));
    let checksum = checksum(text.as_bytes().get(prefix.len()..).unwrap_or_default());
    text.extend(checksum.map(char::from));
    text
}

/// Whether what follows the prefix has the form of a body with its checksum.
pub(crate) fn is_checked(rest: &str) -> bool {
    rest.len() == BODY_BYTES + CHECKSUM_BYTES
        && rest.split_at_checked(BODY_BYTES).is_some_and(|(body, check)| {
            body.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && checksum(body.as_bytes()) == check.as_bytes()
        })
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut value = crc32fast::hash(body);
    let mut digits = [b'0'; CHECKSUM_BYTES];
    for digit in digits.iter_mut().rev() {
        let symbol = usize::try_from(value % 62).ok().and_then(|index| ALPHABET.get(index));
        *digit = symbol.copied().unwrap_or(b'0');
        value /= 62;
    }
    digits
}

pub(crate) fn digest(text: &str) -> KeyDigest {
    KeyDigest::from_bytes(Sha256::digest(text.as_bytes()).into())
}

#[cfg(test)]
mod tests;
