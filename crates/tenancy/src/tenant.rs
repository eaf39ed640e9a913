//! Tenants and their life.
//!
//! ```text
//!             suspend            delete
//!   active <----------> suspended ------+
//!    ^ |     resume                     v
//!    | +---------------------------> deleting ----------------------------> purged
//!    |           delete                 |        purge, or retention ends
//!    | activate                         |
//!   provisioning                        +-- undelete: back to what it was
//! ```
//!
//! A deleted tenant keeps everything, its slug, domains and keys included, so that it can be brought
//! back as it was; it can neither be changed nor be given anything new before that. A purged one is
//! gone but for its deletion certificate and what the audit log says.

mod create;
mod drafts;
mod life;
mod list;
mod purge;
mod slug;
pub mod subscription;

pub use create::CreatedTenant;
pub use life::Transition;
pub use list::TenantFilter;
pub(crate) use slug::is_reserved;

use std::{fmt, str::FromStr};

use serde_json::Value;
use tenantry_certs::{AuthorityError, client_authorities, provider};
use tenantry_model::{
    DomainPattern, KeySpec, ResourceKind, Slug, Tenant, TenantId, TenantSpec, TenantState,
};

use crate::{
    Caller, Error, NewInvitation, Precondition, Tenancy, TenantRecord, Versioned,
    draft::{Draft, Operation, encoded},
    due::{Due, DueKind},
    layout, merge, text,
};

/// Which tenant: by id or by slug. No slug looks like an id, as slugs have no `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRef {
    /// By its id.
    Id(TenantId),
    /// By its slug.
    Slug(Slug),
}

impl FromStr for TenantRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let id = text.parse().map(Self::Id);
        id.or_else(|_| text.parse().map(Self::Slug)).map_err(|_| Error::not_found("tenant", text))
    }
}

impl fmt::Display for TenantRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => slug.fmt(f),
        }
    }
}

/// A tenant to be made, with domains to be its own from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    /// What it is.
    pub spec: TenantSpec,
    /// Its domains; at most [`MAX_DOMAINS`](Self::MAX_DOMAINS).
    pub domains: Vec<DomainPattern>,
    /// The state it is made in: active or provisioning.
    pub state: TenantState,
    /// Its first key.
    pub key: Option<KeySpec>,
    /// Its first invitation.
    pub invitation: Option<NewInvitation>,
}

impl NewTenant {
    /// How many domains fit the commit that makes a tenant. More can be added one by one.
    pub const MAX_DOMAINS: usize = 32;
}

/// The rules that the model leaves open.
fn check(tenancy: &Tenancy, spec: &TenantSpec) -> Result<(), Error> {
    text::name("/name", &spec.name)?;
    text::labels(&spec.labels)?;
    text::metadata(&spec.metadata)?;
    tenancy.settings.check(&spec.settings)?;
    let authorities = spec.client_ca_pem.as_ref().map(|pem| client_authorities(pem, &provider()));
    let unusable = |error: AuthorityError| Error::invalid("/client_ca_pem", error.to_string());
    authorities.transpose().map(drop).map_err(unusable)
}

impl Tenancy {
    /// Makes a tenant and gives it its domains.
    ///
    /// # Errors
    /// [`Error::SlugTaken`], [`Error::DomainTaken`]; [`Error::Invalid`] if there is no such plan.
    pub async fn create_tenant(
        &self,
        caller: &Caller,
        tenant: NewTenant,
    ) -> Result<Versioned<CreatedTenant>, Error> {
        self.run(caller, &create::Create { caller, tenant }).await
    }

    /// Replaces all that may be written of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`], [`Error::SlugTaken`],
    /// [`Error::InvalidState`] if it is deleted, [`Error::Invalid`].
    pub async fn replace_tenant(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        spec: &TenantSpec,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        let change = |record: &TenantRecord| respecified(self, record, spec.clone());
        let action = "tenant.update";
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }

    /// Changes a tenant by a merge patch (RFC 7396) of its [`TenantSpec`].
    ///
    /// # Errors
    /// As [`replace_tenant`](Self::replace_tenant).
    pub async fn patch_tenant(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        patch: &Value,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        let change = |record: &TenantRecord| {
            respecified(self, record, merge::patched(&record.spec(), patch)?)
        };
        let action = "tenant.update";
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }
}

