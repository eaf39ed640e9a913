//! JWT issuers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Invalid, IssuerId, TenantId};

/// The largest JWKS document, in bytes of JSON.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;
const MAX_URL_BYTES: usize = 2048;

/// A JWS signature algorithm (RFC 7518, section 3.1; RFC 8037 for EdDSA).
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
    keys: KeySource,
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

    /// Where its keys come from.
    #[must_use]
    pub fn keys(&self) -> &KeySource {
        &self.keys
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
            keys,
        })
    }
}

fn inline(jwks: serde_json::Value, issuer: &str) -> Result<KeySource, Invalid> {
    let is_set = jwks.get("keys").is_some_and(serde_json::Value::is_array);
    if is_set && jwks.to_string().len() <= MAX_JWKS_BYTES {
        Ok(KeySource::Inline(jwks))
    } else {
        Err(Invalid::new(
            "issuer",
            issuer,
            "jwks is an object with an array `keys`, at most 64 KiB",
        ))
    }
}

/// A first look only: whether the URL can be fetched, and may be, is for whoever fetches it.
fn jwks_url(url: String) -> Result<KeySource, Invalid> {
    let known = ["https://", "http://"]
        .iter()
        .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    if known && url.len() <= MAX_URL_BYTES && url.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(KeySource::Url(url))
    } else {
        Err(Invalid::new("jwks_url", &url, "write an http or https URL of at most 2048 bytes"))
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
            jwks,
            jwks_url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
