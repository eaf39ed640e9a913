//! Taking a token apart, and putting it to the test.

use std::{collections::BTreeSet, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize,
    de::{
        IntoDeserializer,
        value::{Error as ValueError, StrDeserializer},
    },
};
use serde_json::Value;
use tenantry_model::{Algorithm, Issuer, Timestamp};

use super::{
    Claim, Claims, KeySet, TokenError, claims,
    json::{self, Object},
};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// The longest `kid`, in bytes, so that it can be logged and remembered.
pub const MAX_KEY_ID_BYTES: usize = 512;

/// Header parameters that change what is signed or how it must be read: `crit` (RFC 7515, section
/// 4.1.11) makes other parameters binding, `b64` (RFC 7797) changes the signed bytes, `zip` and
/// `enc` belong to encryption (RFC 7516). None is implemented, so none may be there.
const REFUSED_PARAMETERS: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// A token whose form is sound and of which nothing is proven yet.
///
/// Keys, certificates and URLs in its own header (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.
pub struct Token<'t> {
    signing_input: &'t str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    issuer: String,
    claims: Object,
}

impl<'t> Token<'t> {
    /// Takes a compact JWS (RFC 7515, section 3.1) apart.
    ///
    /// # Errors
    ///
    /// [`TokenError::Malformed`] if it is not exactly three non-empty parts of canonical unpadded
    /// base64url, at most [`MAX_TOKEN_BYTES`] in all, of which the first two are JSON objects
    /// without duplicate members; [`TokenError::UnsupportedAlgorithm`] if `alg` is not an
    /// [`Algorithm`]; and an error about `iss` if that is missing or not a string.
    pub fn parse(text: &'t str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("it is longer than 16 KiB"));
        }
        let not_three = TokenError::Malformed("it does not have three parts");
        let (signing_input, signature) = text.rsplit_once('.').ok_or(not_three)?;
        let (header, payload) = signing_input.split_once('.').ok_or(not_three)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.')
        {
            return Err(not_three);
        }
        let header = json::object(&decode(header)?)
            .ok_or(TokenError::Malformed("its header is not a JSON object of unique members"))?;
        check_parameters(&header)?;
        let algorithm = algorithm(&header)?;
        let key_id = key_id(&header)?;
        let claims = json::object(&decode(payload)?)
            .ok_or(TokenError::Malformed("its payload is not a JSON object of unique members"))?;
        let issuer = match claims.get("iss") {
            Some(Value::String(issuer)) => issuer.clone(),
            Some(_) => return Err(TokenError::BadClaim(Claim::Issuer)),
            None => return Err(TokenError::MissingClaim(Claim::Issuer)),
        };
        let signature = decode(signature)?;
        Ok(Self { signing_input, signature, algorithm, key_id, issuer, claims })
    }

    /// The `iss` it claims, unproven: only good for choosing the [`Issuer`] to verify it against.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `kid` it claims, unproven; at most [`MAX_KEY_ID_BYTES`] long and without control
    /// characters.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The algorithm it claims.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// All claims that are texts, as unproven as the token is.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.claims.values().filter_map(Value::as_str)
    }

    /// Whether a claim is one of these texts, or a list with one of them in it. As unproven as the
    /// token is; ask it of a text that [`Self::verify`] has passed.
    #[must_use]
    pub fn claims_one_of(&self, claim: &str, texts: &BTreeSet<String>) -> bool {
        match self.claims.get(claim) {
            Some(Value::String(text)) => texts.contains(text),
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).any(|text| texts.contains(text))
            }
            _ => false,
        }
    }

    /// Verifies the signature, and then reads the claims (RFC 7519, section 7.2).
    ///
    /// `keys` must be the issuer's. A token with a `kid` is verified with that key only; one
    /// without only if exactly one key fits its algorithm, for trying keys in turn would let a
    /// client choose.
    ///
    /// # Errors
    ///
    /// The first check that failed. Errors about claims other than a missing `iss` come only from
    /// genuine tokens.
    pub fn verify(
        &self,
        issuer: &Issuer,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        if !issuer.algorithms().contains(&self.algorithm) {
            return Err(TokenError::UnsupportedAlgorithm);
        }
        let key = keys.find(self.key_id(), self.algorithm)?;
        key.verify(self.algorithm, self.signing_input.as_bytes(), &self.signature)?;
        claims::read(&self.claims, &self.issuer, issuer, now)
    }
}

/// Shows what may be logged: neither the token nor its claims.
impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The algorithm of that name (RFC 7518, section 3.1); `none` is none.
pub(super) fn algorithm_named(name: &str) -> Option<Algorithm> {
    let name: StrDeserializer<'_, ValueError> = name.into_deserializer();
    Algorithm::deserialize(name).ok()
}

/// Unpadded base64url (RFC 7515, section 2) in its one canonical spelling.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed("a part is not canonical unpadded base64url"))
}

fn check_parameters(header: &Object) -> Result<(), TokenError> {
    if REFUSED_PARAMETERS.iter().any(|parameter| header.contains_key(*parameter)) {
        return Err(TokenError::Malformed("its header has `crit`, `b64`, `zip` or `enc`"));
    }
    match header.get("typ") {
        None => Ok(()),
        Some(Value::String(kind)) if is_jwt(kind) => Ok(()),
        Some(_) => Err(TokenError::Malformed("its `typ` is neither JWT nor at+jwt")),
    }
}

fn algorithm(header: &Object) -> Result<Algorithm, TokenError> {
    match header.get("alg") {
        Some(Value::String(name)) => algorithm_named(name).ok_or(TokenError::UnsupportedAlgorithm),
        _ => Err(TokenError::Malformed("its `alg` is missing or not a string")),
    }
}

/// `JWT` (RFC 7519, section 5.1) or `at+jwt` (RFC 9068, section 2.1). A media type is compared
/// without case, and may have lost its `application/` (RFC 7515, section 4.1.9). Other kinds, such
/// as a logout token, are signed with the same keys and must not pass for access tokens (RFC 8725,
/// section 3.11).
fn is_jwt(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

fn key_id(header: &Object) -> Result<Option<String>, TokenError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(key_id))
            if key_id.len() <= MAX_KEY_ID_BYTES && !key_id.contains(char::is_control) =>
        {
            Ok(Some(key_id.clone()))
        }
        Some(_) => Err(TokenError::Malformed("its `kid` is not a short string of plain text")),
    }
}
