//! Invitations: an offer to an address to become a member of a tenant.
//!
//! Who has the token has the mailbox it was sent to. So the token is in the letter and nowhere else: not
//! in any answer of the API, and in the store only as a digest (and in the letter while it waits to be
//! sent, see [`mail`](crate::mail)).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_credentials::access_token::AccessSecret;
use tenantry_model::{
    Email, InvitationId, KeyDigest, ResourceKind, RoleId, TenantId, Timestamp, UserId,
};

use crate::{
    Caller, Error, Joining, Listing, MemberRecord, PageRequest, Precondition, Principal, Tenancy,
    TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    due::{Due, DueKind},
    idempotency::Answer,
    layout,
    mail::Letter,
    tenant::not_deleted,
};

/// What has become of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationState {
    /// Nothing yet.
    Pending,
    /// Its token has made somebody a member.
    Accepted,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
}

/// An invitation; its token is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRecord {
    /// Never changes, and is not the token.
    pub id: InvitationId,
    /// To which tenant.
    pub tenant: TenantId,
    /// Who is invited.
    pub email: Email,
    /// To be what.
    pub role: RoleId,
    /// What has become of it.
    pub state: InvitationState,
    /// What it is found by.
    pub digest: KeyDigest,
    /// Who has invited.
    pub invited_by: String,
    /// From this instant on it is refused.
    pub expires_at: Timestamp,
    /// Who has become a member by it.
    pub accepted_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Answer for InvitationRecord {
    /// Without the digest, which is kept for as long as the invitation and no longer.
    fn kept(&self) -> Result<Value, serde_json::Error> {
        let mut kept = serde_json::to_value(self)?;
        if let Some(digest) = kept.get_mut("digest") {
            *digest = "0".repeat(64).into();
        }
        Ok(kept)
    }
}

/// Who is invited to be what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvitation {
    /// Who.
    pub email: Email,
    /// What.
    pub role: RoleId,
}

impl Tenancy {
    /// Invites somebody; the letter is in the outbox with the same commit.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`]; [`Error::IdTaken`] if the address has an invitation that
    /// is still pending; [`Error::Forbidden`] if the role may do more than the caller.
    pub async fn invite(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        new: NewInvitation,
    ) -> Result<Versioned<InvitationRecord>, Error> {
        self.run(caller, &Invite { caller, tenant, new }).await
    }

    /// One invitation of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another tenant's.
    pub async fn invitation(
        &self,
        tenant: &TenantRef,
        id: InvitationId,
    ) -> Result<Versioned<InvitationRecord>, Error> {
        let tenant = self.tenant(tenant).await?.value.resource.id;
        let found: Option<Versioned<InvitationRecord>> =
            self.find(&layout::invitation(id), None).await?;
        found
            .filter(|found| found.value.tenant == tenant)
            .ok_or_else(|| Error::not_found("invitation", id))
    }

    /// The invitations of a tenant, whatever has become of them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tenant.
    pub async fn invitations(
        &self,
        tenant: &TenantRef,
        request: &PageRequest,
    ) -> Result<Listing<InvitationRecord>, Error> {
        let tenant = self.tenant(tenant).await?.value.resource.id;
        let index = layout::owned_invitations(tenant);
        self.list_indexed(&index, layout::INVITATIONS, request).await
    }

    /// Sends a new token for a pending invitation, whose time begins anew. The old token is void.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Gone`] unless it is pending.
    pub async fn resend_invitation(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: InvitationId,
    ) -> Result<Versioned<InvitationRecord>, Error> {
        self.run(caller, &Resend { caller, tenant, id }).await
    }

