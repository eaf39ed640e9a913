//! A new key in the place of an old one.

use std::time::Duration;

use tenantry_model::{ApiKey, Bounded, KeyId, KeySpec, ResourceKind, Timestamp};

use super::{CreatedKey, KIND, made, spec, still_ahead, with_rows};
use crate::{
    ApiKeyRecord, Caller, Error, Precondition, Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    layout,
    tenant::not_deleted,
};

/// How a key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRoll {
    /// For so long the old key is good beside the new one; with none it is refused at once.
    pub overlap_seconds: Bounded<0, { KeyRoll::MAX_OVERLAP_SECONDS }>,
    /// When the new key expires; as the old one would have, if not given.
    pub expires_at: Option<Timestamp>,
}

impl KeyRoll {
    /// The longest overlap: a year.
    pub const MAX_OVERLAP_SECONDS: u64 = 365 * 86_400;
}

impl Tenancy {
    /// Makes a key that may do what another may, and lets that one end after an overlap.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another tenant's; [`Error::PreconditionFailed`];
    /// [`Error::KeyReplaced`] if it was rolled before and its successor is still there;
    /// [`Error::Invalid`] if the new key would have expired; [`Error::InvalidState`] if the tenant is
    /// deleted.
    pub async fn roll_key(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: KeyId,
        roll: KeyRoll,
        precondition: &Precondition,
    ) -> Result<Versioned<CreatedKey>, Error> {
        self.run(caller, &Roll { tenant, id, roll, precondition }).await
    }
}

struct Roll<'a> {
    tenant: &'a TenantRef,
    id: KeyId,
    roll: KeyRoll,
    precondition: &'a Precondition,
}

impl Operation for Roll<'_> {
    type Output = CreatedKey;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CreatedKey>, Error> {
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let tenant = owner.value.resource.id;
        let old = tenancy.key_of(tenant, self.id).await?;
        self.precondition.check(old.revision)?;
        if let Some(by) = old.value.replaced_by
            && tenancy.key_of(tenant, by).await.is_ok()
        {
            return Err(Error::KeyReplaced { by });
        }
        let (spec, now) = (spec(&old.value), tenancy.now());
        let spec = KeySpec { expires_at: self.roll.expires_at.or(spec.expires_at), ..spec };
        still_ahead(spec.expires_at, now)?;
        let made = made(tenancy, tenant, &spec, Some(self.id));
        let ending = ApiKeyRecord {
            resource: self.ending(old.value.resource.clone(), now),
            replaced_by: Some(made.record.resource.id),
            updated_at: Some(now),
            ..old.value.clone()
        };
        let (ending, key) = (encoded("key", &ending)?, layout::record(KIND, self.id));
        // The entry is the old key's: it says what became of it, and the new key what it replaces.
        let id = self.id.to_string();
        let draft = Draft::new("key.roll", (KIND, &id), Some(tenant), made.record.clone())
            .before(&old.value)?
            .shown_after()?;
        Ok(with_rows(draft, &made.record)?
            .answering(|record| CreatedKey { record, secret: made.secret })
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision)
            .unchanged(key.clone(), old.revision)
            .put(key, ending))
    }
}

impl Roll<'_> {
    /// The old key as it is from now on. Without an overlap it is switched off as well: a proxy whose
    /// clock is behind must not accept it for that long.
    fn ending(&self, old: ApiKey, now: Timestamp) -> ApiKey {
        let overlap = self.roll.overlap_seconds.get();
        let end = now.after(Duration::from_secs(overlap));
        let expires_at = Some(old.expires_at.map_or(end, |expires_at| expires_at.min(end)));
        ApiKey { expires_at, enabled: old.enabled && overlap > 0, ..old }
    }
}
