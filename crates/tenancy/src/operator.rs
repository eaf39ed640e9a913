//! Operators: who runs the platform.
//!
//! The last owner among them is nothing special: whoever has the root token can always make another.
//!
//! Nobody decides over somebody who may do more: making, changing or removing an operator asks for
//! every permission that the operator has before and afterwards.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_credentials::password::{Password, PasswordHash};
use tenantry_model::{Email, OperatorId, OperatorRole, Permissions, Timestamp};

use crate::idempotency::Answer;
use crate::{
    Caller, Error, Listing, PageRequest, Precondition, Tenancy, Versioned,
    draft::{Draft, Operation, encoded},
    layout, merge,
    tenancy::decoded,
    text,
};

/// What may be written of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorSpec {
    /// What people call it.
    pub name: String,
    /// Where mail reaches it; what it logs in with.
    pub email: Email,
    /// What it is.
    #[serde(default)]
    pub roles: BTreeSet<OperatorRole>,
    /// Whether it may do nothing for now.
    #[serde(default)]
    pub disabled: bool,
}

impl OperatorSpec {
    fn check(&self) -> Result<(), Error> {
        text::name("/name", &self.name)
    }

    /// What all its roles together may do.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        self.roles.iter().flat_map(|role| role.permissions()).collect()
    }
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRecord {
    /// Never changes.
    pub id: OperatorId,
    /// What may be written of it.
    pub spec: OperatorSpec,
    /// Its password, hashed; without one it cannot log in.
    pub password: Option<PasswordHash>,
    /// Rises with each password; sessions of another number are void.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Answer for OperatorRecord {
    /// That there is a password, and nothing of it.
    fn kept(&self) -> Result<Value, serde_json::Error> {
        let mut kept = serde_json::to_value(self)?;
        if let Some(password) = kept.get_mut("password").filter(|password| password.is_string()) {
            *password = "[hidden]".into();
        }
        Ok(kept)
    }
}

impl Tenancy {
    /// Makes an operator. It has neither password nor token yet.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::EmailTaken`]; [`Error::Forbidden`] if it could do more than the
    /// caller.
    pub async fn create_operator(
        &self,
        caller: &Caller,
        spec: OperatorSpec,
    ) -> Result<Versioned<OperatorRecord>, Error> {
        self.run(caller, &Create { caller, spec }).await
    }

    /// One operator.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn operator(&self, id: OperatorId) -> Result<Versioned<OperatorRecord>, Error> {
        let found = self.find(&layout::operator(id), None).await?;
        found.ok_or_else(|| Error::not_found("operator", id))
    }

    /// The operator with an e-mail address, if there is one.
    pub(crate) async fn operator_with(
        &self,
        email: &Email,
    ) -> Result<Option<Versioned<OperatorRecord>>, Error> {
        let id: Option<Versioned<OperatorId>> =
            self.find(&layout::operator_email(email), None).await?;
        match id {
            Some(id) => self.find(&layout::operator(id.value), None).await,
            None => Ok(None),
        }
    }

    /// All operators, in the order in which they were made.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn operators(&self, request: &PageRequest) -> Result<Listing<OperatorRecord>, Error> {
        self.list(layout::OPERATORS, "", request, |row| decoded(row).map(Some)).await
    }

    /// Changes what may be written of an operator, by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// As for making one, [`Error::NotFound`] and [`Error::PreconditionFailed`].
    pub async fn patch_operator(
        &self,
        caller: &Caller,
        id: OperatorId,
        patch: &Value,
        precondition: &Precondition,
    ) -> Result<Versioned<OperatorRecord>, Error> {
        let change = |old: &OperatorRecord| {
            Ok(OperatorRecord { spec: merge::patched(&old.spec, patch)?, ..old.clone() })
        };
        self.run(caller, &Change { caller, id, action: "operator.update", precondition, change })
            .await
    }

    /// Replaces an operator's password, and voids its sessions. Hashing is slow: it is done by the
    /// caller, where it does not hold others up.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] if the operator may do more than the caller.
    pub async fn set_operator_password(
        &self,
        caller: &Caller,
        id: OperatorId,
        password: PasswordHash,
    ) -> Result<Versioned<OperatorRecord>, Error> {
        let precondition = &Precondition::None;
        let change = |old: &OperatorRecord| {
            let (password, generation) = (Some(password.clone()), old.generation + 1);
            Ok(OperatorRecord { password, generation, ..old.clone() })
        };
        self.run(caller, &Change { caller, id, action: "operator.password", precondition, change })
            .await
    }

    /// Hashes a password with a fresh salt. Takes tens of milliseconds of a processor.
    #[must_use]
    pub fn hashed(&self, password: &Password) -> PasswordHash {
        PasswordHash::new(password, &self.random_bytes())
    }

    /// Removes an operator. Its tokens and sessions are void from then on.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`]; [`Error::Forbidden`] if the operator may do
    /// more than the caller.
    pub async fn delete_operator(
        &self,
        caller: &Caller,
        id: OperatorId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Delete { caller, id, precondition }).await.map(drop)
    }
}

