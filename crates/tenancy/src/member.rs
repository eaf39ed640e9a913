//! Members: users in a tenant, each with one role there.
//!
//! **The last owner stays.** An owner goes, or becomes something less, only in the presence of another
//! one, and the commit checks that the other is still an owner then. So of two owners who remove each
//! other at the same time, one stays.

use serde::{Deserialize, Serialize};
use tenantry_model::{
    Email, ResourceKind, RoleId, TenantId, TenantRole, TenantState, Timestamp, UserId,
};

use crate::idempotency::Answer;
use crate::{
    Caller, Error, Listing, PageRequest, Precondition, Tenancy, TenantRef, UserRecord, UserSpec,
    Versioned,
    draft::{Draft, Operation, encoded},
    layout,
    tenancy::decoded,
    tenant::not_deleted,
};

/// A user in a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which user.
    pub user: UserId,
    /// What the user is there.
    pub role: RoleId,
    /// When the user became a member.
    pub created_at: Timestamp,
    /// When this was last written.
    pub updated_at: Timestamp,
}

impl Answer for MemberRecord {}

/// Who is to become a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joining {
    /// A user that there is.
    User(UserId),
    /// Whoever has this address; a user is made if nobody has.
    Email(Email),
}

impl Tenancy {
    /// Makes somebody a member without asking. Tenants invite instead.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Error::IdTaken`] for a member; [`Error::Forbidden`] if
    /// the role may do more than the caller.
    pub async fn add_member(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        who: Joining,
        role: RoleId,
    ) -> Result<Versioned<MemberRecord>, Error> {
        self.run(caller, &Add { caller, tenant, who, role }).await
    }

    /// One member of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn member(
        &self,
        tenant: &TenantRef,
        user: UserId,
    ) -> Result<Versioned<MemberRecord>, Error> {
        let tenant = self.tenant(tenant).await?.value.resource.id;
        let found = self.find(&layout::member(tenant, user), None).await?;
        found.ok_or_else(|| Error::not_found("member", user))
    }

    /// The members of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tenant.
    pub async fn members(
        &self,
        tenant: &TenantRef,
        request: &PageRequest,
    ) -> Result<Listing<MemberRecord>, Error> {
        let tenant = self.tenant(tenant).await?.value.resource.id;
        self.list(&layout::members(tenant), "", request, |row| decoded(row).map(Some)).await
    }

    /// Gives a member another role. It holds from the member's next call on.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Error::LastOwner`]; [`Error::Forbidden`] if the role
    /// before or after may do more than the caller.
    pub async fn change_role(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        user: UserId,
        role: RoleId,
        precondition: &Precondition,
    ) -> Result<Versioned<MemberRecord>, Error> {
        self.run(caller, &Change { caller, tenant, user, role, precondition }).await
    }

    /// Ends a membership. The user stays.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::LastOwner`]; [`Error::Forbidden`] if the member may do more than the
    /// caller.
    pub async fn remove_member(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        user: UserId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Remove { caller, tenant, user, precondition }).await.map(drop)
    }

    /// Adds to a draft that a user becomes a member. The user's row is written too: it prefers its
    /// first tenant.
    pub(crate) async fn joined<T>(
        &self,
        draft: Draft<T>,
        tenant: TenantId,
        user: Joining,
        role: &RoleId,
    ) -> Result<(Draft<T>, MemberRecord), Error> {
        let known = match &user {
            Joining::User(id) => Some(self.user(*id).await?),
            Joining::Email(email) => self.user_with(email).await?,
        };
        let (mut draft, mut user) = match (known, user) {
            (Some(known), _) => {
                let key = layout::user(known.value.id);
                (draft.unchanged(key, known.revision), known.value)
            }
            (None, Joining::Email(email)) => {
                self.made_user(draft, UserSpec { email: Some(email), ..UserSpec::default() })?
            }
            (None, Joining::User(id)) => return Err(Error::not_found("user", id)),
        };
        let now = self.now();
        if user.spec.preferred_tenant.is_none() {
            user = UserRecord {
                spec: UserSpec { preferred_tenant: Some(tenant), ..user.spec },
                updated_at: now,
                ..user
            };
        }
        let id = user.id;
        let record =
            MemberRecord { tenant, user: id, role: role.clone(), created_at: now, updated_at: now };
        let taken = Error::IdTaken { kind: "member", id: id.to_string() };
        let assigned = self.assigned(tenant, role).await?;
        draft = assigned.used_by(draft, layout::role_use(tenant, role, "member", id));
        draft = draft
            .put(layout::user(id), encoded("user", &user)?)
            .claim(layout::member(tenant, id), encoded("member", &record)?, taken)
            .put(layout::owned_member(tenant, id), Vec::new())
            .put(layout::member_of(id, tenant), Vec::new());
        if is_owner(role) {
            draft = draft.put(layout::owner(tenant, id), Vec::new());
        }
        Ok((draft, record))
    }

    /// Adds to a draft that an owner is one no longer, which needs another one as a witness.
    async fn without_owner<T>(
        &self,
        draft: Draft<T>,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Draft<T>, Error> {
        let own = layout::owner(tenant, user);
        let page = self.store.scan(layout::owners(tenant).as_bytes(), None, 2).await?;
        let other = page.rows.iter().find(|row| row.key != own.as_bytes());
        let other = other.ok_or(Error::LastOwner)?;
        let key = String::from_utf8_lossy(&other.key).into_owned();
        Ok(draft.unchanged(key, other.mod_rev).delete(own))
    }
}

