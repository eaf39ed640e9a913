//! The keys of one issuer.

use std::collections::BTreeSet;

use serde_json::Value;
use tenantry_model::Algorithm;

use super::{
    JwksError, RefusedKey, TokenError,
    jwk::{self, Key},
};

/// The most keys in one JWKS document, used or not.
pub const MAX_KEYS: usize = 64;

/// The keys that an issuer's tokens may be signed with, each pinned to its algorithms.
///
/// Pinning is what stops algorithm confusion (RFC 8725, section 3.1): a key is good for its `alg`
/// if it has one, else for what its kind and curve allow, and always only for algorithms that the
/// issuer uses.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    refused: Vec<RefusedKey>,
}

impl KeySet {
    /// Reads a JWKS document (RFC 7517, section 5) that an operator wrote.
    ///
    /// Left out in silence are keys for something else: of another kind, curve, `use`, `key_ops` or
    /// `alg`. Everything else that is wrong is an error, because the writer can mend it: see
    /// [`KeyDefect`](super::KeyDefect). A shared secret (`oct`) is accepted only if the issuer uses
    /// HS256, which then is its only algorithm; beside other algorithms it is refused, since a
    /// secret has no place in a document that may be public.
    ///
    /// # Errors
    ///
    /// The first defective key; or that the document is no JWKS, has too many keys, the same `kid`
    /// twice, or no key for the `algorithms`.
    pub fn from_jwks(jwks: &Value, algorithms: &BTreeSet<Algorithm>) -> Result<Self, JwksError> {
        let keys = Self::read(jwks, algorithms)?;
        match keys.refused.first() {
            Some(refused) => Err((*refused).into()),
            None => keys.usable(),
        }
    }

    /// Reads a JWKS document that was fetched from the issuer.
    ///
    /// As [`Self::from_jwks`], but a defective key is left out and listed in [`Self::refused`]: the
    /// issuer changes this document whenever it likes, and one key that we dislike must not stop
    /// the others from working. A shared secret is always defective here.
    ///
    /// # Errors
    ///
    /// As [`Self::from_jwks`], but a defective key only if there is no other key. The caller should
    /// then keep the keys it has.
    pub fn from_fetched_jwks(
        jwks: &Value,
        algorithms: &BTreeSet<Algorithm>,
    ) -> Result<Self, JwksError> {
        let public = algorithms.iter().copied().filter(|algorithm| !algorithm.is_symmetric());
        Self::read(jwks, &public.collect())?.usable()
    }

    /// The defective keys that [`Self::from_fetched_jwks`] left out; worth a line in the log.
    #[must_use]
    pub fn refused(&self) -> &[RefusedKey] {
        &self.refused
    }

    /// The key that must have signed, or why there is none.
    pub(super) fn find(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&Key, TokenError> {
        let Some(key_id) = key_id else {
            let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                _ => Err(TokenError::UnknownKey),
            };
        };
        let mut keys = self.keys.iter();
        let key = keys.find(|key| key.id.as_deref() == Some(key_id));
        match key {
            Some(key) if key.algorithms.contains(&algorithm) => Ok(key),
            Some(_) => Err(TokenError::UnsupportedAlgorithm),
            None => Err(TokenError::UnknownKey),
        }
    }

    fn read(jwks: &Value, algorithms: &BTreeSet<Algorithm>) -> Result<Self, JwksError> {
        let jwks = jwks.get("keys").and_then(Value::as_array).ok_or(JwksError::NotAKeySet)?;
        if jwks.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys);
        }
        let mut set = Self { keys: Vec::new(), refused: Vec::new() };
        for (index, jwk) in jwks.iter().enumerate() {
            match jwk::read(jwk, algorithms) {
                Ok(None) => {}
                Ok(Some(key)) if key.id.is_some() && set.keys.iter().any(|k| k.id == key.id) => {
                    return Err(JwksError::DuplicateKeyId { index });
                }
                Ok(Some(key)) => set.keys.push(key),
                Err(defect) => set.refused.push(RefusedKey { index, defect }),
            }
        }
        Ok(set)
    }

    fn usable(self) -> Result<Self, JwksError> {
        match (self.keys.is_empty(), self.refused.first()) {
            (false, _) => Ok(self),
            (true, Some(refused)) => Err((*refused).into()),
            (true, None) => Err(JwksError::NoUsableKey),
        }
    }
}
