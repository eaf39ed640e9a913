//! JWT issuers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Invalid, IssuerId, TenantId};

/// The largest JWKS document, in bytes of JSON.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;
const MAX_URL_BYTES: usize = 2048;
const MAX_CLAIM_BYTES: usize = 256;
/// The secret of a symmetric JWK (RFC 7518, section 6.4.1), and what stands in its place where it is
/// sealed.
const SECRET: &str = "k";
const SEALED_SECRET: &str = "sealed_k";

/// A JWS signature algorithm (RFC 7518, section 3.1; RFC 8037 for EdDSA).
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    ES256,
    ES384,
    EdDSA,
    HS256,
}

impl Algorithm {
    /// Whether signer and verifier share one secret.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        self == Self::HS256
    }
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JWKS document (RFC 7517, section 5), given with the issuer.
    Inline(serde_json::Value),
    /// The URL of a JWKS document, fetched by each proxy.
    Url(String),
}

/// A JWT issuer that is trusted for one tenant, or for all with a claim that names the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawIssuer", into = "RawIssuer")]
pub struct Issuer {
    id: IssuerId,
    tenant: Option<TenantId>,
    issuer: String,
    audiences: BTreeSet<String>,
    algorithms: BTreeSet<Algorithm>,
    tenant_claim: Option<String>,
    scope_claim: Option<ClaimPath>,
    roles_claim: Option<ClaimPath>,
    keys: KeySource,
}

/// Where in a token something stands: the name of a claim, or a JSON pointer (RFC 6901) such as
/// `/realm_access/roles` for what stands deeper.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 256))]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ClaimPath(String);

impl ClaimPath {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands there.
    #[must_use]
    pub fn find<'v>(
        &self,
        claims: &'v serde_json::Map<String, serde_json::Value>,
    ) -> Option<&'v serde_json::Value> {
        let Some(pointer) = self.0.strip_prefix('/') else { return claims.get(&self.0) };
        let mut names = pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
        let first = claims.get(&names.next()?)?;
        names.try_fold(first, |value, name| value.get(&name))
    }
}

impl TryFrom<String> for ClaimPath {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let is_pointer = text.starts_with('/');
        let has_empty_name = is_pointer && text.split('/').skip(1).any(str::is_empty);
        let is_escaped = |rest: &str| rest.starts_with('0') || rest.starts_with('1');
        let is_misescaped = is_pointer && text.split('~').skip(1).any(|rest| !is_escaped(rest));
        if text.is_empty() || text.len() > MAX_CLAIM_BYTES || has_empty_name || is_misescaped {
            let rule = "write the name of a claim, or a JSON pointer such as /realm_access/roles";
            return Err(Invalid::new("claim", &text, rule));
        }
        Ok(Self(text))
    }
}

/// An issuer as JSON spells it; becomes an [`Issuer`] only if it keeps the rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawIssuer {
    /// Never changes.
    pub id: IssuerId,
    /// The tenant it speaks for; none for an issuer of all tenants.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The exact `iss` claim.
    pub issuer: String,
    /// A token must be meant for one of these (`aud`).
    pub audiences: BTreeSet<String>,
    /// The algorithms its tokens may be signed with.
    pub algorithms: BTreeSet<Algorithm>,
    /// The claim that holds a tenant's id or slug.
    #[serde(default)]
    pub tenant_claim: Option<String>,
    /// Where its tokens say what the caller may do; `scope`, else `scp`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_claim: Option<ClaimPath>,
    /// Where its tokens name the caller's roles; nowhere, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles_claim: Option<ClaimPath>,
    /// An inline JWKS document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// The URL of a JWKS document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
}

impl Issuer {
    /// Never changes.
    #[must_use]
    pub fn id(&self) -> IssuerId {
        self.id
    }

    /// The tenant it speaks for; none for an issuer of all tenants.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// The exact `iss` claim.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token must be meant for one of these.
    #[must_use]
    pub fn audiences(&self) -> &BTreeSet<String> {
        &self.audiences
    }

    /// The algorithms its tokens may be signed with; either all symmetric or none.
    #[must_use]
    pub fn algorithms(&self) -> &BTreeSet<Algorithm> {
        &self.algorithms
    }

