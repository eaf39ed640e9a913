//! Makes Ed25519 keys and tokens, for demonstrations and tests; behind the feature `signing`,
//! because a gateway only ever verifies.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// The seed was no Ed25519 key. Cannot happen with 32 bytes, but the library may say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seed does not make an Ed25519 key")]
pub struct SeedError;

/// An Ed25519 private key that signs tokens with EdDSA (RFC 8037, section 3.1).
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key that belongs to 32 random bytes (RFC 8032, section 5.1.5), which the caller draws
    /// from a cryptographically secure source.
    ///
    /// # Errors
    ///
    /// None in practice; see [`SeedError`].
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SeedError> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| SeedError)
    }

    /// The public key as a JWK (RFC 8037, section 2), to be put into the `keys` of a JWKS document.
    #[must_use]
    pub fn jwk(&self, key_id: &str) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key_id, "x": x})
    }

    /// A compact JWS (RFC 7515, section 3.1) of the claims, which are signed as they are.
    #[must_use]
    pub fn sign(&self, claims: &Value, key_id: &str) -> String {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": key_id});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signing_input = format!("{}.{}", part(&header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signing_input.as_bytes()));
        format!("{signing_input}.{signature}")
    }
}

/// Never shows the private key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey([hidden])")
    }
}
