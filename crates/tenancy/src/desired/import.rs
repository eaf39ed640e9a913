//! Many tenants, one by one: each is made, or made as it is meant to be, in one commit of its own.
//!
//! One commit for each, and not one for as many as fit: what is wrong with one tenant is then nothing that
//! any other has to be taken out of a commit for, and the store makes one write of all commits that wait
//! for it anyway.

use tenantry_model::{DomainPattern, KeyDigest, KeySpec, TenantSpec, TenantState};

use super::{
    declared::DeclaredTenant,
    walk::{Step, Walk, found},
};
use crate::{Caller, Error, NewInvitation, NewTenant, Tenancy, TenantRecord, TenantRef};

/// How often a tenant is looked at anew because others have changed what was read.
const MAX_ATTEMPTS: usize = 8;

/// A tenant as it is meant to be, and what it is to start with if it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportTenant {
    /// What it is.
    pub spec: TenantSpec,
    /// All its domains.
    pub domains: Vec<DomainPattern>,
    /// The state it is made in: active or provisioning.
    pub state: TenantState,
    /// Its first key, which somebody else has made: the platform never has its secret.
    pub key: Option<(KeySpec, KeyDigest)>,
    /// Its first invitation.
    pub invitation: Option<NewInvitation>,
}

/// What becomes of a tenant that is there and is not as it is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// It stays, and that is an error.
    #[default]
    Fail,
    /// It stays, and that is right.
    Skip,
    /// It is changed.
    Update,
}

/// What became of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is there now.
    Created,
    /// It was there, and is now as it is meant to be.
    Updated,
    /// It was there as it is meant to be.
    Unchanged,
    /// It was there otherwise, and has stayed so.
    Skipped,
}

impl Tenancy {
    /// Makes a tenant whole or not at all, or sees to it that the one that is there is as it is meant to
    /// be. What it starts with (state, key, invitation) matters only if it is made. A dry run does all
    /// but that.
    ///
    /// # Errors
    /// As [`create_tenant`](Self::create_tenant); [`Error::SlugTaken`] if it is there otherwise and that
    /// is an error; [`Error::InvalidState`] if it is deleted.
    pub async fn import_tenant(
        &self,
        caller: &Caller,
        tenant: &ImportTenant,
        on_conflict: OnConflict,
        dry_run: bool,
    ) -> Result<Imported, Error> {
        let slug = TenantRef::Slug(tenant.spec.slug.clone());
        let mut refused = Error::ConcurrentChange;
        for _ in 0..MAX_ATTEMPTS {
            let there = found(self.tenant(&slug).await)?;
            let outcome = match &there {
                None => self.import_new(caller, tenant, dry_run).await,
                Some(there) => {
                    self.import_over(caller, tenant, &there.value, on_conflict, dry_run).await
                }
            };
            match outcome {
                Err(Error::ConcurrentChange) => {}
                // Somebody has made it since, or the slug is still reserved for whoever had it.
                Err(taken @ Error::SlugTaken(_)) if there.is_none() => refused = taken,
                outcome => return outcome,
            }
        }
        Err(refused)
    }

    async fn import_new(
        &self,
        caller: &Caller,
        tenant: &ImportTenant,
        dry_run: bool,
    ) -> Result<Imported, Error> {
        let ImportTenant { spec, domains, state, key, invitation } = tenant.clone();
        let new = NewTenant { spec, domains, state, key: None, invitation };
        let mut walk = Walk::new(self, caller, !dry_run);
        walk.step(Step::Import(&new, key.as_ref())).await?;
        walk.close().await?;
        Ok(Imported::Created)
    }

    async fn import_over(
        &self,
        caller: &Caller,
        tenant: &ImportTenant,
        there: &TenantRecord,
        on_conflict: OnConflict,
        dry_run: bool,
    ) -> Result<Imported, Error> {
        let ImportTenant { spec, domains, .. } = tenant;
        let slug = TenantRef::Slug(spec.slug.clone());
        let is_deleted = there.resource.state == TenantState::Deleting;
        let is_same = !is_deleted && there.spec() == *spec && {
            let hosts = self.hosts(&slug).await?;
            domains.len() == hosts.len() && domains.iter().all(|host| hosts.contains(host))
        };
        if is_same {
            return Ok(Imported::Unchanged);
        }
        match on_conflict {
            OnConflict::Fail => return Err(Error::SlugTaken(spec.slug.to_string())),
            OnConflict::Skip => return Ok(Imported::Skipped),
            OnConflict::Update => {}
        }
        let declared = DeclaredTenant {
            spec: spec.clone(),
            domains: Some(domains.clone()),
            subscription: None,
        };
        // Nothing is committed before it is known to fit one commit.
        let mut walk = Walk::new(self, caller, false);
        walk.leave(&declared).await?;
        walk.tenant(&declared).await?;
        if walk.chunks > 0 {
            let detail = "this changes more domains than fit one commit; use `tenantry apply`";
            return Err(Error::invalid("/domains", detail));
        }
        walk.commits = !dry_run;
        walk.close().await?;
        Ok(Imported::Updated)
    }
}