    /// The claim that holds a tenant's id or slug; always there when there is no [`Self::tenant`].
    #[must_use]
    pub fn tenant_claim(&self) -> Option<&str> {
        self.tenant_claim.as_deref()
    }

    /// Where its tokens say what the caller may do, if not in `scope` or `scp`.
    #[must_use]
    pub fn scope_claim(&self) -> Option<&ClaimPath> {
        self.scope_claim.as_ref()
    }

    /// Where its tokens name the caller's roles.
    #[must_use]
    pub fn roles_claim(&self) -> Option<&ClaimPath> {
        self.roles_claim.as_ref()
    }

    /// Where its keys come from.
    #[must_use]
    pub fn keys(&self) -> &KeySource {
        &self.keys
    }

    /// What its secrets are sealed for: a sealed secret is good for no other issuer.
    #[must_use]
    pub fn sealing_context(id: IssuerId) -> String {
        format!("issuer/{id}")
    }

    /// With every shared secret sealed: the member `k` of a key becomes `sealed_k`.
    ///
    /// # Errors
    /// What sealing ends in.
    pub fn sealed<E>(self, seal: impl FnMut(&str) -> Result<String, E>) -> Result<Self, E> {
        self.with_secrets(SECRET, SEALED_SECRET, seal)
    }

    /// With every sealed secret opened. Secrets that were never sealed stay as they are.
    ///
    /// # Errors
    /// What opening ends in.
    pub fn opened<E>(self, open: impl FnMut(&str) -> Result<String, E>) -> Result<Self, E> {
        self.with_secrets(SEALED_SECRET, SECRET, open)
    }

    fn with_secrets<E>(
        mut self,
        from: &str,
        to: &str,
        mut change: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        let KeySource::Inline(jwks) = &mut self.keys else { return Ok(self) };
        let keys = jwks.get_mut("keys").and_then(serde_json::Value::as_array_mut);
        for key in keys.into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
            if let Some(secret) = key.get(from).and_then(serde_json::Value::as_str) {
                let changed = change(secret)?;
                key.remove(from);
                key.insert(to.to_owned(), changed.into());
            }
        }
        Ok(self)
    }
}

impl TryFrom<RawIssuer> for Issuer {
    type Error = Invalid;

    fn try_from(raw: RawIssuer) -> Result<Self, Invalid> {
        let refused = |rule: &'static str| Invalid::new("issuer", &raw.issuer, rule);
        if raw.issuer.is_empty() || raw.issuer.len() > MAX_URL_BYTES {
            return Err(refused("issuer is the exact `iss` claim, 1 to 2048 bytes long"));
        }
        if raw.audiences.is_empty() || raw.audiences.iter().any(String::is_empty) {
            return Err(refused(
                "audiences names at least one audience, and none of them is empty",
            ));
        }
        let symmetric = raw.algorithms.iter().filter(|algorithm| algorithm.is_symmetric()).count();
        if raw.algorithms.is_empty() || (symmetric > 0 && raw.algorithms.len() > symmetric) {
            return Err(refused("algorithms names at least one, and HS256 only alone"));
        }
        if raw.tenant.is_none() && raw.tenant_claim.is_none() {
            return Err(refused("an issuer for all tenants needs a tenant_claim"));
        }
        if raw.tenant_claim.as_ref().is_some_and(String::is_empty) {
            return Err(refused("tenant_claim is not empty"));
        }
        let keys = match (raw.jwks, raw.jwks_url) {
            (Some(jwks), None) => inline(jwks, &raw.issuer)?,
            (None, Some(_)) if symmetric > 0 => {
                return Err(Invalid::new(
                    "issuer",
                    &raw.issuer,
                    "HS256 needs its secret in jwks, never behind a URL",
                ));
            }
            (None, Some(url)) => jwks_url(url)?,
            _ => return Err(Invalid::new("issuer", &raw.issuer, "give either jwks or jwks_url")),
        };
        Ok(Self {
            id: raw.id,
            tenant: raw.tenant,
            issuer: raw.issuer,
            audiences: raw.audiences,
            algorithms: raw.algorithms,
            tenant_claim: raw.tenant_claim,
            scope_claim: raw.scope_claim,
            roles_claim: raw.roles_claim,
            keys,
        })
    }
}