fn respecified(
    tenancy: &Tenancy,
    record: &TenantRecord,
    spec: TenantSpec,
) -> Result<TenantRecord, Error> {
    check(tenancy, &spec)?;
    not_deleted(record)?;
    let (resource, profile) = spec.split(record.resource.id, record.resource.state);
    Ok(TenantRecord { resource, profile, ..record.clone() })
}

/// A deleted tenant takes no changes.
pub(crate) fn not_deleted(record: &TenantRecord) -> Result<(), Error> {
    match record.resource.state {
        TenantState::Provisioning | TenantState::Active | TenantState::Suspended => Ok(()),
        state @ TenantState::Deleting => {
            Err(Error::InvalidState { state, rule: "undelete it before you change it" })
        }
    }
}

/// Any change of a tenant's own record; `change` says what it becomes, or why it may not.
struct Change<'a, F> {
    tenant: &'a TenantRef,
    action: &'static str,
    precondition: &'a Precondition,
    change: F,
}

impl<F> Operation for Change<'_, F>
where
    F: Fn(&TenantRecord) -> Result<TenantRecord, Error> + Sync,
{
    type Output = TenantRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<TenantRecord>, Error> {
        let current = tenancy.tenant(self.tenant).await?;
        self.precondition.check(current.revision)?;
        let record = (self.change)(&current.value)?;
        let record = TenantRecord { updated_at: tenancy.now(), ..record };
        let (old, new) = (&current.value.resource, record.resource.clone());
        let id = new.id.to_string();
        let json = encoded("tenant", &record)?;
        let key = layout::record(ResourceKind::Tenant, new.id);
        let target = (ResourceKind::Tenant, id.as_str());
        let mut draft = Draft::new(self.action, target, Some(new.id), record)
            .before(&current.value)?
            .shown_after()?
            .unchanged(key.clone(), current.revision)
            .put(key, json);
        draft = placed(tenancy, draft, Some(old), &new).await?;
        if old.slug != new.slug {
            draft = tenancy.named(draft, &new.slug, new.id).await?;
            draft = tenancy.freed(draft, &old.slug, new.id);
        }
        let (before, after) = (dues(&current.value), dues(&draft.value));
        draft = before.iter().filter(|due| !after.contains(due)).fold(draft, Draft::not_due);
        draft = after.iter().filter(|due| !before.contains(due)).fold(draft, Draft::due);
        Ok(draft)
    }
}

/// What is to be done about a tenant some time, as its record says it now.
fn dues(record: &TenantRecord) -> Vec<Due> {
    let id = record.resource.id;
    let retention = record.purge_at.filter(|_| record.purge.is_none());
    let retention = retention.map(|at| Due::new(at, DueKind::Retention, id));
    retention.into_iter().chain(subscription::due(record)).collect()
}

/// Puts the tenant on its plan and in its group, which must be there and stay until the commit.
async fn placed<T>(
    tenancy: &Tenancy,
    mut draft: Draft<T>,
    old: Option<&Tenant>,
    new: &Tenant,
) -> Result<Draft<T>, Error> {
    let before = old.map(places).unwrap_or_default();
    let after = places(new);
    for place in after.iter().filter(|place| !before.contains(place)) {
        let Place { kind, id } = place;
        let key = layout::record(*kind, id);
        let (_, row) = tenancy.store.get(key.as_bytes(), None).await?;
        let missing = || Error::invalid(format!("/{kind}"), format!("there is no {kind} {id}"));
        let row = row.ok_or_else(missing)?;
        draft = draft.unchanged(key, row.mod_rev).put(place.reference(new.id), Vec::new());
    }
    let left = before.iter().filter(|place| !after.contains(place));
    Ok(left.fold(draft, |draft, place| draft.delete(place.reference(new.id))))
}

/// Something that a tenant refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: ResourceKind,
    id: String,
}

impl Place {
    fn reference(&self, tenant: TenantId) -> String {
        layout::reference(self.kind, &self.id, ResourceKind::Tenant, tenant)
    }
}

/// What the tenant refers to.
fn places(tenant: &Tenant) -> Vec<Place> {
    let plan = Place { kind: ResourceKind::Plan, id: tenant.plan.to_string() };
    let group = tenant.group.as_ref();
    let group = group.map(|group| Place { kind: ResourceKind::Group, id: group.to_string() });
    [Some(plan), group].into_iter().flatten().collect()
}

/// The rows that say what the tenant refers to.
fn references(tenant: &Tenant) -> Vec<String> {
    places(tenant).iter().map(|place| place.reference(tenant.id)).collect()
}