struct Create<'a> {
    caller: &'a Caller,
    spec: OperatorSpec,
}

impl Operation for Create<'_> {
    type Output = OperatorRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<OperatorRecord>, Error> {
        let spec = self.spec.clone();
        spec.check()?;
        self.caller.principal.can_grant(&spec.permissions())?;
        let now = tenancy.now();
        let id = OperatorId::from_parts(now.unix_ms(), tenancy.identifiers.random());
        let email = layout::operator_email(&spec.email);
        let taken = Error::EmailTaken(spec.email.clone());
        let record = OperatorRecord {
            id,
            spec,
            password: None,
            generation: 0,
            created_at: now,
            updated_at: now,
        };
        let json = encoded("operator", &record)?;
        let key = layout::operator(id);
        Ok(Draft::about("operator.create", key.clone(), None, record)
            .shown_after()?
            .put(key, json)
            .claim(email, encoded("id", &id)?, taken))
    }
}

struct Change<'a, F> {
    caller: &'a Caller,
    id: OperatorId,
    action: &'static str,
    precondition: &'a Precondition,
    change: F,
}

impl<F> Operation for Change<'_, F>
where
    F: Fn(&OperatorRecord) -> Result<OperatorRecord, Error> + Sync,
{
    type Output = OperatorRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<OperatorRecord>, Error> {
        let current = tenancy.operator(self.id).await?;
        self.precondition.check(current.revision)?;
        let old = current.value;
        let record = OperatorRecord { updated_at: tenancy.now(), ..(self.change)(&old)? };
        record.spec.check()?;
        self.caller.principal.can_grant(&old.spec.permissions())?;
        self.caller.principal.can_grant(&record.spec.permissions())?;
        let (key, json) = (layout::operator(self.id), encoded("operator", &record)?);
        let email = record.spec.email.clone();
        let mut draft = Draft::about(self.action, key.clone(), None, record)
            .before(&old)?
            .shown_after()?
            .unchanged(key.clone(), current.revision)
            .put(key, json);
        if email != old.spec.email {
            let taken = Error::EmailTaken(email.clone());
            draft = draft
                .claim(layout::operator_email(&email), encoded("id", &self.id)?, taken)
                .delete(layout::operator_email(&old.spec.email));
        }
        Ok(draft)
    }
}

struct Delete<'a> {
    caller: &'a Caller,
    id: OperatorId,
    precondition: &'a Precondition,
}

impl Operation for Delete<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let current = tenancy.operator(self.id).await?;
        self.precondition.check(current.revision)?;
        self.caller.principal.can_grant(&current.value.spec.permissions())?;
        let key = layout::operator(self.id);
        let draft = Draft::about("operator.delete", key.clone(), None, ())
            .before(&current.value)?
            .unchanged(key.clone(), current.revision)
            .delete(key)
            .delete(layout::operator_email(&current.value.spec.email));
        tenancy.without_tokens(draft, self.id).await
    }
}