    /// Takes a pending invitation back.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`], [`Error::Gone`] unless it is pending.
    pub async fn revoke_invitation(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        id: InvitationId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Revoke { caller, tenant, id, precondition }).await.map(drop)
    }

    /// Makes whoever presents a token a member.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such token; [`Error::Gone`] if it was used, taken back or has
    /// expired; [`Error::IdTaken`] if the user is a member already.
    pub async fn accept_invitation(
        &self,
        caller: &Caller,
        digest: KeyDigest,
    ) -> Result<Versioned<MemberRecord>, Error> {
        let id: Option<Versioned<InvitationId>> =
            self.find(&layout::invitation_digest(&digest), None).await?;
        let id = id.ok_or_else(no_such_token)?.value;
        let caller = Caller { principal: Principal::Invited(id), ..caller.clone() };
        self.run(&caller, &Accept { id, digest }).await
    }

    /// The time of an invitation is over.
    pub(crate) async fn end_invitation(
        &self,
        caller: &Caller,
        id: InvitationId,
        due: &Due,
    ) -> Result<(), Error> {
        self.run(caller, &End { id, due }).await.map(drop)
    }

    /// Adds an invitation and its letter to the draft of a commit in which the tenant is made or
    /// unchanged. `tenant_name` is for the letter.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such role, [`Error::Forbidden`] if it may do more than the
    /// caller.
    pub(crate) async fn invited<T>(
        &self,
        draft: Draft<T>,
        caller: &Caller,
        (tenant, tenant_name): (TenantId, &str),
        new: &NewInvitation,
    ) -> Result<(Draft<T>, InvitationRecord), Error> {
        let NewInvitation { email, role } = new.clone();
        let assigned = self.assigned(tenant, &role).await?;
        caller.principal.can_grant(&assigned.permissions)?;
        if let Some(user) = self.user_with(&email).await? {
            let member = layout::member(tenant, user.value.id);
            if self.find::<MemberRecord>(&member, None).await?.is_some() {
                return Err(Error::MemberAlready(email));
            }
        }
        let (now, secret) = (self.now(), AccessSecret::invitation(&self.random_bytes()));
        let record = InvitationRecord {
            id: InvitationId::from_parts(now.unix_ms(), self.identifiers.random()),
            tenant,
            email,
            role,
            state: InvitationState::Pending,
            digest: secret.digest(),
            invited_by: caller.principal.to_string(),
            expires_at: now.after(self.terms.invitations),
            accepted_by: None,
            created_at: now,
            updated_at: now,
        };
        let id = record.id;
        let pending = layout::invitation_pending(tenant, &record.email);
        let taken = Error::IdTaken { kind: "pending invitation of", id: record.email.to_string() };
        let draft = assigned
            .used_by(draft, layout::role_use(tenant, &record.role, "invitation", id))
            .claim(pending, encoded("id", &id)?, taken)
            .put(layout::invitation(id), encoded("invitation", &record)?)
            .put(format!("{}{id}", layout::owned_invitations(tenant)), Vec::new());
        Ok((self.sent(draft, &record, &secret, tenant_name)?, record))
    }

    /// Adds what a new token needs: its index row, its end, its letter.
    fn sent<T>(
        &self,
        draft: Draft<T>,
        record: &InvitationRecord,
        secret: &AccessSecret,
        tenant_name: &str,
    ) -> Result<Draft<T>, Error> {
        let InvitationRecord { id, role, expires_at, digest, .. } = record;
        let (url, token) = (&self.invitation_url, secret.expose());
        let text = format!(
            "You are invited to join {tenant_name} as {role}.\n\nTo accept, open\n\n  {url}#{token}\n\n\
             This works once, until {expires_at}. If you did not expect this, do nothing.\n"
        );
        let letter = Letter { subject: format!("Invitation to {tenant_name}"), text };
        let draft = draft
            .put(layout::invitation_digest(digest), encoded("id", id)?)
            .due(&Due::new(*expires_at, DueKind::Invitation, id));
        self.posted(draft, record.email.clone(), record, letter)
    }
}

fn no_such_token() -> Error {
    Error::not_found("invitation", "with this token")
}

fn gone(state: InvitationState) -> Error {
    Error::Gone(match state {
        InvitationState::Accepted => "the invitation was accepted already",
        InvitationState::Revoked => "the invitation was taken back",
        InvitationState::Pending | InvitationState::Expired => {
            "the invitation has expired; ask for a new one"
        }
    })
}

/// Adds to a draft that an invitation is pending no longer. Its token stays known, so that whoever
/// presents it is told what has become of it.
fn closed<T>(draft: Draft<T>, record: &InvitationRecord) -> Result<Draft<T>, Error> {
    let InvitationRecord { id, tenant, email, role, .. } = record;
    Ok(draft
        .put(layout::invitation(*id), encoded("invitation", record)?)
        .delete(layout::invitation_pending(*tenant, email))
        .delete(layout::role_use(*tenant, role, "invitation", id)))
}

struct Invite<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    new: NewInvitation,
}

impl Operation for Invite<'_> {
    type Output = InvitationRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<InvitationRecord>, Error> {
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let (tenant, name) = (owner.value.resource.id, &owner.value.profile.name);
        let draft = Draft::about("invitation.create", String::new(), Some(tenant), ())
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision);
        let (mut draft, record) =
            tenancy.invited(draft, self.caller, (tenant, name), &self.new).await?;
        draft.retarget(layout::invitation(record.id));
        draft.answering(|()| record).shown_after()
    }
}

struct Resend<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    id: InvitationId,
}

