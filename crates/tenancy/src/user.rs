//! Users: people, in as many tenants as they like.
//!
//! A user is known by an e-mail address, by what an issuer of tokens calls it, or by both. Neither can
//! be another user's.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tenantry_model::{Email, TenantId, Timestamp, UserId};

use crate::idempotency::Answer;
use crate::{
    Caller, Error, Listing, MemberRecord, PageRequest, Precondition, Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    layout, merge,
    tenancy::decoded,
    text,
};

const MAX_SUBJECT_CHARACTERS: usize = 512;

/// What may be written of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// Where mail reaches it.
    #[serde(default)]
    pub email: Option<Email>,
    /// The issuer whose tokens name it.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What that issuer calls it.
    #[serde(default)]
    pub subject: Option<String>,
    /// The tenant that it means when it does not say which; one that it belongs to.
    #[serde(default)]
    pub preferred_tenant: Option<TenantId>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Never changes.
    pub id: UserId,
    /// What may be written of it.
    pub spec: UserSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Answer for UserRecord {}

impl UserSpec {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(name) = &self.name {
            text::name("/name", name)?;
        }
        match (&self.issuer, &self.subject) {
            (Some(issuer), Some(subject)) => {
                for (pointer, text) in [("/issuer", issuer), ("/subject", subject)] {
                    if text.is_empty() || text.chars().count() > MAX_SUBJECT_CHARACTERS {
                        return Err(Error::invalid(pointer, "write 1 to 512 characters"));
                    }
                }
            }
            (None, None) => {}
            _ => {
                let detail = "issuer and subject name a user only together";
                return Err(Error::invalid("/subject", detail));
            }
        }
        if self.email.is_none() && self.subject.is_none() {
            return Err(Error::invalid("", "give an e-mail address, or issuer and subject"));
        }
        Ok(())
    }

    /// The rows that nobody else can have, and what it means if somebody has.
    fn names(&self) -> Vec<(String, Error)> {
        let email = self
            .email
            .as_ref()
            .map(|email| (layout::user_email(email), Error::EmailTaken(email.clone())));
        let subject = self.issuer.as_ref().zip(self.subject.as_ref()).map(|(issuer, subject)| {
            let taken =
                Error::IdTaken { kind: "user with this issuer and subject", id: subject.clone() };
            (layout::user_subject(&digest(issuer, subject)), taken)
        });
        email.into_iter().chain(subject).collect()
    }
}

/// Both parts with their lengths, so that no other pair has the same.
fn digest(issuer: &str, subject: &str) -> String {
    let mut digest = Sha256::new();
    for part in [issuer, subject] {
        digest.update(part.len().to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Tenancy {
    /// Makes a user who belongs to no tenant yet.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::EmailTaken`], [`Error::IdTaken`].
    pub async fn create_user(
        &self,
        caller: &Caller,
        spec: UserSpec,
    ) -> Result<Versioned<UserRecord>, Error> {
        self.run(caller, &Create { spec }).await
    }

    /// One user.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn user(&self, id: UserId) -> Result<Versioned<UserRecord>, Error> {
        let found = self.find(&layout::user(id), None).await?;
        found.ok_or_else(|| Error::not_found("user", id))
    }

    /// The user with an e-mail address, if there is one.
    pub(crate) async fn user_with(
        &self,
        email: &Email,
    ) -> Result<Option<Versioned<UserRecord>>, Error> {
        let id: Option<Versioned<UserId>> = self.find(&layout::user_email(email), None).await?;
        match id {
            Some(id) => self.find(&layout::user(id.value), None).await,
            None => Ok(None),
        }
    }

    /// All users, in the order in which they were made; or the one with this address.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn users(
        &self,
        email: Option<&Email>,
        request: &PageRequest,
    ) -> Result<Listing<UserRecord>, Error> {
        match email {
            None => self.list(layout::USERS, "", request, |row| decoded(row).map(Some)).await,
            Some(email) => {
                let at = self.store.status().await.head;
                let items = self.user_with(email).await?.into_iter().collect();
                Ok(Listing { items, at, next_cursor: None })
            }
        }
    }

    /// The tenants that a user belongs to.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such user.
    pub async fn memberships(
        &self,
        id: UserId,
        request: &PageRequest,
    ) -> Result<Listing<MemberRecord>, Error> {
        self.user(id).await?;
        let names = self
            .list(&layout::members_of(id), "", request, |row| {
                let last = row.key.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                let tenant = String::from_utf8_lossy(last).into_owned();
                Ok(Some(Versioned { value: tenant, revision: row.mod_rev }))
            })
            .await?;
        let mut items = Vec::with_capacity(names.items.len());
        for tenant in names.items {
            items
                .extend(self.find(&format!("member/{}/{id}", tenant.value), Some(names.at)).await?);
        }
        Ok(Listing { items, at: names.at, next_cursor: names.next_cursor })
    }

    /// Changes what may be written of a user, by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// As for making one, [`Error::NotFound`] and [`Error::PreconditionFailed`].
    pub async fn patch_user(
        &self,
        caller: &Caller,
        id: UserId,
        patch: &Value,
        precondition: &Precondition,
    ) -> Result<Versioned<UserRecord>, Error> {
        self.run(caller, &Patch { id, patch, precondition }).await
    }

    /// Removes a user who belongs to no tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`], [`Error::InUse`].
    pub async fn delete_user(
        &self,
        caller: &Caller,
        id: UserId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Delete { id, precondition }).await.map(drop)
    }

    /// A new user on its way into a commit.
    pub(crate) fn made_user<T>(
        &self,
        draft: Draft<T>,
        spec: UserSpec,
    ) -> Result<(Draft<T>, UserRecord), Error> {
        spec.check()?;
        let now = self.now();
        let id = UserId::from_parts(now.unix_ms(), self.identifiers.random());
        let mut draft = draft;
        for (key, taken) in spec.names() {
            draft = draft.claim(key, encoded("id", &id)?, taken);
        }
        let record = UserRecord { id, spec, created_at: now, updated_at: now };
        Ok((draft, record))
    }
}

