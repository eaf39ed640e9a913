//! Operations that are looked at and not done.
//!
//! A caller can ask for a rehearsal of any operation. It is drafted as ever, and everything that its commit
//! would check is checked against the store as it is now, so it is refused for the same reasons and answered
//! in the same form; then the draft is dropped. No row comes of it: no audit entry, no letter, nothing
//! due, no answer under an idempotency key. Because [`Tenancy::run`] is the only way into a commit, an operation
//! cannot forget this.
//!
//! Secrets that were drawn for it open nothing. They are left out of the answer as they are left out of
//! the answers that are kept, so that nobody takes one for real.

use std::sync::Arc;

use tenantry_store::{Check, CommitError, ReadError, Revision, Store};

use crate::{
    Caller, Error, StoreFault, Tenancy, Versioned,
    draft::{Draft, Operation, unencodable},
    idempotency::Answer,
    tenancy::MAX_ATTEMPTS,
};

impl Tenancy {
    /// What [`Tenancy::run`] would answer now. The revision is that of the store.
    pub(crate) async fn rehearse<O: Operation>(
        &self,
        caller: &Caller,
        operation: &O,
    ) -> Result<Versioned<O::Output>, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let (_, draft) = self.drafted(caller, operation).await?;
            draft.batch.validate().map_err(CommitError::Invalid).map_err(StoreFault::from)?;
            match self.failing(&draft).await? {
                None => {
                    let revision = self.store.status().await.head;
                    return Ok(Versioned { value: without_secrets(&draft.value)?, revision });
                }
                Some(check) => {
                    if let Some(error) = draft.meaning(check.subject()) {
                        return Err(error);
                    }
                }
            }
        }
        Err(Error::ConcurrentChange)
    }

    /// The first check of a draft that does not hold.
    async fn failing<'d, T>(&self, draft: &'d Draft<T>) -> Result<Option<&'d Check>, Error> {
        for check in &draft.batch.checks {
            if !holds(&self.store, check).await? {
                return Ok(Some(check));
            }
        }
        Ok(None)
    }
}

async fn holds(store: &Arc<dyn Store>, check: &Check) -> Result<bool, ReadError> {
    match check {
        Check::Unchanged { key, mod_rev } => {
            let (_, row) = store.get(key, None).await?;
            Ok(row.map_or(Revision::ZERO, |row| row.mod_rev) == *mod_rev)
        }
        Check::NoneUnder { prefix } => Ok(store.scan(prefix, None, 1).await?.rows.is_empty()),
    }
}

fn without_secrets<T: Answer>(answer: &T) -> Result<T, Error> {
    let kept = answer.kept().map_err(|_| unencodable())?;
    serde_json::from_value(kept).map_err(|_| unencodable())
}
