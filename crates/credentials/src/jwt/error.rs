//! Why a token or a key was refused. All texts are fit for a log: none holds any part of a token,
//! of a key, or of anything else that a client chose.

use std::fmt;

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no compact JWS of a JWT, or uses a part of the standard that is refused here; says what.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Its `alg` is unknown or `none`, or not one that the issuer or the key may sign with.
    #[error("the token's algorithm is not accepted")]
    UnsupportedAlgorithm,
    /// No key of the issuer fits. The one error that fetching the issuer's keys again may cure.
    #[error("the token was signed with an unknown key")]
    UnknownKey,
    /// The key fits, the signature does not.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Its `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// Its `nbf` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Its `iss` is not exactly the issuer's.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// Its `aud` names none of the issuer's audiences.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// A claim that must be there is not.
    #[error("the token lacks {0}")]
    MissingClaim(Claim),
    /// A claim is there, but is not what it must be.
    #[error("the token's {0} is not acceptable")]
    BadClaim(Claim),
}

/// The claims that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// `iss` (RFC 7519, section 4.1.1).
    Issuer,
    /// `sub` (RFC 7519, section 4.1.2).
    Subject,
    /// `aud` (RFC 7519, section 4.1.3).
    Audience,
    /// `exp` (RFC 7519, section 4.1.4).
    Expiry,
    /// `nbf` (RFC 7519, section 4.1.5).
    NotBefore,
    /// `iat` (RFC 7519, section 4.1.6).
    IssuedAt,
    /// `scope` (RFC 8693, section 4.2) or `scp`.
    Scope,
    /// The claim that the issuer names its tenants in.
    Tenant,
    /// The claim that the issuer names roles in.
    Roles,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issuer => "`iss` claim",
            Self::Subject => "`sub` claim",
            Self::Audience => "`aud` claim",
            Self::Expiry => "`exp` claim",
            Self::NotBefore => "`nbf` claim",
            Self::IssuedAt => "`iat` claim",
            Self::Scope => "scope claim",
            Self::Tenant => "tenant claim",
            Self::Roles => "roles claim",
        })
    }
}

/// Why a JWKS document was refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// It is not an object with an array `keys`.
    #[error("a JWKS document is an object with an array `keys`")]
    NotAKeySet,
    /// It has more than [`MAX_KEYS`](super::MAX_KEYS) keys.
    #[error("the JWKS document has more than 64 keys")]
    TooManyKeys,
    /// Two keys that could be used have the same `kid`; `index` is the later one's.
    #[error("key {index} of the JWKS document has the same `kid` as one before it")]
    DuplicateKeyId {
        /// The position in `keys`, from 0.
        index: usize,
    },
    /// No key can be used with the issuer's algorithms.
    #[error("the JWKS document has no key for the issuer's algorithms")]
    NoUsableKey,
    /// A key is defective.
    #[error(transparent)]
    Key(#[from] RefusedKey),
}

/// One key of a JWKS document that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key {index} of the JWKS document is refused: {defect}")]
pub struct RefusedKey {
    /// The position in `keys`, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub defect: KeyDefect,
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyDefect {
    /// It is not a JSON object.
    #[error("it is not an object")]
    NotAnObject,
    /// A member is missing, of the wrong type, or not canonical unpadded base64url of the right size.
    #[error("its member `{0}` is missing or malformed")]
    Member(&'static str),
    /// It gives its private half away, and must be considered stolen.
    #[error("its private member `{0}` must never be published; replace the key")]
    PrivateMember(&'static str),
    /// A shared secret in the document of an issuer that signs with private keys.
    #[error("it is a shared secret, and the issuer does not use HS256")]
    SharedSecret,
    /// A shared secret of fewer than 32 bytes (RFC 7518, section 3.2).
    #[error("its secret is shorter than 32 bytes")]
    ShortSecret,
    /// An RSA modulus that is not odd or not of 2048 to 8192 bits (RFC 7518, section 3.3).
    #[error("its RSA modulus is not an odd number of 2048 to 8192 bits")]
    RsaModulus,
    /// An RSA exponent that is even, below 3 or longer than 33 bits.
    #[error("its RSA exponent is not an odd number from 3 to 2^33 - 1")]
    RsaExponent,
    /// A point that is not on its curve, or of so small an order that signatures prove nothing.
    #[error("its point is not on the curve, or is a weak one")]
    Point,
    /// Its `alg` cannot be done with its kind of key.
    #[error("its `alg` does not fit its kind of key")]
    AlgorithmMismatch,
}
