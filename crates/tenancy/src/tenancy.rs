//! The platform's state, and how every operation gets into it.

use std::sync::Arc;

use rand::CryptoRng;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tenantry_credentials::sealing::MasterKeys;
use tenantry_model::{ResourceKind, TenantId, Timestamp};
use tenantry_store::{CommitError, Revision, Row, Store};
use ulid::Ulid;

use crate::{
    Caller, Clock, Error, StoreFault, TenantRecord, TenantRef, Terms, Versioned, audit,
    context::Identifiers,
    directory::Tenants,
    draft::{Draft, Operation},
    idempotency::{Known, Outdated},
    layout,
    settings::Settings,
    tenant::is_reserved,
    turns::Turns,
};

/// How often an operation is decided anew because what it had read was changed by others.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// Every operation of the platform. The other modules of this crate add them, each for its kind.
pub struct Tenancy {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) identifiers: Arc<Identifiers>,
    pub(crate) master_keys: Arc<MasterKeys>,
    pub(crate) terms: Terms,
    pub(crate) invitation_url: String,
    pub(crate) settings: Arc<Settings>,
    pub(crate) turns: Arc<Turns>,
    meetings: Arc<Turns>,
    pub(crate) tenants: Arc<Tenants>,
    clock: Arc<dyn Clock>,
}

