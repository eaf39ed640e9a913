//! Changes that a client has named, so that asking twice does not make them twice.
//!
//! The answer to a named change is a row of the same commit as its effect, so it is there exactly if the
//! effect is, whatever ends when. Whoever asks again is answered from the row, at the revision that the
//! effect was made at. What failed has left no row and can be tried again under its name. Rows are kept
//! for a day and are removed as due work; those of a tenant go with it when it is purged.
//!
//! A row holds no secrets: what is shown once is not shown again to somebody who repeats the request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tenantry_model::{TenantId, Timestamp};
use tenantry_store::{MAX_BATCH_BYTES, Revision};

use crate::{
    Caller, DeletionCertificate, DomainRecord, Error, Tenancy, TenantRecord, Versioned,
    draft::{Draft, Operation, unencodable},
    due::{Due, DueKind},
    layout,
    tenancy::damaged,
};

/// For how long a change is known by its name.
pub const KEPT: Duration = Duration::from_secs(86_400);

/// The name that a client has given to a change, and what the change is.
#[derive(Debug, Clone)]
pub struct Idempotency {
    name: String,
    fingerprint: String,
    is_replayed: Arc<AtomicBool>,
}

impl Idempotency {
    /// Of whoever asks, the name that they have chosen, and the parts of the request that make it the
    /// same request.
    #[must_use]
    pub fn new(principal: &str, key: &str, request: &[&[u8]]) -> Self {
        Self {
            name: digest(&[principal.as_bytes(), key.as_bytes()]),
            fingerprint: digest(request),
            is_replayed: Arc::default(),
        }
    }

    /// The name as it is stored: nobody else's, and not the client's own text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the change had been made before, and was answered from what was kept of it.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.is_replayed.load(Ordering::Relaxed)
    }
}

impl PartialEq for Idempotency {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.fingerprint) == (&other.name, &other.fingerprint)
    }
}

impl Eq for Idempotency {}

/// Each part with its length, so that no two lists of parts look alike.
fn digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an operation answers, and what is kept of it.
pub(crate) trait Answer: Serialize + DeserializeOwned + Send {
    /// The answer without its secrets, in a form that can be read again.
    fn kept(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}

impl Answer for () {}
impl Answer for TenantRecord {}
impl Answer for DomainRecord {}
impl Answer for Option<DeletionCertificate> {}

/// A row.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    expires_at: Timestamp,
    /// Whom the change concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    answer: Value,
}

/// What is known of a named change.
pub(crate) enum Known<T> {
    /// It was made.
    Answered(Versioned<T>),
    /// It was not, or that is to be forgotten.
    Not(Outdated),
}

/// What is there under a name that stands for nothing now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outdated {
    /// The revision of the row; zero, if there is none.
    revision: Revision,
    /// Whom the change concerned.
    tenant: Option<TenantId>,
}

impl Tenancy {
    /// What is known of the change that the caller has named, if it has a name.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`] if the name is that of another change.
    pub(crate) async fn known<T: Answer>(
        &self,
        caller: &Caller,
    ) -> Result<Option<Known<T>>, Error> {
        let Some(idempotency) = &caller.idempotency else { return Ok(None) };
        let key = layout::idempotency(&idempotency.name);
        let found: Option<Versioned<Kept>> = self.find(&key, None).await?;
        let Some(Versioned { value: kept, revision }) = found else {
            return Ok(Some(Known::Not(Outdated::default())));
        };
        if kept.expires_at <= self.now() {
            return Ok(Some(Known::Not(Outdated { revision, tenant: kept.tenant })));
        }
        if kept.fingerprint != idempotency.fingerprint {
            return Err(Error::IdempotencyKeyReused);
        }
        let answer = serde_json::from_value(kept.answer).map_err(|_| damaged(key.as_bytes()))?;
        idempotency.is_replayed.store(true, Ordering::Relaxed);
        Ok(Some(Known::Answered(Versioned { value: answer, revision })))
    }

    /// Adds to a draft what is kept of it under its name.
    pub(crate) fn named_by<T: Answer>(
        &self,
        caller: &Caller,
        draft: Draft<T>,
        outdated: Outdated,
    ) -> Result<Draft<T>, Error> {
        let Some(idempotency) = caller.idempotency.as_ref().filter(|_| draft.is_last) else {
            return Ok(draft);
        };
        let answer = draft.value.kept().map_err(|_| unencodable())?;
        let tenant = draft.entry.as_ref().and_then(|entry| entry.tenant).filter(|_| draft.is_kept);
        let expires_at = self.now().after(KEPT);
        let fingerprint = idempotency.fingerprint.clone();
        let kept = Kept { fingerprint, expires_at, tenant, answer };
        let json = serde_json::to_vec(&kept).map_err(|_| unencodable())?;
        let (bytes, limit) = (json.len(), MAX_BATCH_BYTES.saturating_sub(draft.batch.size()));
        // Room for the keys of these rows, which are short.
        if bytes.saturating_add(1024) > limit {
            return Err(Error::TooLarge { kind: "answer under an Idempotency-Key", bytes, limit });
        }
        let name = &idempotency.name;
        let mut draft = draft.unchanged(layout::idempotency(name), outdated.revision);
        draft = draft.put(layout::idempotency(name), json);
        if let Some(other) = outdated.tenant.filter(|other| Some(*other) != tenant) {
            draft = draft.delete(layout::idempotency_of(other, name));
        }
        if let Some(tenant) = tenant {
            draft = draft.put(layout::idempotency_of(tenant, name), Vec::new());
        }
        Ok(draft.due(&Due::new(expires_at, DueKind::Idempotency, name)))
    }

    /// The time has come to forget a named change, unless its name was given to another one since.
    pub(crate) async fn forget_named(&self, caller: &Caller, due: &Due) -> Result<(), Error> {
        self.run(caller, &Forget { due }).await.map(drop)
    }
}

struct Forget<'a> {
    due: &'a Due,
}

impl Operation for Forget<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let key = layout::idempotency(&self.due.id);
        let draft = Draft::quiet(()).not_due(self.due);
        let found: Option<Versioned<Kept>> = tenancy.find(&key, None).await?;
        let Some(found) = found.filter(|found| found.value.expires_at <= self.due.at) else {
            return Ok(draft);
        };
        let draft = draft.unchanged(key.clone(), found.revision).delete(key);
        Ok(match found.value.tenant {
            Some(tenant) => draft.delete(layout::idempotency_of(tenant, &self.due.id)),
            None => draft,
        })
    }
}
