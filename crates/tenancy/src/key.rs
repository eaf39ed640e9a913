//! API keys: the secret is returned once, and only its digest is stored.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_credentials::api_key::ApiKeySecret;
use tenantry_model::{ApiKey, KeyId, ResourceKind, Scope, TenantId, Timestamp};

use crate::{
    ApiKeyRecord, Caller, Error, Listing, PageRequest, Precondition, Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    idempotency::Answer,
    layout,
    tenant::not_deleted,
    text,
};

const KIND: ResourceKind = ResourceKind::ApiKey;
/// `tnt_` and four of the 30 random characters, which leaves far too many to guess.
const HINT_CHARACTERS: usize = 8;

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// From this instant on it is refused.
    pub expires_at: Option<Timestamp>,
}

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
    /// Without the digest as well, which is kept for as long as the key and no longer.
    fn kept(&self) -> Result<Value, serde_json::Error> {
        let mut kept = serde_json::to_value(self)?;
        if let Some(digest) = kept.pointer_mut("/record/resource/digest") {
            *digest = "0".repeat(64).into();
        }
        Ok(kept)
    }
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
        key: NewKey,
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
    key: NewKey,
}

impl Operation for Create<'_> {
    type Output = CreatedKey;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CreatedKey>, Error> {
        let NewKey { name, scopes, expires_at } = self.key.clone();
        let now = tenancy.now();
        text::name("/name", &name)?;
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Error::invalid("/expires_at", "the key would have expired already"));
        }
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let tenant = owner.value.resource.id;
        let id = KeyId::from_parts(now.unix_ms(), tenancy.identifiers.random());
        let secret = tenancy.secret();
        let resource = ApiKey { id, tenant, digest: secret.digest(), scopes, expires_at };
        let digest = layout::key_digest(&resource.digest);
        let hint = secret.expose().chars().take(HINT_CHARACTERS).collect();
        let record = ApiKeyRecord { resource, name, hint, created_at: now };
        let (id, json) = (id.to_string(), encoded("key", &record)?);
        let draft = Draft::new("key.create", (KIND, &id), Some(tenant), record).shown_after()?;
        Ok(draft
            .answering(|record| CreatedKey { record, secret: Some(secret) })
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision)
            .absent(digest.clone())
            .put(digest, id.clone().into_bytes())
            .put(layout::record(KIND, &id), json)
            .put(format!("{}{id}", layout::owned(Some(tenant), KIND)), Vec::new()))
    }
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
            .delete(format!("{}{id}", layout::owned(Some(owner), KIND))))
    }
}
