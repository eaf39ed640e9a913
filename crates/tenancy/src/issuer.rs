//! JWT issuers, of one tenant or of all.
//!
//! An issuer is replaced as a whole and never changed in part: whoever changes what tokens are accepted for
//! should have all of it before their eyes. Its identifier and its owner stay.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;
use tenantry_model::{
    Algorithm, ClaimPath, Issuer, IssuerId, KeySource, Resource, ResourceKind, SealedSecret,
    TenantId, issuer::RawIssuer,
};

use crate::{
    Caller, Error, IssuerRecord, Listing, PageRequest, Precondition, Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    layout,
    record::HIDDEN,
    tenant::not_deleted,
};

const KIND: ResourceKind = ResourceKind::Issuer;

/// An issuer to be made.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Issuer`")]
pub struct NewIssuer {
    pub issuer: String,
    pub audiences: BTreeSet<String>,
    pub algorithms: BTreeSet<Algorithm>,
    pub tenant_claim: Option<String>,
    pub scope_claim: Option<ClaimPath>,
    pub roles_claim: Option<ClaimPath>,
    pub jwks: Option<Value>,
    pub jwks_url: Option<String>,
}

impl fmt::Debug for NewIssuer {
    /// Leaves out the keys: one of them may be a shared secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// For whom an issuer speaks: one tenant, or, if none is given, all of them.
pub type IssuerOwner<'a> = Option<&'a TenantRef>;

impl Tenancy {
    /// Trusts an issuer.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it breaks a rule or has no usable key; [`Error::NotFound`],
    /// [`Error::InvalidState`] as the tenant is missing or deleted.
    pub async fn create_issuer(
        &self,
        caller: &Caller,
        owner: IssuerOwner<'_>,
        issuer: NewIssuer,
    ) -> Result<Versioned<IssuerRecord>, Error> {
        self.run(caller, &Create { owner, issuer }).await
    }

    /// One issuer of this owner.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another owner's.
    pub async fn issuer(
        &self,
        owner: IssuerOwner<'_>,
        id: IssuerId,
    ) -> Result<Versioned<IssuerRecord>, Error> {
        let owner = self.issuer_owner(owner).await?;
        self.issuer_of(owner, id).await
    }

    /// The issuers of this owner.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tenant.
    pub async fn issuers(
        &self,
        owner: IssuerOwner<'_>,
        request: &PageRequest,
    ) -> Result<Listing<IssuerRecord>, Error> {
        let owner = self.issuer_owner(owner).await?;
        self.list_indexed(&layout::owned(owner, KIND), &layout::records(KIND), request).await
    }

    /// Replaces all that was written of an issuer. Its keys have to be given again: what is secret of
    /// them is shown to nobody.
    ///
    /// # Errors
    /// As [`create_issuer`](Self::create_issuer); [`Error::NotFound`], also if it is another owner's;
    /// [`Error::PreconditionFailed`].
    pub async fn replace_issuer(
        &self,
        caller: &Caller,
        owner: IssuerOwner<'_>,
        id: IssuerId,
        issuer: NewIssuer,
        precondition: &Precondition,
    ) -> Result<Versioned<IssuerRecord>, Error> {
        self.run(caller, &Replace { owner, id, issuer, precondition }).await
    }

    /// Trusts an issuer no longer.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another owner's.
    pub async fn delete_issuer(
        &self,
        caller: &Caller,
        owner: IssuerOwner<'_>,
        id: IssuerId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Delete { owner, id, precondition }).await.map(drop)
    }

    /// An issuer as it is meant to be, whether or not it is there, as a part of a larger change. Secrets
    /// that are masked are those of the one that is there.
    pub(crate) async fn draft_issuer(
        &self,
        owner: IssuerOwner<'_>,
        id: Option<IssuerId>,
        mut issuer: NewIssuer,
    ) -> Result<Draft<()>, Error> {
        let Some(id) = id else {
            unmasked(self, &mut issuer, None)?;
            return Ok(Create { owner, issuer }.draft(self).await?.answering(drop));
        };
        let tenant = self.issuer_owner(owner).await?;
        let current = self.issuer_of(tenant, id).await?;
        unmasked(self, &mut issuer, Some(&current.value.resource))?;
        let precondition = &Precondition::AnyOf(vec![current.revision.as_u64()]);
        let replace = Replace { owner, id, issuer, precondition };
        Ok(replace.draft(self).await?.answering(drop))
    }