impl Tenancy {
    /// On a store, with a clock and a cryptographically secure source of randomness.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: Box<dyn CryptoRng + Send>,
    ) -> Self {
        let (identifiers, master_keys) =
            (Arc::new(Identifiers::new(random)), Arc::new(MasterKeys::none()));
        Self {
            store,
            identifiers,
            master_keys,
            terms: Terms::default(),
            invitation_url: "http://127.0.0.1:7070/invitation".to_owned(),
            settings: Arc::new(Settings::new()),
            turns: Arc::new(Turns::new()),
            meetings: Arc::new(Turns::new()),
            tenants: Arc::default(),
            clock,
        }
    }

    /// With other terms than the usual ones.
    #[must_use]
    pub fn with_terms(self, terms: Terms) -> Self {
        Self { terms, ..self }
    }

    /// With master keys to seal secrets under. Without any, secrets that must be sealed are refused.
    #[must_use]
    pub fn with_master_keys(self, master_keys: MasterKeys) -> Self {
        Self { master_keys: Arc::new(master_keys), ..self }
    }

    /// The same on another store.
    pub(crate) fn on(&self, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            identifiers: Arc::clone(&self.identifiers),
            master_keys: Arc::clone(&self.master_keys),
            terms: self.terms,
            invitation_url: self.invitation_url.clone(),
            settings: Arc::clone(&self.settings),
            turns: Arc::clone(&self.turns),
            meetings: Arc::clone(&self.meetings),
            // What another store holds is for it to say.
            tenants: Arc::default(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// With letters of invitation that lead here; the token follows as a fragment, which no server sees.
    #[must_use]
    pub fn with_invitation_url(self, invitation_url: String) -> Self {
        Self { invitation_url, ..self }
    }

    /// Random bytes, one by one.
    pub(crate) fn random_byte(&self) -> u8 {
        let [byte] = self.random_bytes();
        byte
    }

    pub(crate) fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.identifiers.fill(&mut bytes);
        bytes
    }

    /// The settings that tenants can have: the JSON Schema of each key.
    #[must_use]
    pub fn setting_schemas(&self) -> Map<String, Value> {
        self.settings.schemas()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Commits an operation together with its audit entry, or finds what a named one was answered. A
    /// rehearsal is answered alike, and commits nothing.
    pub(crate) async fn run<O: Operation>(
        &self,
        caller: &Caller,
        operation: &O,
    ) -> Result<Versioned<O::Output>, Error> {
        if caller.is_rehearsal {
            return self.rehearse(caller, operation).await;
        }
        let refused = match self.attempt(caller, operation).await {
            Err(refused) if caller.idempotency.is_some() => refused,
            outcome => return outcome,
        };
        // It may have been refused for what the same request has just done.
        match self.known(caller).await {
            Ok(Some(Known::Answered(answer))) => Ok(answer),
            _ => Err(refused),
        }
    }

    async fn attempt<O: Operation>(
        &self,
        caller: &Caller,
        operation: &O,
    ) -> Result<Versioned<O::Output>, Error> {
        // Whoever has met others at a row waits for them there: one of many would else lose every time.
        let mut turn = None;
        for _ in 0..MAX_ATTEMPTS {
            let outdated = match self.known(caller).await? {
                Some(Known::Answered(answer)) => return Ok(answer),
                Some(Known::Not(outdated)) => outdated,
                None => Outdated::default(),
            };
            let (id, draft) = self.drafted(caller, operation).await?;
            let mut draft = self.named_by(caller, draft, outdated)?;
            let batch = std::mem::take(&mut draft.batch);
            match self.store.commit(batch).await {
                Ok(revision) => return Ok(Versioned { value: draft.value, revision }),
                Err(CommitError::Conflict { key }) => {
                    if let Some(error) = key.as_ref().and_then(|key| draft.meaning(key)) {
                        return Err(error);
                    }
                    // Never two at once.
                    drop(turn.take());
                    let met =
                        key.as_ref().map(|key| String::from_utf8_lossy(key)).unwrap_or_default();
                    turn = self.meetings.take(&met).await;
                }
                Err(CommitError::Unknown) => return self.settle(draft, &layout::audit(id)).await,
                Err(error) => return Err(StoreFault::from(error).into()),
            }
        }
        Err(Error::ConcurrentChange)
    }

    /// What an operation would commit, with its audit entry and that one's name, if the caller reaches it.
    pub(crate) async fn drafted<O: Operation>(
        &self,
        caller: &Caller,
        operation: &O,
    ) -> Result<(Ulid, Draft<O::Output>), Error> {
        let mut draft = operation.draft(self).await?;
        caller.principal.reaches(draft.entry.as_ref().and_then(|entry| entry.tenant))?;
        self.bounded(caller, &draft.batch).await?;
        let id = self.identifiers.rising(self.now());
        if let Some(entry) = &draft.entry {
            let rows = audit::rows(id, self.now(), caller, entry)?;
            draft = rows.into_iter().fold(draft, |draft, (key, value)| draft.put(key, value));
        }
        Ok((id, draft))
    }

    /// Finds out whether a commit was made: if so, its audit entry is there.
    async fn settle<T>(&self, draft: Draft<T>, key: &str) -> Result<Versioned<T>, Error> {
        match self.store.get(key.as_bytes(), None).await {
            Ok((_, Some(row))) => Ok(Versioned { value: draft.value, revision: row.mod_rev }),
            Ok((_, None)) | Err(_) => Err(StoreFault::Unknown.into()),
        }
    }

    /// The record of a resource, if there is one.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        key: &str,
        at: Option<Revision>,
    ) -> Result<Option<Versioned<T>>, Error> {
        let (_, row) = self.store.get(key.as_bytes(), at).await?;
        row.map(|row| decoded(&row)).transpose()
    }

    /// A tenant, by id or slug.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what reading can end in.
    pub async fn tenant(&self, tenant: &TenantRef) -> Result<Versioned<TenantRecord>, Error> {
        let (id, at) = match tenant {
            TenantRef::Id(id) => (*id, None),
            TenantRef::Slug(slug) => {
                let (at, row) = self.store.get(layout::slug(slug).as_bytes(), None).await?;
                let row = row.filter(|row| !is_reserved(&row.value));
                let row = row.ok_or_else(|| Error::not_found("tenant", slug))?;
                (parsed(&row)?, Some(at))
            }
        };
        let record = self.find(&layout::record(ResourceKind::Tenant, id), at).await?;
        record.ok_or_else(|| Error::not_found("tenant", tenant))
    }
}

/// The record in a row.
pub(crate) fn decoded<T: DeserializeOwned>(row: &Row) -> Result<Versioned<T>, Error> {
    match serde_json::from_slice(&row.value) {
        Ok(value) => Ok(Versioned { value, revision: row.mod_rev }),
        Err(_) => Err(damaged(&row.key)),
    }
}

fn parsed(row: &Row) -> Result<TenantId, Error> {
    let id = std::str::from_utf8(&row.value).ok().and_then(|text| text.parse().ok());
    id.ok_or_else(|| damaged(&row.key))
}

pub(crate) fn damaged(key: &[u8]) -> Error {
    StoreFault::Damaged { key: String::from_utf8_lossy(key).into_owned() }.into()
}
