//! Sessions of operators: what a console holds after a log-in.
//!
//! A session ends when it has not been used for a while, when its life is over, when it is ended, when
//! the operator is disabled or removed, and when the operator's password changes.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use tenantry_credentials::{access_token::AccessSecret, password::PasswordHash};
use tenantry_model::{Email, KeyDigest, OperatorId, Permissions, SessionId, Timestamp};
use tenantry_store::Batch;

use crate::idempotency::Answer;
use crate::{
    Caller, Credential, Error, Principal, Tenancy, Versioned,
    draft::{Draft, Operation, encoded},
    due::{Due, DueKind},
    layout,
};

/// How often the note of the last use is written at most.
const USE_COARSENESS: Duration = Duration::from_secs(60);

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLife {
    /// Without being used.
    pub idle: Duration,
    /// In all.
    pub absolute: Duration,
}

impl Default for SessionLife {
    fn default() -> Self {
        let (idle, absolute) = (Duration::from_secs(30 * 60), Duration::from_secs(12 * 60 * 60));
        Self { idle, absolute }
    }
}

/// A session; its secret is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Never changes, and is not the secret.
    pub id: SessionId,
    /// Whose it is.
    pub operator: OperatorId,
    /// Of which generation of the operator it is.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to a minute.
    pub used_at: Timestamp,
    /// When its life is over.
    pub expires_at: Timestamp,
}

/// A session that was just made, with its secret.
#[derive(Serialize, Deserialize)]
pub struct CreatedSession {
    /// What is stored.
    pub record: SessionRecord,
    /// What is not; none where the request was sent before, and was answered with the secret then.
    #[serde(skip)]
    pub secret: Option<AccessSecret>,
}

impl Answer for CreatedSession {}

impl fmt::Debug for CreatedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

impl Tenancy {
    /// The operator who may log in with this address, and the hash to check its password with.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn log_in_with(
        &self,
        email: &Email,
    ) -> Result<Option<(OperatorId, PasswordHash)>, Error> {
        let operator = self.operator_with(email).await?.map(|found| found.value);
        let operator = operator.filter(|operator| !operator.spec.disabled);
        Ok(operator.and_then(|operator| Some((operator.id, operator.password?))))
    }

    /// Makes a session of an operator who has just proven to be that one, by this password.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the operator or the password is another one by now.
    pub async fn create_session(
        &self,
        caller: &Caller,
        operator: OperatorId,
        proven_by: &PasswordHash,
    ) -> Result<Versioned<CreatedSession>, Error> {
        let session = SessionId::from_parts(self.now().unix_ms(), self.identifiers.random());
        let principal = Principal::Operator {
            operator,
            credential: Credential::Session(session),
            permissions: Permissions::new(),
        };
        let caller = Caller { principal, ..caller.clone() };
        self.run(&caller, &Create { session, operator, proven_by }).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it has ended already.
    pub async fn end_session(&self, caller: &Caller, digest: KeyDigest) -> Result<(), Error> {
        self.run(caller, &End { digest }).await.map(drop)
    }

    pub(crate) async fn session_holder(
        &self,
        digest: &KeyDigest,
    ) -> Result<Option<Principal>, Error> {
        let key = layout::session(digest);
        let found: Option<Versioned<SessionRecord>> = self.find(&key, None).await?;
        let Some(Versioned { value: session, revision }) = found else { return Ok(None) };
        let now = self.now();
        if session.ends_at(&self.terms.sessions) <= now {
            return Ok(None);
        }
        let operator = match self.operator(session.operator).await {
            Ok(operator) => operator.value,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if session.generation != operator.generation {
            return Ok(None);
        }
        if session.used_at.after(USE_COARSENESS) <= now {
            let used = SessionRecord { used_at: now, ..session.clone() };
            // Ended meanwhile, it stays ended; not noted, it is noted the next time.
            let batch = Batch::new().unchanged(key.clone(), revision);
            let _ = self.store.commit(batch.put(key, encoded("session", &used)?)).await;
        }
        self.operator_principal(operator.id, Credential::Session(session.id), None).await
    }
}

impl SessionRecord {
    /// When it ends, unless it is used before.
    #[must_use]
    pub fn ends_at(&self, life: &SessionLife) -> Timestamp {
        self.used_at.after(life.idle).min(self.expires_at)
    }
}

impl Tenancy {
    /// Removes a session that has ended, or looks again when it will have.
    pub(crate) async fn sweep_session(
        &self,
        caller: &Caller,
        digest: KeyDigest,
        due: &Due,
    ) -> Result<(), Error> {
        self.run(caller, &Sweep { digest, due }).await.map(drop)
    }
}

struct Sweep<'a> {
    digest: KeyDigest,
    due: &'a Due,
}

impl Operation for Sweep<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let draft = Draft::quiet(()).not_due(self.due);
        let key = layout::session(&self.digest);
        let found: Option<Versioned<SessionRecord>> = tenancy.find(&key, None).await?;
        let Some(session) = found else { return Ok(draft) };
        let draft = draft.unchanged(key.clone(), session.revision);
        let ends_at = session.value.ends_at(&tenancy.terms.sessions);
        if ends_at <= tenancy.now() {
            Ok(draft.delete(key))
        } else {
            Ok(draft.due(&Due::new(ends_at, DueKind::Session, self.digest)))
        }
    }
}

struct Create<'a> {
    session: SessionId,
    operator: OperatorId,
    proven_by: &'a PasswordHash,
}

impl Operation for Create<'_> {
    type Output = CreatedSession;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CreatedSession>, Error> {
        let operator = tenancy.operator(self.operator).await?;
        if operator.value.spec.disabled || operator.value.password.as_ref() != Some(self.proven_by)
        {
            return Err(Error::not_found("operator", self.operator));
        }
        let now = tenancy.now();
        let secret = AccessSecret::session(&tenancy.random_bytes());
        let record = SessionRecord {
            id: self.session,
            operator: self.operator,
            generation: operator.value.generation,
            created_at: now,
            used_at: now,
            expires_at: now.after(tenancy.terms.sessions.absolute),
        };
        let (secret_digest, ends_at) = (secret.digest(), record.ends_at(&tenancy.terms.sessions));
        let (key, json) = (layout::session(&secret_digest), encoded("session", &record)?);
        let holder = layout::operator(self.operator);
        Ok(Draft::about("session.create", holder.clone(), None, record)
            .shown_after()?
            .answering(|record| CreatedSession { record, secret: Some(secret) })
            .unchanged(holder, operator.revision)
            .absent(key.clone())
            .due(&Due::new(ends_at, DueKind::Session, secret_digest))
            .put(key, json))
    }
}

struct End {
    digest: KeyDigest,
}

impl Operation for End {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let key = layout::session(&self.digest);
        let found: Option<Versioned<SessionRecord>> = tenancy.find(&key, None).await?;
        let session = found.ok_or_else(|| Error::not_found("session", "current"))?;
        let holder = layout::operator(session.value.operator);
        Ok(Draft::about("session.end", holder, None, ())
            .before(&session.value)?
            .unchanged(key.clone(), session.revision)
            .delete(key))
    }
}
