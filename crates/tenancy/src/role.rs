//! Roles in a tenant: four that every tenant has, and what it defines itself, as sets of permissions.

use serde::{Deserialize, Serialize};
use tenantry_model::{Permissions, ResourceKind, RoleId, TenantId, TenantRole, Timestamp};

use crate::idempotency::Answer;
use crate::{
    Caller, Error, Listing, PageRequest, Precondition, Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    layout,
    tenancy::decoded,
    tenant::not_deleted,
    text,
    token::beyond_tenants,
};

/// What may be written of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSpec {
    /// What it is for.
    pub description: String,
    /// What it may do.
    pub permissions: Permissions,
}

/// A role that a tenant has defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// Its name in the tenant.
    pub id: RoleId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What may be written of it.
    pub spec: RoleSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Answer for RoleRecord {}

/// A role on its way into a commit: what it may do, and the row that must stay for that to hold.
pub(crate) struct Assigned {
    pub(crate) permissions: Permissions,
    row: Option<(String, tenantry_store::Revision)>,
}

impl Tenancy {
    /// Defines a role.
    ///
    /// # Errors
    /// [`Error::IdTaken`], [`Error::Invalid`]; [`Error::Forbidden`] if it could do more than the caller.
    pub async fn create_role(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: RoleId,
        spec: RoleSpec,
    ) -> Result<Versioned<RoleRecord>, Error> {
        self.run(caller, &Create { caller, tenant, id, spec }).await
    }

    /// Defines a role anew. Whoever has it may do what it says from the next call on.
    ///
    /// # Errors
    /// As for defining it, [`Error::NotFound`] and [`Error::PreconditionFailed`].
    pub async fn replace_role(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: RoleId,
        spec: RoleSpec,
        precondition: &Precondition,
    ) -> Result<Versioned<RoleRecord>, Error> {
        self.run(caller, &Replace { caller, tenant, id, spec, precondition }).await
    }

    /// Removes a role that nobody has.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`], [`Error::PreconditionFailed`].
    pub async fn delete_role(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: RoleId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Delete { caller, tenant, id, precondition }).await.map(drop)
    }

    /// A role that a tenant has defined.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn role(
        &self,
        tenant: &TenantRef,
        id: &RoleId,
    ) -> Result<Versioned<RoleRecord>, Error> {
        let tenant = self.tenant(tenant).await?.value.resource.id;
        self.role_of(tenant, id).await?.ok_or_else(|| Error::not_found("role", id))
    }

    /// The roles that a tenant has defined, by name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tenant.
    pub async fn roles(
        &self,
        tenant: &TenantRef,
        request: &PageRequest,
    ) -> Result<Listing<RoleRecord>, Error> {
        let tenant = self.tenant(tenant).await?.value.resource.id;
        self.list(&layout::roles(tenant), "", request, |row| decoded(row).map(Some)).await
    }

    async fn role_of(
        &self,
        tenant: TenantId,
        id: &RoleId,
    ) -> Result<Option<Versioned<RoleRecord>>, Error> {
        self.find(&layout::role(tenant, id), None).await
    }

    /// What a role of a tenant may do now, if there is such a role.
    pub(crate) async fn assignable(
        &self,
        tenant: TenantId,
        id: &RoleId,
    ) -> Result<Option<Assigned>, Error> {
        if let Some(role) = TenantRole::named(id.as_str()) {
            return Ok(Some(Assigned { permissions: role.permissions(), row: None }));
        }
        let found = self.role_of(tenant, id).await?;
        Ok(found.map(|found| Assigned {
            permissions: found.value.spec.permissions,
            row: Some((layout::role(tenant, id), found.revision)),
        }))
    }

    /// The same, where there must be one.
    pub(crate) async fn assigned(&self, tenant: TenantId, id: &RoleId) -> Result<Assigned, Error> {
        let found = self.assignable(tenant, id).await?;
        found.ok_or_else(|| Error::invalid("/role", format!("the tenant has no role {id}")))
    }
}

impl Assigned {
    /// The role is used, and stays until the commit.
    pub(crate) fn used_by<T>(self, draft: Draft<T>, use_key: String) -> Draft<T> {
        match self.row {
            Some((key, revision)) => draft.unchanged(key, revision).put(use_key, Vec::new()),
            None => draft,
        }
    }
}

fn checked(spec: &RoleSpec) -> Result<(), Error> {
    text::description("/description", &spec.description)?;
    match beyond_tenants(&spec.permissions) {
        None => Ok(()),
        Some(beyond) => {
            let detail = format!("{beyond} cannot be held in a tenant");
            Err(Error::invalid("/permissions", detail))
        }
    }
}

struct Create<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    id: RoleId,
    spec: RoleSpec,
}

impl Operation for Create<'_> {
    type Output = RoleRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<RoleRecord>, Error> {
        checked(&self.spec)?;
        self.caller.principal.can_grant(&self.spec.permissions)?;
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let (tenant, now, id) = (owner.value.resource.id, tenancy.now(), self.id.clone());
        let taken = Error::IdTaken { kind: "role", id: id.to_string() };
        if TenantRole::named(id.as_str()).is_some() {
            return Err(taken);
        }
        let (key, owned) = (layout::role(tenant, &id), layout::owned_role(tenant, &id));
        let spec = self.spec.clone();
        let record = RoleRecord { id, tenant, spec, created_at: now, updated_at: now };
        let json = encoded("role", &record)?;
        Ok(Draft::about("role.create", key.clone(), Some(tenant), record)
            .shown_after()?
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision)
            .claim(key, json, taken)
            .put(owned, Vec::new()))
    }
}

struct Replace<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    id: RoleId,
    spec: RoleSpec,
    precondition: &'a Precondition,
}

impl Operation for Replace<'_> {
    type Output = RoleRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<RoleRecord>, Error> {
        checked(&self.spec)?;
        let Versioned { value: old, revision } = tenancy.role(self.tenant, &self.id).await?;
        self.precondition.check(revision)?;
        // Whoever could widen a role beyond itself could have it; whoever could narrow it could
        // take from others what it does not have.
        self.caller.principal.can_grant(&old.spec.permissions)?;
        self.caller.principal.can_grant(&self.spec.permissions)?;
        let record =
            RoleRecord { spec: self.spec.clone(), updated_at: tenancy.now(), ..old.clone() };
        let (key, json) = (layout::role(old.tenant, &self.id), encoded("role", &record)?);
        Ok(Draft::about("role.update", key.clone(), Some(old.tenant), record)
            .before(&old)?
            .shown_after()?
            .unchanged(key.clone(), revision)
            .put(key, json))
    }
}

struct Delete<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    id: RoleId,
    precondition: &'a Precondition,
}

impl Operation for Delete<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let Versioned { value: old, revision } = tenancy.role(self.tenant, &self.id).await?;
        self.precondition.check(revision)?;
        self.caller.principal.can_grant(&old.spec.permissions)?;
        let user = "member, token or invitation";
        let used = Error::InUse { kind: "role", id: self.id.to_string(), user };
        let key = layout::role(old.tenant, &self.id);
        Ok(Draft::about("role.delete", key.clone(), Some(old.tenant), ())
            .before(&old)?
            .unchanged(key.clone(), revision)
            .none_under(layout::role_uses(old.tenant, &self.id), used)
            .delete(key)
            .delete(layout::owned_role(old.tenant, &self.id)))
    }
}
