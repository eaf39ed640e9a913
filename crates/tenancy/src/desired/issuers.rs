//! Issuers as documents.
//!
//! The platform tells issuers apart by identifiers of its own; documents do by whose they are and by the
//! exact `iss` claim. Two of one owner with the same claim cannot be told apart so, and are left out.
//!
//! What is secret of their keys stands in no document: it is masked in what is shown, and a masked secret
//! stands for the one that is stored for this key.

use std::convert::Infallible;

use serde_json::{Map, Value};
use tenantry_model::{Issuer, IssuerId, KeySource, Slug, TenantId, issuer::RawIssuer};

use super::declared::{object, parsed, part};
use crate::{Error, NewIssuer, record::HIDDEN};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeclaredIssuer {
    /// Whose it is; for all tenants, if nobody's.
    pub(super) tenant: Option<Slug>,
    /// The one that is there, if it is.
    pub(super) id: Option<IssuerId>,
    /// Of some tenant, if it is of one, with some identifier, and with its secrets masked.
    issuer: Issuer,
}

/// What tells an issuer from all others. No slug is `-`.
pub(super) fn name(tenant: Option<&str>, issuer: &str) -> String {
    format!("{}/{issuer}", tenant.unwrap_or("-"))
}

impl DeclaredIssuer {
    pub(super) fn of(tenant: Option<Slug>, issuer: Issuer) -> Self {
        let hidden = |_: &str| Ok::<_, Infallible>(HIDDEN.to_owned());
        let id = Some(issuer.id());
        let Ok(issuer) = issuer.sealed(hidden).and_then(|issuer| issuer.opened(hidden));
        Self { tenant, id, issuer }
    }

    pub(super) fn parse(mut fields: Map<String, Value>) -> Result<Self, Error> {
        let tenant: Option<Slug> = part(&mut fields, "tenant")?;
        if fields.contains_key("id") {
            let detail =
                "a document names an issuer by `issuer` and `tenant`, not by an identifier";
            return Err(Error::invalid("/id", detail));
        }
        no_secrets(&fields)?;
        fields.insert("id".to_owned(), IssuerId::from_parts(0, 0).to_string().into());
        if tenant.is_some() {
            // The rules for issuers of tenants hold, whichever tenant it will be.
            fields.insert("tenant".to_owned(), TenantId::from_parts(0, 0).to_string().into());
        }
        Ok(Self { tenant, id: None, issuer: parsed(fields)? })
    }

    pub(super) fn name(&self) -> String {
        name(self.tenant.as_ref().map(Slug::as_str), self.issuer.issuer())
    }

    /// As a document.
    pub(super) fn fields(&self) -> Result<Map<String, Value>, Error> {
        let mut fields = object(&self.issuer)?;
        fields.remove("id");
        fields.insert("tenant".to_owned(), self.tenant.as_ref().map(Slug::as_str).into());
        Ok(fields)
    }

    pub(super) fn has_secret(&self) -> bool {
        let KeySource::Inline(jwks) = self.issuer.keys() else { return false };
        keys(Some(jwks)).any(|key| key.get("k").is_some())
    }

    pub(super) fn new_issuer(&self) -> NewIssuer {
        let RawIssuer {
            id: _,
            tenant: _,
            issuer,
            audiences,
            algorithms,
            tenant_claim,
            scope_claim,
            roles_claim,
            jwks,
            jwks_url,
        } = self.issuer.clone().into();
        NewIssuer {
            issuer,
            audiences,
            algorithms,
            tenant_claim,
            scope_claim,
            roles_claim,
            jwks,
            jwks_url,
        }
    }
}

fn keys(jwks: Option<&Value>) -> impl Iterator<Item = &Value> {
    jwks.and_then(|jwks| jwks.get("keys")?.as_array()).into_iter().flatten()
}

fn no_secrets(fields: &Map<String, Value>) -> Result<(), Error> {
    for (index, key) in keys(fields.get("jwks")).enumerate() {
        let is_secret = |name: &str| key.get(name).is_some_and(|value| value != HIDDEN);
        if is_secret("k") || key.get("sealed_k").is_some() {
            let detail = format!(
                "documents hold no secrets; write this issuer with `tenantry issuer`, and leave {HIDDEN} \
                 here"
            );
            return Err(Error::invalid(format!("/jwks/keys/{index}/k"), detail));
        }
    }
    Ok(())
}
