//! JSON Web Tokens: compact JWS (RFC 7515) over claims (RFC 7519), verified with keys from a JWKS
//! document (RFC 7517) under the advice of RFC 8725.
//!
//! The path of a token: [`Token::parse`] takes it apart and believes nothing; its
//! [`issuer`](Token::issuer) and [`key_id`](Token::key_id) say which [`KeySet`] to try;
//! [`Token::verify`] checks the signature first and only then reads [`Claims`].
//!
//! What is stricter than the standards ask, each because a lenient reader was exploited somewhere:
//! no duplicate JSON members, no non-canonical base64url, no `crit` at all, no key or URL taken from
//! the token's own header, `exp` always required, and every key pinned to its algorithms.
//!
//! **Signatures are checked by `ring` directly.** The `jsonwebtoken` crate was weighed: it ignores
//! `crit` and duplicate members, so all parsing would still be ours; it selects its cryptography
//! through a process-wide provider, which this crate must not have; and its backend would be a
//! second C library beside the `ring` that TLS already brings. What would remain is one call.
//!
//! ECDSA signatures are malleable: from one valid signature anyone can make the other, and both
//! verify. The text of a token is therefore no identity, and a list of revoked tokens would have to
//! hold something else.

mod claims;
mod error;
mod keys;
mod token;

mod curve;
mod json;
mod jwk;

pub use claims::{Claims, LEEWAY, MAX_SUBJECT_BYTES, ROLE_PREFIX};
pub use error::{Claim, JwksError, KeyDefect, RefusedKey, TokenError};
pub use keys::{KeySet, MAX_KEYS};
pub use token::{MAX_KEY_ID_BYTES, MAX_TOKEN_BYTES, Token};

#[cfg(test)]
mod tests;
