//! One key of a JWKS document (RFC 7517, section 4; members by kind in RFC 7518, section 6, and RFC
//! 8037, section 2).

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    signature::{
        self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaPublicKeyComponents,
        UnparsedPublicKey,
    },
};
use serde_json::Value;
use tenantry_model::Algorithm;

use super::{
    KeyDefect, TokenError,
    curve::{self, P256, P384},
    json::Object,
    token::algorithm_named,
};

/// Private members of RSA, EC and OKP keys (RFC 7518, sections 6.2.2 and 6.3.2; RFC 8037, section
/// 2), and the secret of a symmetric one (RFC 7518, section 6.4).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

const MIN_SECRET_BYTES: usize = 32;

/// A key, and what it may be used for.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithms: BTreeSet<Algorithm>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(UnparsedPublicKey<Vec<u8>>),
    P384(UnparsedPublicKey<Vec<u8>>),
    Ed25519(UnparsedPublicKey<Vec<u8>>),
    Secret(hmac::Key),
}

/// The kinds of key that can be used, and what each can do.
#[derive(Clone, Copy)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
    Secret,
}

impl Key {
    /// Checks a signature. The match is closed: no kind of key is ever handed to another kind's
    /// algorithm, even if `algorithms` were wrong. The length of a signature is part of each
    /// check: 64 bytes for ES256 and EdDSA, 96 for ES384, the modulus' for RSA.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let rsa = |key: &RsaPublicKeyComponents<Vec<u8>>, parameters| {
            key.verify(parameters, message, signature)
        };
        let verified = match (&self.material, algorithm) {
            (Material::Rsa(key), Algorithm::RS256) => {
                rsa(key, &signature::RSA_PKCS1_2048_8192_SHA256)
            }
            (Material::Rsa(key), Algorithm::RS384) => {
                rsa(key, &signature::RSA_PKCS1_2048_8192_SHA384)
            }
            (Material::Rsa(key), Algorithm::RS512) => {
                rsa(key, &signature::RSA_PKCS1_2048_8192_SHA512)
            }
            (Material::Rsa(key), Algorithm::PS256) => {
                rsa(key, &signature::RSA_PSS_2048_8192_SHA256)
            }
            (Material::P256(key), Algorithm::ES256)
            | (Material::P384(key), Algorithm::ES384)
            | (Material::Ed25519(key), Algorithm::EdDSA) => key.verify(message, signature),
            (Material::Secret(key), Algorithm::HS256) => hmac::verify(key, message, signature),
            _ => return Err(TokenError::UnsupportedAlgorithm),
        };
        verified.map_err(|_| TokenError::BadSignature)
    }
}

impl Kind {
    /// The kind by `kty` and `crv`; none if it is one that no [`Algorithm`] uses.
    fn of(jwk: &Object) -> Result<Option<Self>, KeyDefect> {
        Ok(match text(jwk, "kty")?.ok_or(KeyDefect::Member("kty"))? {
            "RSA" => Some(Self::Rsa),
            "oct" => Some(Self::Secret),
            "EC" => match text(jwk, "crv")?.ok_or(KeyDefect::Member("crv"))? {
                "P-256" => Some(Self::P256),
                "P-384" => Some(Self::P384),
                _ => None,
            },
            "OKP" => (text(jwk, "crv")?.ok_or(KeyDefect::Member("crv"))? == "Ed25519")
                .then_some(Self::Ed25519),
            _ => None,
        })
    }

    fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Rsa => &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256],
            Self::P256 => &[Algorithm::ES256],
            Self::P384 => &[Algorithm::ES384],
            Self::Ed25519 => &[Algorithm::EdDSA],
            Self::Secret => &[Algorithm::HS256],
        }
    }

    fn material(self, jwk: &Object) -> Result<Material, KeyDefect> {
        match self {
            Self::Rsa => rsa(jwk),
            Self::P256 => {
                let point = point(jwk, &P256, 32)?;
                Ok(Material::P256(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)))
            }
            Self::P384 => {
                let point = point(jwk, &P384, 48)?;
                Ok(Material::P384(UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)))
            }
            Self::Ed25519 => {
                let point = bytes(jwk, "x")?;
                if point.len() != 32 {
                    return Err(KeyDefect::Member("x"));
                }
                if curve::is_weak_ed25519(&point) {
                    return Err(KeyDefect::Point);
                }
                Ok(Material::Ed25519(UnparsedPublicKey::new(&ED25519, point)))
            }
            Self::Secret => {
                let secret = zeroize::Zeroizing::new(bytes(jwk, "k")?);
                if secret.len() < MIN_SECRET_BYTES {
                    return Err(KeyDefect::ShortSecret);
                }
                Ok(Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
            }
        }
    }
}