impl Operation for Resend<'_> {
    type Output = InvitationRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<InvitationRecord>, Error> {
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let Versioned { value: old, revision } = tenancy.invitation(self.tenant, self.id).await?;
        let now = tenancy.now();
        if old.state != InvitationState::Pending || old.expires_at <= now {
            return Err(gone(old.state));
        }
        let assigned = tenancy.assigned(old.tenant, &old.role).await?;
        self.caller.principal.can_grant(&assigned.permissions)?;
        let secret = AccessSecret::invitation(&tenancy.random_bytes());
        let record = InvitationRecord {
            digest: secret.digest(),
            expires_at: now.after(tenancy.terms.invitations),
            updated_at: now,
            ..old.clone()
        };
        let key = layout::invitation(self.id);
        let draft = Draft::about("invitation.resend", key.clone(), Some(old.tenant), ())
            .before(&old)?
            .unchanged(layout::record(ResourceKind::Tenant, old.tenant), owner.revision)
            .unchanged(key.clone(), revision)
            .not_due(&Due::new(old.expires_at, DueKind::Invitation, self.id))
            .delete(layout::invitation_digest(&old.digest))
            .put(key, encoded("invitation", &record)?);
        let draft = tenancy.sent(draft, &record, &secret, &owner.value.profile.name)?;
        draft.answering(|()| record).shown_after()
    }
}

struct Revoke<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    id: InvitationId,
    precondition: &'a Precondition,
}

impl Operation for Revoke<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let Versioned { value: old, revision } = tenancy.invitation(self.tenant, self.id).await?;
        self.precondition.check(revision)?;
        if old.state != InvitationState::Pending {
            return Err(gone(old.state));
        }
        // Nobody takes from a tenant what they could not have given. A role that is gone gives nothing.
        if let Some(assigned) = tenancy.assignable(old.tenant, &old.role).await? {
            self.caller.principal.can_grant(&assigned.permissions)?;
        }
        let record = InvitationRecord {
            state: InvitationState::Revoked,
            updated_at: tenancy.now(),
            ..old.clone()
        };
        let key = layout::invitation(self.id);
        let draft = Draft::about("invitation.revoke", key.clone(), Some(old.tenant), ())
            .before(&old)?
            .unchanged(key, revision)
            .not_due(&Due::new(old.expires_at, DueKind::Invitation, self.id));
        closed(draft, &record)
    }
}

struct Accept {
    id: InvitationId,
    digest: KeyDigest,
}

impl Operation for Accept {
    type Output = MemberRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<MemberRecord>, Error> {
        let key = layout::invitation(self.id);
        let found: Option<Versioned<InvitationRecord>> = tenancy.find(&key, None).await?;
        // Sent again meanwhile, it has another token.
        let found = found.filter(|found| found.value.digest == self.digest);
        let Versioned { value: old, revision } = found.ok_or_else(no_such_token)?;
        let now = tenancy.now();
        if old.state != InvitationState::Pending || old.expires_at <= now {
            return Err(gone(old.state));
        }
        let owner = tenancy.tenant(&TenantRef::Id(old.tenant)).await?;
        not_deleted(&owner.value)?;
        let draft = Draft::about("invitation.accept", key.clone(), Some(old.tenant), ())
            .before(&old)?
            .unchanged(layout::record(ResourceKind::Tenant, old.tenant), owner.revision)
            .unchanged(key, revision)
            .not_due(&Due::new(old.expires_at, DueKind::Invitation, self.id));
        let who = Joining::Email(old.email.clone());
        let (draft, member) = tenancy.joined(draft, old.tenant, who, &old.role).await?;
        let record = InvitationRecord {
            state: InvitationState::Accepted,
            accepted_by: Some(member.user),
            updated_at: now,
            ..old
        };
        closed(draft, &record)?.answering(|()| member).shown_after()
    }
}

struct End<'a> {
    id: InvitationId,
    due: &'a Due,
}

impl Operation for End<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let key = layout::invitation(self.id);
        let found: Option<Versioned<InvitationRecord>> = tenancy.find(&key, None).await?;
        let stands = found.filter(|found| {
            found.value.state == InvitationState::Pending && found.value.expires_at == self.due.at
        });
        let Some(Versioned { value: old, revision }) = stands else {
            return Ok(Draft::quiet(()).not_due(self.due));
        };
        let record = InvitationRecord {
            state: InvitationState::Expired,
            updated_at: tenancy.now(),
            ..old.clone()
        };
        let draft = Draft::about("invitation.expire", key.clone(), Some(old.tenant), ())
            .before(&old)?
            .unchanged(key, revision)
            .not_due(self.due);
        closed(draft, &record)
    }
}