/// Keeps the keys and nothing else: whatever stands beside them is of no use here and might be secret.
fn inline(jwks: serde_json::Value, issuer: &str) -> Result<KeySource, Invalid> {
    let refused = |rule: &'static str| Invalid::new("issuer", issuer, rule);
    if jwks.to_string().len() > MAX_JWKS_BYTES {
        return Err(refused("jwks is at most 64 KiB"));
    }
    let serde_json::Value::Object(mut members) = jwks else {
        return Err(refused("jwks is an object with an array `keys`"));
    };
    let Some(serde_json::Value::Array(keys)) = members.remove("keys") else {
        return Err(refused("jwks is an object with an array `keys`"));
    };
    if keys.iter().any(has_private_part) {
        return Err(refused("jwks holds a private key; give the public one"));
    }
    let keys: Vec<_> = keys.into_iter().filter_map(known_members).collect();
    Ok(KeySource::Inline(serde_json::json!({ "keys": keys })))
}

/// RFC 7518, sections 6.2.2 and 6.3.2; `k` of a symmetric key is another matter.
fn has_private_part(key: &serde_json::Value) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|member| key.get(member).is_some())
}

/// The members that say what a key is and how it may be used, if they are plain text or a list of it.
/// A key of a type that no algorithm here uses is left out.
fn known_members(key: serde_json::Value) -> Option<serde_json::Value> {
    const KNOWN: [&str; 10] = ["kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y"];
    let serde_json::Value::Object(members) = key else { return None };
    let key_type = members.get("kty")?.as_str()?.to_owned();
    let is_symmetric = key_type == "oct";
    let is_kept = |(name, value): &(String, serde_json::Value)| {
        let is_known = KNOWN.contains(&name.as_str())
            || (is_symmetric && [SECRET, SEALED_SECRET].contains(&name.as_str()));
        is_known
            && (value.is_string()
                || value
                    .as_array()
                    .is_some_and(|list| list.iter().all(serde_json::Value::is_string)))
    };
    let is_usable = is_symmetric || ["RSA", "EC", "OKP"].contains(&key_type.as_str());
    is_usable.then(|| members.into_iter().filter(is_kept).collect())
}

/// A first look only: whether the URL can be fetched, and may be, is for whoever fetches it.
fn jwks_url(url: String) -> Result<KeySource, Invalid> {
    let known = ["https://", "http://"]
        .iter()
        .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    let authority = url.split('/').nth(2).unwrap_or_default();
    if known
        && !authority.contains('@')
        && url.len() <= MAX_URL_BYTES
        && url.bytes().all(|byte| byte.is_ascii_graphic())
    {
        Ok(KeySource::Url(url))
    } else {
        Err(Invalid::new(
            "jwks_url",
            &url,
            "write an http or https URL of at most 2048 bytes, without user name and password",
        ))
    }
}

