//! API keys: the secret is returned once, and only its digest is stored.

mod roll;
mod used;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_credentials::api_key::ApiKeySecret;
use tenantry_model::{
    ApiKey, KeyDigest, KeyId, KeySpec, ResourceKind, TenantId, Timestamp, api_key::MAX_KEY_SCOPES,
};

use crate::{
    ApiKeyRecord, Caller, Error, Listing, PageRequest, Precondition, Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    idempotency::Answer,
    layout, merge,
    tenant::not_deleted,
    text,
};

pub use roll::KeyRoll;

const KIND: ResourceKind = ResourceKind::ApiKey;
/// `tnt_` and four of the 30 random characters, which leaves far too many to guess.
const HINT_CHARACTERS: usize = 8;

/// A key that was just made, with its secret.
#[derive(Serialize, Deserialize)]
pub struct CreatedKey {
    /// What is stored.
    pub record: ApiKeyRecord,
    /// What is not; none where the request was sent before, and was answered with the secret then.
    #[serde(skip)]
    pub secret: Option<ApiKeySecret>,
}

impl Answer for CreatedKey {
    fn kept(&self) -> Result<Value, serde_json::Error> {
        Ok(without_digest(serde_json::to_value(self)?, "/record/resource/digest"))
    }
}

impl Answer for ApiKeyRecord {
    fn kept(&self) -> Result<Value, serde_json::Error> {
        Ok(without_digest(serde_json::to_value(self)?, "/resource/digest"))
    }
}

/// A digest is kept for as long as its key and no longer.
pub(crate) fn without_digest(mut kept: Value, pointer: &str) -> Value {
    if let Some(digest) = kept.pointer_mut(pointer) {
        *digest = "0".repeat(64).into();
    }
    kept
}

impl fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

impl Tenancy {
    /// Makes a key of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`]; [`Error::InvalidState`] if the tenant is deleted.
    pub async fn create_key(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        key: KeySpec,
    ) -> Result<Versioned<CreatedKey>, Error> {
        self.run(caller, &Create { tenant, key }).await
    }

    /// One key of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another tenant's.
    pub async fn key(
        &self,
        tenant: &TenantRef,
        id: KeyId,
    ) -> Result<Versioned<ApiKeyRecord>, Error> {
        let owner = self.tenant(tenant).await?.value.resource.id;
        self.key_of(owner, id).await
    }

    /// The keys of a tenant, in the order in which they were made.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tenant.
    pub async fn keys(
        &self,
        tenant: &TenantRef,
        request: &PageRequest,
    ) -> Result<Listing<ApiKeyRecord>, Error> {
        let owner = self.tenant(tenant).await?.value.resource.id;
        self.list_indexed(&layout::owned(Some(owner), KIND), &layout::records(KIND), request).await
    }

    /// Replaces all that may be written of a key.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another tenant's; [`Error::PreconditionFailed`],
    /// [`Error::Invalid`]; [`Error::InvalidState`] if the tenant is deleted.
    pub async fn replace_key(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: KeyId,
        spec: &KeySpec,
        precondition: &Precondition,
    ) -> Result<Versioned<ApiKeyRecord>, Error> {
        let change = |_: &KeySpec| Ok(spec.clone());
        self.run(caller, &Change { tenant, id, precondition, change }).await
    }

    /// Changes a key by a merge patch (RFC 7396) of its [`KeySpec`].
    ///
    /// # Errors
    /// As [`replace_key`](Self::replace_key).
    pub async fn patch_key(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: KeyId,
        patch: &Value,
        precondition: &Precondition,
    ) -> Result<Versioned<ApiKeyRecord>, Error> {
        let change = |current: &KeySpec| merge::patched(current, patch);
        self.run(caller, &Change { tenant, id, precondition, change }).await
    }

