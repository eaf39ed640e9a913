//! One operation on its way into one commit.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tenantry_model::{ResourceKind, TenantId};
use tenantry_store::{Batch, Revision};

use crate::{
    Error, StoreFault,
    idempotency::Answer,
    layout,
    record::{MAX_RECORD_BYTES, masked},
};

/// Audit entries show records up to this size, both forms together.
pub(crate) const MAX_SHOWN_BYTES: usize = 256 * 1024;

/// What an operation wants to commit, and what it answers if it can.
pub(crate) struct Draft<T> {
    pub(crate) batch: Batch,
    /// None for what only keeps the house: rows that say nothing anybody would ask about later.
    pub(crate) entry: Option<Entry>,
    pub(crate) value: T,
    /// Whether this is all there is to do, or more commits follow before there is an answer.
    pub(crate) is_last: bool,
    /// Whether what it concerns is still there afterwards.
    pub(crate) is_kept: bool,
    /// What a failed check of a key means, where it means more than "look again".
    taken: Vec<(Bytes, Error)>,
}

/// What the audit log will say.
pub(crate) struct Entry {
    pub(crate) action: &'static str,
    pub(crate) target: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) before: Value,
    pub(crate) after: Value,
    /// The revision that is gone back to.
    pub(crate) rollback_to: Option<Revision>,
}

/// Something that is decided from what the store holds, and decided again if that has changed.
pub(crate) trait Operation: Sync {
    type Output: Answer;

    /// What to commit, given what the store holds now.
    fn draft(
        &self,
        tenancy: &crate::Tenancy,
    ) -> impl Future<Output = Result<Draft<Self::Output>, Error>> + Send;
}

impl<T> Draft<T> {
    pub(crate) fn new(
        action: &'static str,
        (kind, id): (ResourceKind, &str),
        tenant: Option<TenantId>,
        value: T,
    ) -> Self {
        Self::about(action, layout::record(kind, id), tenant, value)
    }

    /// About something that is no resource: `target` is the key of its record.
    pub(crate) fn about(
        action: &'static str,
        target: String,
        tenant: Option<TenantId>,
        value: T,
    ) -> Self {
        let (before, after, rollback_to) = (Value::Null, Value::Null, None);
        let entry = Entry { action, target, tenant, before, after, rollback_to };
        Self { entry: Some(entry), ..Self::quiet(value) }
    }

    /// The audit entry is about this, which was not known before.
    pub(crate) fn retarget(&mut self, target: String) {
        if let Some(entry) = &mut self.entry {
            entry.target = target;
        }
    }

    /// Without an audit entry.
    pub(crate) fn quiet(value: T) -> Self {
        let (batch, taken) = (Batch::new(), Vec::new());
        Self { batch, entry: None, value, is_last: true, is_kept: true, taken }
    }

    /// More commits follow before there is an answer.
    pub(crate) fn more_follows(self) -> Self {
        Self { is_last: false, ..self }
    }

    /// Nothing stays of what it concerns.
    pub(crate) fn leaving_nothing(self) -> Self {
        Self { is_kept: false, ..self }
    }

    /// A row that was read, and must still be as it was.
    pub(crate) fn unchanged(mut self, key: String, revision: Revision) -> Self {
        self.batch = self.batch.unchanged(key, revision);
        self
    }

    /// A row that must not exist; if it does, the operation is decided anew.
    pub(crate) fn absent(mut self, key: String) -> Self {
        self.batch = self.batch.absent(key);
        self
    }

    /// The same draft with another answer.
    pub(crate) fn answering<U>(self, answer: impl FnOnce(T) -> U) -> Draft<U> {
        let Self { batch, entry, value, is_last, is_kept, taken } = self;
        Draft { batch, entry, value: answer(value), is_last, is_kept, taken }
    }

    /// A row that must not exist yet; if it does, this is the error.
    pub(crate) fn claim(mut self, key: String, value: impl Into<Bytes>, taken: Error) -> Self {
        self.taken.push((key.clone().into(), taken));
        self.batch = self.batch.absent(key.clone()).put(key, value);
        self
    }

    /// If the check of this key fails, this is the error.
    pub(crate) fn meaning_of(mut self, key: String, error: Error) -> Self {
        self.taken.push((key.into(), error));
        self
    }

    /// No row may have such a key; if one does, this is the error.
    pub(crate) fn none_under(mut self, prefix: String, used: Error) -> Self {
        self.taken.push((prefix.clone().into(), used));
        self.batch = self.batch.none_under(prefix);
        self
    }

    /// No row may have such a key; if one does, the operation is decided anew.
    pub(crate) fn empty(mut self, prefix: String) -> Self {
        self.batch = self.batch.none_under(prefix);
        self
    }

    pub(crate) fn put(mut self, key: String, value: impl Into<Bytes>) -> Self {
        self.batch = self.batch.put(key, value);
        self
    }

    /// A row that goes. It can be said twice: two things that go may have led to one row.
    pub(crate) fn delete(mut self, key: String) -> Self {
        if !self.batch.deletes(key.as_bytes()) {
            self.batch = self.batch.delete(key);
        }
        self
    }

    /// The audit entry shows this as the record before.
    pub(crate) fn before(mut self, record: &impl Serialize) -> Result<Self, Error> {
        if let Some(entry) = &mut self.entry {
            entry.before = shown(record)?;
        }
        Ok(self)
    }

    /// The audit entry shows the value itself as the record after.
    pub(crate) fn shown_after(mut self) -> Result<Self, Error>
    where
        T: Serialize,
    {
        if let Some(entry) = &mut self.entry {
            entry.after = shown(&self.value)?;
        }
        Ok(self)
    }

    /// The audit entry says this about what was done, in place of a record after.
    pub(crate) fn saying(mut self, said: Value) -> Self {
        if let Some(entry) = &mut self.entry {
            entry.after = said;
        }
        self
    }

    /// What the failed check of this key means; none if the operation is to be decided anew.
    pub(crate) fn meaning(&self, key: &[u8]) -> Option<Error> {
        self.taken.iter().find(|(taken, _)| taken == key).map(|(_, error)| error.clone())
    }
}

/// A record as it is stored.
pub(crate) fn encoded(kind: &'static str, record: &impl Serialize) -> Result<Vec<u8>, Error> {
    let json = serde_json::to_vec(record).map_err(|_| unencodable())?;
    if json.len() > MAX_RECORD_BYTES {
        return Err(Error::TooLarge { kind, bytes: json.len(), limit: MAX_RECORD_BYTES });
    }
    Ok(json)
}

fn shown(record: &impl Serialize) -> Result<Value, Error> {
    let shown = masked(record).map_err(|_| unencodable())?;
    let bytes = shown.to_string().len();
    if bytes > MAX_SHOWN_BYTES / 2 {
        return Ok(serde_json::json!({ "omitted": format!("{bytes} bytes") }));
    }
    Ok(shown)
}

/// No value of these types makes the encoder fail.
pub(crate) fn unencodable() -> Error {
    StoreFault::Damaged { key: "(not yet stored)".to_owned() }.into()
}