struct Create {
    spec: UserSpec,
}

impl Operation for Create {
    type Output = UserRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<UserRecord>, Error> {
        if self.spec.preferred_tenant.is_some() {
            let detail = "a user who belongs to no tenant prefers none";
            return Err(Error::invalid("/preferred_tenant", detail));
        }
        let draft = Draft::about("user.create", String::new(), None, ());
        let (mut draft, record) = tenancy.made_user(draft, self.spec.clone())?;
        let key = layout::user(record.id);
        draft.retarget(key.clone());
        draft.put(key, encoded("user", &record)?).answering(|()| record).shown_after()
    }
}

struct Patch<'a> {
    id: UserId,
    patch: &'a Value,
    precondition: &'a Precondition,
}

impl Operation for Patch<'_> {
    type Output = UserRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<UserRecord>, Error> {
        let Versioned { value: old, revision } = tenancy.user(self.id).await?;
        self.precondition.check(revision)?;
        let spec: UserSpec = merge::patched(&old.spec, self.patch)?;
        spec.check()?;
        let record = UserRecord { spec, updated_at: tenancy.now(), ..old.clone() };
        let key = layout::user(self.id);
        let mut draft = Draft::about("user.update", key.clone(), None, record.clone())
            .before(&old)?
            .shown_after()?
            .unchanged(key.clone(), revision)
            .put(key, encoded("user", &record)?);
        let (before, after) = (old.spec.names(), record.spec.names());
        let is_new = |key: &String| before.iter().all(|(old, _)| old != key);
        let is_gone = |key: &String| after.iter().all(|(new, _)| new != key);
        for (key, _) in before.iter().filter(|(key, _)| is_gone(key)) {
            draft = draft.delete(key.clone());
        }
        for (key, taken) in after.iter().filter(|(key, _)| is_new(key)) {
            draft = draft.claim(key.clone(), encoded("id", &self.id)?, taken.clone());
        }
        if let Some(tenant) =
            record.spec.preferred_tenant.filter(|t| old.spec.preferred_tenant != Some(*t))
        {
            let missing = || Error::invalid("/preferred_tenant", "the user does not belong to it");
            let member = tenancy.member(&TenantRef::Id(tenant), self.id).await;
            let member = member.map_err(|error| match error {
                Error::NotFound { .. } => missing(),
                error => error,
            })?;
            draft = draft.unchanged(layout::member(tenant, self.id), member.revision);
        }
        Ok(draft)
    }
}

struct Delete<'a> {
    id: UserId,
    precondition: &'a Precondition,
}

impl Operation for Delete<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let Versioned { value: old, revision } = tenancy.user(self.id).await?;
        self.precondition.check(revision)?;
        let used =
            Error::InUse { kind: "user", id: self.id.to_string(), user: "tenant as a member" };
        let key = layout::user(self.id);
        let mut draft = Draft::about("user.delete", key.clone(), None, ())
            .before(&old)?
            .unchanged(key.clone(), revision)
            .none_under(layout::members_of(self.id), used)
            .delete(key);
        for (key, _) in old.spec.names() {
            draft = draft.delete(key);
        }
        Ok(draft)
    }
}