pub(crate) fn is_owner(role: &RoleId) -> bool {
    role.as_str() == TenantRole::Owner.as_str()
}

struct Add<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    who: Joining,
    role: RoleId,
}

impl Operation for Add<'_> {
    type Output = MemberRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<MemberRecord>, Error> {
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let tenant = owner.value.resource.id;
        let assigned = tenancy.assigned(tenant, &self.role).await?;
        self.caller.principal.can_grant(&assigned.permissions)?;
        let draft = Draft::about("member.add", String::new(), Some(tenant), ())
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision);
        let (mut draft, record) =
            tenancy.joined(draft, tenant, self.who.clone(), &self.role).await?;
        draft.retarget(layout::member(tenant, record.user));
        draft.answering(|()| record).shown_after()
    }
}

struct Change<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    user: UserId,
    role: RoleId,
    precondition: &'a Precondition,
}

impl Operation for Change<'_> {
    type Output = MemberRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<MemberRecord>, Error> {
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let Versioned { value: old, revision } = tenancy.member(self.tenant, self.user).await?;
        self.precondition.check(revision)?;
        let (tenant, user) = (old.tenant, self.user);
        let before = tenancy.assignable(tenant, &old.role).await?;
        let after = tenancy.assigned(tenant, &self.role).await?;
        let held = before.map(|before| before.permissions).unwrap_or_default();
        self.caller.principal.can_grant(&held)?;
        self.caller.principal.can_grant(&after.permissions)?;
        let record =
            MemberRecord { role: self.role.clone(), updated_at: tenancy.now(), ..old.clone() };
        let (key, json) = (layout::member(tenant, user), encoded("member", &record)?);
        let mut draft = Draft::about("member.update", key.clone(), Some(tenant), record)
            .before(&old)?
            .shown_after()?
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision)
            .unchanged(key.clone(), revision)
            .put(key, json);
        if old.role != self.role {
            draft = draft.delete(layout::role_use(tenant, &old.role, "member", user));
            draft = after.used_by(draft, layout::role_use(tenant, &self.role, "member", user));
        }
        match (is_owner(&old.role), is_owner(&self.role)) {
            (true, false) => tenancy.without_owner(draft, tenant, user).await,
            (false, true) => Ok(draft.put(layout::owner(tenant, user), Vec::new())),
            _ => Ok(draft),
        }
    }
}

struct Remove<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    user: UserId,
    precondition: &'a Precondition,
}

impl Operation for Remove<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let Versioned { value: old, revision } = tenancy.member(self.tenant, self.user).await?;
        self.precondition.check(revision)?;
        let (tenant, user) = (old.tenant, self.user);
        // A deleted tenant comes back with the members that it had.
        let owner = tenancy.tenant(&TenantRef::Id(tenant)).await?;
        if owner.value.resource.state == TenantState::Deleting {
            not_deleted(&owner.value)?;
        }
        let held = tenancy.assignable(tenant, &old.role).await?;
        self.caller.principal.can_grant(&held.map(|held| held.permissions).unwrap_or_default())?;
        let key = layout::member(tenant, user);
        let mut draft = Draft::about("member.remove", key.clone(), Some(tenant), ())
            .before(&old)?
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision)
            .unchanged(key.clone(), revision)
            .delete(key)
            .delete(layout::owned_member(tenant, user))
            .delete(layout::member_of(user, tenant))
            .delete(layout::role_use(tenant, &old.role, "member", user));
        let person = tenancy.user(user).await?;
        if person.value.spec.preferred_tenant == Some(tenant) {
            let spec = UserSpec { preferred_tenant: None, ..person.value.spec };
            let record = UserRecord { spec, updated_at: tenancy.now(), ..person.value };
            draft = draft
                .unchanged(layout::user(user), person.revision)
                .put(layout::user(user), encoded("user", &record)?);
        }
        if is_owner(&old.role) {
            draft = tenancy.without_owner(draft, tenant, user).await?;
        }
        Ok(draft)
    }
}