impl From<Issuer> for RawIssuer {
    fn from(issuer: Issuer) -> Self {
        let (jwks, jwks_url) = match issuer.keys {
            KeySource::Inline(jwks) => (Some(jwks), None),
            KeySource::Url(url) => (None, Some(url)),
        };
        Self {
            id: issuer.id,
            tenant: issuer.tenant,
            issuer: issuer.issuer,
            audiences: issuer.audiences,
            algorithms: issuer.algorithms,
            tenant_claim: issuer.tenant_claim,
            scope_claim: issuer.scope_claim,
            roles_claim: issuer.roles_claim,
            jwks,
            jwks_url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_named_or_pointed_at() {
        let path = |text: &str| ClaimPath::try_from(text.to_owned());
        let claims = serde_json::json!({
            "roles": 1, "https://x/roles": 2, "realm_access": {"roles": 3}, "a/b": {"c~d": 4}, "l": [5],
        });
        let claims = claims.as_object().unwrap();
        for (text, expected) in [
            ("roles", Some(1)),
            ("https://x/roles", Some(2)),
            ("/realm_access/roles", Some(3)),
            ("/a~1b/c~0d", Some(4)),
            ("/roles", Some(1)),
            ("realm_access/roles", None),
            ("/realm_access/nothing", None),
            ("/l/0", None),
        ] {
            let found = path(text).unwrap().find(claims).and_then(serde_json::Value::as_u64);
            assert_eq!(found, expected, "{text}");
        }
        for bad in ["", "/", "/a/", "/a//b", "/a~2", "/a~", &"x".repeat(257)] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_keys_of_a_document_are_kept() {
        let jwks = serde_json::json!({
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "x": "abc", "note": "secret", "x5c": [["secret"]]},
                {"kty": "unheard-of", "secret": "secret"},
                "secret",
            ],
            "backup": {"d": "secret"},
        });
        let KeySource::Inline(kept) = inline(jwks, "a").unwrap() else { panic!() };
        assert_eq!(
            kept,
            serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "abc"}]})
        );
    }

    #[test]
    fn secrets_are_sealed_and_opened_where_they_stand() {
        let issuer: Issuer = serde_json::from_value(serde_json::json!({
            "id": IssuerId::from_parts(1, 1), "issuer": "https://id.acme.com/", "audiences": ["api"],
            "algorithms": ["HS256"], "tenant_claim": "tenant",
            "jwks": {"keys": [{"kty": "oct", "k": "secret"}, {"kty": "oct", "kid": "old", "k": "older"}]},
        }))
        .unwrap();
        let reverse = |text: &str| Ok::<_, ()>(text.chars().rev().collect::<String>());
        let sealed = issuer.clone().sealed(reverse).unwrap();
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(text.contains(r#""sealed_k":"terces""#) && !text.contains("secret"), "{text}");
        assert_eq!(serde_json::from_str::<Issuer>(&text).unwrap(), sealed);
        assert_eq!(sealed.clone().opened(reverse).unwrap(), issuer);
        assert_eq!(issuer.clone().opened(reverse).unwrap(), issuer, "never sealed");
        assert_eq!(sealed.opened(|_| Err(())), Err(()));
    }

    fn check(changes: serde_json::Value, expected: Result<(), &str>) {
        let mut json = serde_json::json!({
            "id": IssuerId::from_parts(1, 1), "issuer": "https://id.acme.com/", "audiences": ["api"],
            "algorithms": ["RS256"], "tenant_claim": "tenant", "jwks": {"keys": []},
        });
        for (field, value) in changes.as_object().unwrap() {
            json[field] = value.clone();
        }
        match (serde_json::from_value::<Issuer>(json.clone()), expected) {
            (Ok(issuer), Ok(())) => {
                let again = serde_json::to_value(&issuer).unwrap();
                assert_eq!(serde_json::from_value::<Issuer>(again).unwrap(), issuer);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (got, _) => panic!("{json}: {got:?}"),
        }
    }

    #[test]
    fn issuers_are_checked() {
        use serde_json::json;
        check(json!({}), Ok(()));
        check(json!({"jwks": null, "jwks_url": "https://id.acme.com/jwks"}), Ok(()));
        check(json!({"algorithms": ["HS256"]}), Ok(()));
        check(json!({"tenant_claim": null}), Err("tenant_claim"));
        check(json!({"tenant_claim": null, "tenant": TenantId::from_parts(1, 1)}), Ok(()));
        check(json!({"issuer": ""}), Err("iss"));
        check(json!({"audiences": []}), Err("audience"));
        check(json!({"algorithms": []}), Err("algorithms"));
        check(json!({"algorithms": ["none"]}), Err("unknown variant"));
        check(json!({"algorithms": ["HS256", "RS256"]}), Err("HS256"));
        check(
            json!({"algorithms": ["HS256"], "jwks": null, "jwks_url": "https://a/"}),
            Err("HS256"),
        );
        check(json!({"jwks": null}), Err("either"));
        check(json!({"jwks_url": "https://a/"}), Err("either"));
        check(json!({"jwks": []}), Err("keys"));
        check(json!({"jwks": null, "jwks_url": "file:///etc/passwd"}), Err("http"));
        check(
            json!({"jwks": null, "jwks_url": "https://user:secret@id.acme.com/jwks"}),
            Err("password"),
        );
        check(json!({"jwks": {"keys": [{"kty": "EC", "d": "secret"}]}}), Err("private"));
    }
}