    /// An issuer is trusted no longer: a part of a larger change.
    pub(crate) async fn draft_deleted_issuer(
        &self,
        owner: IssuerOwner<'_>,
        id: IssuerId,
    ) -> Result<Draft<()>, Error> {
        Delete { owner, id, precondition: &Precondition::None }.draft(self).await
    }

    async fn issuer_owner(&self, owner: IssuerOwner<'_>) -> Result<Option<TenantId>, Error> {
        match owner {
            Some(tenant) => Ok(Some(self.tenant(tenant).await?.value.resource.id)),
            None => Ok(None),
        }
    }

    async fn issuer_of(
        &self,
        owner: Option<TenantId>,
        id: IssuerId,
    ) -> Result<Versioned<IssuerRecord>, Error> {
        let found: Option<Versioned<IssuerRecord>> =
            self.find(&layout::record(KIND, id), None).await?;
        found
            .filter(|found| found.value.resource.tenant() == owner)
            .ok_or_else(|| Error::not_found("issuer", id))
    }
}

struct Create<'a> {
    owner: IssuerOwner<'a>,
    issuer: NewIssuer,
}

impl Operation for Create<'_> {
    type Output = IssuerRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<IssuerRecord>, Error> {
        let owner = match self.owner {
            Some(tenant) => Some(tenancy.tenant(tenant).await?),
            None => None,
        };
        let tenant = owner.as_ref().map(|owner| owner.value.resource.id);
        let now = tenancy.now();
        let id = IssuerId::from_parts(now.unix_ms(), tenancy.identifiers.random());
        let resource = sealed(tenancy, compiled(&self.issuer, id, tenant)?)?;
        let record = IssuerRecord { resource, created_at: now, updated_at: None };
        let (id, json) = (id.to_string(), encoded("issuer", &record)?);
        let mut draft = Draft::new("issuer.create", (KIND, &id), tenant, record)
            .shown_after()?
            .put(layout::record(KIND, &id), json)
            .put(format!("{}{id}", layout::owned(tenant, KIND)), Vec::new());
        if let Some(owner) = owner {
            not_deleted(&owner.value)?;
            let key = layout::record(ResourceKind::Tenant, owner.value.resource.id);
            draft = draft.unchanged(key, owner.revision);
        }
        Ok(draft)
    }
}

/// An issuer that keeps all rules and has a usable key.
fn compiled(new: &NewIssuer, id: IssuerId, tenant: Option<TenantId>) -> Result<Issuer, Error> {
    let NewIssuer {
        issuer,
        audiences,
        algorithms,
        tenant_claim,
        scope_claim,
        roles_claim,
        jwks,
        jwks_url,
    } = new.clone();
    let raw = RawIssuer {
        id,
        tenant,
        issuer,
        audiences,
        algorithms,
        tenant_claim,
        scope_claim,
        roles_claim,
        jwks,
        jwks_url,
    };
    let issuer = Issuer::try_from(raw).map_err(|error| Error::invalid("", error.to_string()))?;
    tenantry_engine::check(&Resource::Issuer(issuer.clone()))
        .map_err(|reason| Error::invalid("/jwks", reason))?;
    Ok(issuer)
}

