//! Secrets at rest: AES-256-GCM under a master key that is stored nowhere near them.
//!
//! A sealed secret names the master key that opens it, and is bound to what it was sealed for (its
//! *context*, such as `certificate/crt_..`): moved to another resource it does not open. Several
//! master keys may be held at once. The first one seals and all open, so a key is replaced by putting
//! the new one in front, writing the secrets again, and then taking the old one away.
//!
//! Nonces are 96 random bits from the caller. One key may seal some billions of secrets before a
//! repeated nonce becomes likely (NIST SP 800-38D, section 8.3: 2^32), far more than a platform writes.

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use tenantry_model::SealedSecret;
use zeroize::Zeroizing;

/// Random bytes that are used once.
pub type NonceBytes = [u8; NONCE_LEN];

/// The most master keys that are held at once.
pub const MAX_MASTER_KEYS: usize = 16;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 8;

/// Why a master key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum MasterKeyError {
    #[error(
        "a master key is 32 random bytes in base64 (44 characters); make one with `openssl rand -base64 32`"
    )]
    Malformed,
    #[error("a master key file holds one to 16 keys, one on each line, the newest first")]
    Count,
    #[error(
        "others than its owner may read or write the master key file (mode {mode:03o}); run `chmod 600` on it"
    )]
    Exposed { mode: u32 },
}

/// Why a secret could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum SealError {
    #[error("there is no master key to seal it with")]
    NoMasterKey,
    #[error("the secret is too large to be sealed")]
    TooLarge,
}

/// Why a sealed secret could not be opened. None of the texts holds any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum OpenError {
    #[error("it is sealed under master key {0}, and no master key is configured")]
    NoMasterKey(String),
    #[error("it is sealed under master key {0}, which is not among those configured")]
    UnknownKey(String),
    #[error("it does not open: it was changed, or sealed for something else")]
    Tampered,
}

/// The master keys of a process; possibly none.
#[derive(Default)]
pub struct MasterKeys(Vec<MasterKey>);

struct MasterKey {
    id: String,
    key: LessSafeKey,
}

impl MasterKeys {
    /// None: nothing can be sealed or opened.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads keys in base64, separated by line breaks or commas. The first one seals.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let keys = text.split([',', '\n']).map(str::trim).filter(|key| !key.is_empty());
        let keys: Vec<_> = keys.map(MasterKey::parse).collect::<Result<_, _>>()?;
        if (1..=MAX_MASTER_KEYS).contains(&keys.len()) {
            Ok(Self(keys))
        } else {
            Err(MasterKeyError::Count)
        }
    }

    /// Reads the content of a file that has these Unix permissions.
    ///
    /// # Errors
    /// [`MasterKeyError`], also if others than its owner may read or write the file.
    pub fn from_file(content: &str, mode: u32) -> Result<Self, MasterKeyError> {
        if mode & 0o077 == 0 {
            Self::parse(content)
        } else {
            Err(MasterKeyError::Exposed { mode: mode & 0o777 })
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The identifiers of the keys: the start of a digest, which tells nothing about a key.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// Seals a secret for one context, with a nonce that was never used before.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &self,
        secret: &[u8],
        context: &str,
        nonce: NonceBytes,
    ) -> Result<SealedSecret, SealError> {
        let MasterKey { id, key } = self.0.first().ok_or(SealError::NoMasterKey)?;
        let mut sealed = secret.to_vec();
        let aad = Aad::from(context.as_bytes());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| SealError::TooLarge)?;
        let payload = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat());
        SealedSecret::new(id, &payload).map_err(|_| SealError::TooLarge)
    }

    /// Opens a secret that was sealed for this context.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &self,
        secret: &SealedSecret,
        context: &str,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let id = secret.key_id();
        let Some(MasterKey { key, .. }) = self.0.iter().find(|key| key.id == id) else {
            let unknown =
                if self.is_empty() { OpenError::NoMasterKey } else { OpenError::UnknownKey };
            return Err(unknown(id.to_owned()));
        };
        let bytes = URL_SAFE_NO_PAD.decode(secret.payload()).map_err(|_| OpenError::Tampered)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::Tampered)?;
        let mut secret = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(context.as_bytes());
        let length = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut secret)
            .map_err(|_| OpenError::Tampered)?
            .len();
        secret.truncate(length);
        Ok(secret)
    }
}

impl MasterKey {
    fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| MasterKeyError::Malformed)?);
        if bytes.len() != KEY_BYTES {
            return Err(MasterKeyError::Malformed);
        }
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| MasterKeyError::Malformed)?;
        let digest = Sha256::new().chain_update(b"tenantry master key").chain_update(&*bytes);
        let digest = digest.finalize();
        let id = digest.iter().take(KEY_ID_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, key: LessSafeKey::new(key) })
    }
}

/// Shows which keys there are, and nothing of them.
impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

#[cfg(test)]
mod tests;