    /// Revokes a key for good.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another tenant's.
    pub async fn revoke_key(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: KeyId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Revoke { tenant, id, precondition }).await.map(drop)
    }

    async fn key_of(&self, owner: TenantId, id: KeyId) -> Result<Versioned<ApiKeyRecord>, Error> {
        let found: Option<Versioned<ApiKeyRecord>> =
            self.find(&layout::record(KIND, id), None).await?;
        found
            .filter(|found| found.value.resource.tenant == owner)
            .ok_or_else(|| Error::not_found("key", id))
    }

    fn secret(&self) -> ApiKeySecret {
        ApiKeySecret::generate(|| {
            let mut byte = [0];
            self.identifiers.fill(&mut byte);
            let [byte] = byte;
            byte
        })
    }
}

struct Create<'a> {
    tenant: &'a TenantRef,
    key: KeySpec,
}

impl Operation for Create<'_> {
    type Output = CreatedKey;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CreatedKey>, Error> {
        let now = tenancy.now();
        check(&self.key)?;
        still_ahead(self.key.expires_at, now)?;
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let tenant = owner.value.resource.id;
        let made = made(tenancy, tenant, &self.key, None);
        let id = made.record.resource.id.to_string();
        let target = (KIND, id.as_str());
        let draft = Draft::new("key.create", target, Some(tenant), made.record.clone());
        let draft = with_rows(draft.shown_after()?, &made.record)?;
        Ok(draft
            .answering(|record| CreatedKey { record, secret: made.secret })
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision))
    }
}

/// A fresh key, not yet stored.
fn made(
    tenancy: &Tenancy,
    tenant: TenantId,
    spec: &KeySpec,
    replaces: Option<KeyId>,
) -> CreatedKey {
    let secret = tenancy.secret();
    let hint = secret.expose().chars().take(HINT_CHARACTERS).collect();
    let record =
        ApiKeyRecord { hint, replaces, ..known_by(tenancy, tenant, spec, secret.digest()) };
    CreatedKey { record, secret: Some(secret) }
}

/// A key of which no more than the digest is known.
fn known_by(
    tenancy: &Tenancy,
    tenant: TenantId,
    spec: &KeySpec,
    digest: KeyDigest,
) -> ApiKeyRecord {
    let now = tenancy.now();
    let id = KeyId::from_parts(now.unix_ms(), tenancy.identifiers.random());
    let resource = ApiKey {
        id,
        tenant,
        digest,
        scopes: spec.scopes.clone(),
        expires_at: spec.expires_at,
        enabled: spec.enabled,
        allowed_networks: spec.allowed_networks.clone(),
        rate_limits: spec.rate_limits.clone(),
    };
    ApiKeyRecord {
        resource,
        name: spec.name.clone(),
        hint: String::new(),
        replaces: None,
        replaced_by: None,
        created_at: now,
        updated_at: None,
    }
}

/// Adds to the draft that makes a tenant that its first key is made, too. The audit entry is the tenant's.
pub(crate) fn first<T>(
    tenancy: &Tenancy,
    draft: Draft<T>,
    tenant: TenantId,
    spec: &KeySpec,
) -> Result<(Draft<T>, CreatedKey), Error> {
    check_first(tenancy, spec)?;
    let made = made(tenancy, tenant, spec, None);
    let draft = with_rows(draft, &made.record)?;
    Ok((draft, made))
}

/// The same with a key that somebody else has made.
pub(crate) fn imported<T>(
    tenancy: &Tenancy,
    draft: Draft<T>,
    tenant: TenantId,
    spec: &KeySpec,
    digest: KeyDigest,
) -> Result<(Draft<T>, KeyId), Error> {
    check_first(tenancy, spec)?;
    let record = known_by(tenancy, tenant, spec, digest);
    // Unlike one that was made here, it may be somebody's already.
    let taken =
        Error::invalid("/key/digest", "this is no digest of a key that is still to be taken");
    let draft = with_rows(draft, &record)?.meaning_of(layout::key_digest(&digest), taken);
    Ok((draft, record.resource.id))
}

fn check_first(tenancy: &Tenancy, spec: &KeySpec) -> Result<(), Error> {
    let good = check(spec).and_then(|()| still_ahead(spec.expires_at, tenancy.now()));
    good.map_err(|error| match error {
        Error::Invalid { pointer, detail } => Error::invalid(format!("/key{pointer}"), detail),
        other => other,
    })
}

