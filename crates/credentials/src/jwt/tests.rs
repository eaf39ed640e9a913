//! What all tests of tokens share: an issuer, keys of every kind, and a way to sign anything.

mod attacks;
mod claims;
mod form;
mod jwks;
mod vectors;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac, rand,
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding,
    },
};
use serde_json::{Value, json};
use tenantry_model::{Algorithm, Issuer, IssuerId, Timestamp};

use super::*;

const NOW_SECONDS: u64 = 1_800_000_000;
const ALL: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::HS256,
];

fn now() -> Timestamp {
    Timestamp::from_unix_ms(NOW_SECONDS * 1000)
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Overwrites members of an object; a change to `null` removes the member.
fn with(mut object: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
            value => object[name] = value.clone(),
        }
    }
    object
}

/// An issuer of all tenants that uses the algorithms.
fn issuer(algorithms: &[Algorithm]) -> Issuer {
    issuer_with(algorithms, json!({}))
}

fn issuer_with(algorithms: &[Algorithm], changes: Value) -> Issuer {
    let issuer = json!({
        "id": IssuerId::from_parts(1, 1), "issuer": "https://id.example.com/",
        "audiences": ["api", "admin"], "algorithms": algorithms, "tenant_claim": "tenant",
        "jwks": {"keys": []},
    });
    serde_json::from_value(with(issuer, changes)).unwrap()
}

/// Claims that are good for [`issuer`].
fn claims() -> Value {
    json!({
        "iss": "https://id.example.com/", "aud": "api", "sub": "alice", "tenant": "acme",
        "exp": NOW_SECONDS + 300, "nbf": NOW_SECONDS, "iat": NOW_SECONDS, "scope": "reports:read",
    })
}

/// A private key of any kind.
enum Signer {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Signer {
    /// A key for the algorithm; for RSA always the one of RFC 7515, since `ring` makes none.
    fn new(algorithm: Algorithm) -> Self {
        let random = rand::SystemRandom::new();
        let ecdsa = |kind: &'static EcdsaSigningAlgorithm, curve| {
            let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap();
            Self::Ecdsa(pair, curve)
        };
        match algorithm {
            Algorithm::RS256 => Self::Rsa(rsa_key(), &signature::RSA_PKCS1_SHA256),
            Algorithm::RS384 => Self::Rsa(rsa_key(), &signature::RSA_PKCS1_SHA384),
            Algorithm::RS512 => Self::Rsa(rsa_key(), &signature::RSA_PKCS1_SHA512),
            Algorithm::PS256 => Self::Rsa(rsa_key(), &signature::RSA_PSS_SHA256),
            Algorithm::ES256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::ES384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::EdDSA => {
                let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Self::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
            }
            Algorithm::HS256 => Self::Secret(vec![0x5a; 32]),
        }
    }

    /// The JWK that verifies, without `kid` and `alg`.
    fn jwk(&self) -> Value {
        match self {
            Self::Rsa(..) => json!({"kty": "RSA", "n": vectors::RSA_N, "e": "AQAB"}),
            Self::Ecdsa(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
            Self::Secret(secret) => json!({"kty": "oct", "k": encode(secret)}),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = rand::SystemRandom::new();
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ecdsa(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }

    fn token(&self, header: &Value, payload: &Value) -> String {
        self.token_of(&header.to_string(), &payload.to_string())
    }

    /// A genuine signature over any two texts.
    fn token_of(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(self.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

fn rsa_key() -> RsaKeyPair {
    let [d, p, q, dp, dq, q_inverse] = vectors::RSA_PRIVATE.map(decode);
    let public_key = PublicKeyComponents { n: decode(vectors::RSA_N), e: decode("AQAB") };
    let components = KeyPairComponents { public_key, d, p, q, dP: dp, dQ: dq, qInv: q_inverse };
    RsaKeyPair::from_components(&components).unwrap()
}

fn key_set(jwks: &[Value], issuer: &Issuer) -> KeySet {
    KeySet::from_jwks(&json!({"keys": jwks}), issuer.algorithms()).unwrap()
}

fn verify(token: &str, issuer: &Issuer, keys: &KeySet) -> Result<Claims, TokenError> {
    Token::parse(token)?.verify(issuer, keys, now())
}