/// Reads a key; none if it is sound, as far as one can see, but for something else.
pub(super) fn read(jwk: &Value, allowed: &BTreeSet<Algorithm>) -> Result<Option<Key>, KeyDefect> {
    let jwk = jwk.as_object().ok_or(KeyDefect::NotAnObject)?;
    let Some(kind) = Kind::of(jwk)? else { return Ok(None) };
    match kind {
        Kind::Secret if !allowed.contains(&Algorithm::HS256) => {
            return Err(KeyDefect::SharedSecret);
        }
        Kind::Secret => {}
        _ => {
            if let Some(member) = PRIVATE_MEMBERS.iter().find(|member| jwk.contains_key(**member)) {
                return Err(KeyDefect::PrivateMember(member));
            }
        }
    }
    if !is_for_verifying(jwk)? {
        return Ok(None);
    }
    let pinned = match text(jwk, "alg")?.map(algorithm_named) {
        None => kind.algorithms().iter().copied().collect(),
        Some(None) => BTreeSet::new(),
        Some(Some(algorithm)) if kind.algorithms().contains(&algorithm) => [algorithm].into(),
        Some(Some(_)) => return Err(KeyDefect::AlgorithmMismatch),
    };
    let algorithms: BTreeSet<Algorithm> = pinned.intersection(allowed).copied().collect();
    if algorithms.is_empty() {
        return Ok(None);
    }
    let id = text(jwk, "kid")?.map(str::to_owned);
    Ok(Some(Key { id, algorithms, material: kind.material(jwk)? }))
}

/// `use` and `key_ops` (RFC 7517, sections 4.2 and 4.3): absent, or naming signatures.
fn is_for_verifying(jwk: &Object) -> Result<bool, KeyDefect> {
    let by_use = text(jwk, "use")?.is_none_or(|name| name == "sig");
    let by_operations = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|name| name == "verify"),
        Some(_) => return Err(KeyDefect::Member("key_ops")),
    };
    Ok(by_use && by_operations)
}

/// An RSA key (RFC 7518, section 6.3.1). Leading zero bytes are against the standard, but known to
/// be written by some libraries (the RFC says so), and do not change the number.
fn rsa(jwk: &Object) -> Result<Material, KeyDefect> {
    let number = |name| -> Result<Vec<u8>, KeyDefect> {
        Ok(bytes(jwk, name)?.into_iter().skip_while(|byte| *byte == 0).collect())
    };
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    let n = number("n")?;
    if !(2048..=8192).contains(&bit_length(&n)) || !is_odd(&n) {
        return Err(KeyDefect::RsaModulus);
    }
    let e = number("e")?;
    if !(2..=33).contains(&bit_length(&e)) || !is_odd(&e) {
        return Err(KeyDefect::RsaExponent);
    }
    Ok(Material::Rsa(RsaPublicKeyComponents { n, e }))
}

/// The length in bits of a big-endian number without leading zero bytes.
fn bit_length(number: &[u8]) -> u32 {
    let leading = number.first().map_or(0, |byte| byte.leading_zeros());
    u32::try_from(number.len()).map_or(u32::MAX, |bytes| bytes.saturating_mul(8) - leading)
}

/// A point on a curve (RFC 7518, section 6.2.1), in the uncompressed form of SEC 1, section 2.3.3.
/// Coordinates have the full size of the field, never fewer bytes.
fn point(jwk: &Object, curve: &curve::Curve, size: usize) -> Result<Vec<u8>, KeyDefect> {
    let coordinate = |name| match bytes(jwk, name) {
        Ok(coordinate) if coordinate.len() == size => Ok(coordinate),
        _ => Err(KeyDefect::Member(name)),
    };
    let (x, y) = (coordinate("x")?, coordinate("y")?);
    if !curve.contains(&x, &y) {
        return Err(KeyDefect::Point);
    }
    Ok([[4].as_slice(), &x, &y].concat())
}

fn text<'j>(jwk: &'j Object, name: &'static str) -> Result<Option<&'j str>, KeyDefect> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyDefect::Member(name)),
    }
}

fn bytes(jwk: &Object, name: &'static str) -> Result<Vec<u8>, KeyDefect> {
    let text = text(jwk, name)?.ok_or(KeyDefect::Member(name))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyDefect::Member(name))
}