/// The record of a fresh key and what finds it.
fn with_rows<T>(draft: Draft<T>, record: &ApiKeyRecord) -> Result<Draft<T>, Error> {
    let ApiKey { id, tenant, digest, .. } = &record.resource;
    let (json, digest) = (encoded("key", record)?, layout::key_digest(digest));
    let (id, owned) = (id.to_string(), layout::owned(Some(*tenant), KIND));
    Ok(draft
        .absent(digest.clone())
        .put(digest, id.clone().into_bytes())
        .put(layout::record(KIND, &id), json)
        .put(format!("{owned}{id}"), Vec::new()))
}

/// What may be written of a key, as it is now.
fn spec(record: &ApiKeyRecord) -> KeySpec {
    let ApiKey { scopes, expires_at, enabled, allowed_networks, rate_limits, .. } =
        record.resource.clone();
    let name = record.name.clone();
    KeySpec { name, scopes, expires_at, enabled, allowed_networks, rate_limits }
}

/// The rules that the model leaves open.
fn check(spec: &KeySpec) -> Result<(), Error> {
    text::name("/name", &spec.name)?;
    if spec.scopes.len() > MAX_KEY_SCOPES {
        let detail = format!("a key has at most {MAX_KEY_SCOPES} scopes");
        return Err(Error::invalid("/scopes", detail));
    }
    Ok(())
}

fn still_ahead(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Error::invalid("/expires_at", "the key would have expired already"));
    }
    Ok(())
}

struct Change<'a, F> {
    tenant: &'a TenantRef,
    id: KeyId,
    precondition: &'a Precondition,
    change: F,
}

impl<F> Operation for Change<'_, F>
where
    F: Fn(&KeySpec) -> Result<KeySpec, Error> + Sync,
{
    type Output = ApiKeyRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<ApiKeyRecord>, Error> {
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let tenant = owner.value.resource.id;
        let current = tenancy.key_of(tenant, self.id).await?;
        self.precondition.check(current.revision)?;
        let (old, now) = (spec(&current.value), tenancy.now());
        let new = (self.change)(&old)?;
        // A key that had more scopes before there was a bound can still be changed otherwise.
        check(&KeySpec { scopes: changed(&old.scopes, &new.scopes), ..new.clone() })?;
        if new.expires_at != old.expires_at {
            still_ahead(new.expires_at, now)?;
        }
        let KeySpec { name, scopes, expires_at, enabled, allowed_networks, rate_limits } = new;
        let resource = ApiKey {
            scopes,
            expires_at,
            enabled,
            allowed_networks,
            rate_limits,
            ..current.value.resource.clone()
        };
        let record =
            ApiKeyRecord { resource, name, updated_at: Some(now), ..current.value.clone() };
        let (id, key) = (self.id.to_string(), layout::record(KIND, self.id));
        let json = encoded("key", &record)?;
        Ok(Draft::new("key.update", (KIND, &id), Some(tenant), record)
            .before(&current.value)?
            .shown_after()?
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision)
            .unchanged(key.clone(), current.revision)
            .put(key, json))
    }
}

fn changed<T: Clone + Default + PartialEq>(old: &T, new: &T) -> T {
    if old == new { T::default() } else { new.clone() }
}

struct Revoke<'a> {
    tenant: &'a TenantRef,
    id: KeyId,
    precondition: &'a Precondition,
}

impl Operation for Revoke<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let owner = tenancy.tenant(self.tenant).await?.value.resource.id;
        let current = tenancy.key_of(owner, self.id).await?;
        self.precondition.check(current.revision)?;
        let (id, key) = (self.id.to_string(), layout::record(KIND, self.id));
        Ok(Draft::new("key.revoke", (KIND, &id), Some(owner), ())
            .before(&current.value)?
            .unchanged(key.clone(), current.revision)
            .delete(key)
            .delete(layout::key_digest(&current.value.resource.digest))
            .delete(layout::used(self.id))
            .delete(format!("{}{id}", layout::owned(Some(owner), KIND))))
    }
}