/// Puts the secrets that are stored in the place of those that are masked. Each is that of the key which
/// is the same otherwise.
fn unmasked(
    tenancy: &Tenancy,
    issuer: &mut NewIssuer,
    current: Option<&Issuer>,
) -> Result<(), Error> {
    let list = |jwks: Option<&Value>| jwks.and_then(|jwks| jwks.get("keys")?.as_array()).cloned();
    let mut stored = match current.map(Issuer::keys) {
        Some(KeySource::Inline(jwks)) => list(Some(jwks)).unwrap_or_default(),
        _ => Vec::new(),
    };
    let keys = issuer.jwks.as_mut().and_then(|jwks| jwks.get_mut("keys")?.as_array_mut());
    for (index, key) in keys.into_iter().flatten().enumerate() {
        if key.get("k").is_none_or(|secret| secret != HIDDEN) {
            continue;
        }
        let without = |key: &Value| {
            let mut key = key.clone();
            if let Some(members) = key.as_object_mut() {
                members.retain(|name, _| name != "k" && name != "sealed_k");
            }
            key
        };
        let place = format!("/jwks/keys/{index}/k");
        let Some(at) = stored.iter().position(|stored| without(stored) == without(key)) else {
            let detail =
                "no secret is stored for this key; write the issuer with `tenantry issuer` first";
            return Err(Error::invalid(place, detail));
        };
        // Of two that are the same but for their secrets, each stays what it is.
        let kept = stored.remove(at);
        if let Some(members) = key.as_object_mut() {
            members.insert("k".to_owned(), opened(tenancy, &kept, current, place)?.into());
        }
    }
    Ok(())
}

fn opened(
    tenancy: &Tenancy,
    key: &Value,
    issuer: Option<&Issuer>,
    place: String,
) -> Result<String, Error> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let (Some(sealed), Some(issuer)) = (text("sealed_k"), issuer) else {
        return Ok(text("k").unwrap_or_default().to_owned());
    };
    let unusable =
        |why: String| Error::invalid(place.clone(), format!("of the secret that is stored, {why}"));
    let sealed: SealedSecret =
        sealed.parse().map_err(|_| unusable("nothing is left".to_owned()))?;
    let opened = tenancy.master_keys.open(&sealed, &Issuer::sealing_context(issuer.id()));
    let opened = opened.map_err(|error| unusable(error.to_string()))?;
    Ok(String::from_utf8_lossy(&opened).into_owned())
}

/// Without a master key a shared secret is kept as it is: what was possible before there were master keys
/// stays so.
fn sealed(tenancy: &Tenancy, issuer: Issuer) -> Result<Issuer, Error> {
    if tenancy.master_keys.is_empty() {
        return Ok(issuer);
    }
    let context = Issuer::sealing_context(issuer.id());
    issuer.sealed(|secret| tenancy.sealed(secret, &context).map(String::from))
}

struct Replace<'a> {
    owner: IssuerOwner<'a>,
    id: IssuerId,
    issuer: NewIssuer,
    precondition: &'a Precondition,
}

impl Operation for Replace<'_> {
    type Output = IssuerRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<IssuerRecord>, Error> {
        let owner = match self.owner {
            Some(tenant) => Some(tenancy.tenant(tenant).await?),
            None => None,
        };
        let tenant = owner.as_ref().map(|owner| owner.value.resource.id);
        let current = tenancy.issuer_of(tenant, self.id).await?;
        self.precondition.check(current.revision)?;
        let resource = sealed(tenancy, compiled(&self.issuer, self.id, tenant)?)?;
        let updated_at = Some(tenancy.now());
        let record = IssuerRecord { resource, updated_at, ..current.value.clone() };
        let (id, key) = (self.id.to_string(), layout::record(KIND, self.id));
        let json = encoded("issuer", &record)?;
        let mut draft = Draft::new("issuer.update", (KIND, &id), tenant, record)
            .before(&current.value)?
            .shown_after()?
            .unchanged(key.clone(), current.revision)
            .put(key, json);
        if let Some(owner) = owner {
            not_deleted(&owner.value)?;
            let key = layout::record(ResourceKind::Tenant, owner.value.resource.id);
            draft = draft.unchanged(key, owner.revision);
        }
        Ok(draft)
    }
}

struct Delete<'a> {
    owner: IssuerOwner<'a>,
    id: IssuerId,
    precondition: &'a Precondition,
}

impl Operation for Delete<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let owner = tenancy.issuer_owner(self.owner).await?;
        let current = tenancy.issuer_of(owner, self.id).await?;
        self.precondition.check(current.revision)?;
        let (id, key) = (self.id.to_string(), layout::record(KIND, self.id));
        Ok(Draft::new("issuer.delete", (KIND, &id), owner, ())
            .before(&current.value)?
            .unchanged(key.clone(), current.revision)
            .delete(key)
            .delete(format!("{}{id}", layout::owned(owner, KIND))))
    }
}
