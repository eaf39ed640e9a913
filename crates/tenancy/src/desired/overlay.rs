//! A store that holds what is to be committed, over one that does not know of it yet.
//!
//! Operations are drafted against it one after the other, so that each sees what those before it will
//! have done. What they check and write is gathered in a [`Chunk`], which becomes one commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tenantry_model::{Resource, ResourceRef};
use tenantry_store::{
    Batch, Check, CommitError, Cursor, Op, Page, ReadError, Revision, Row, Status, Store,
    WatchStream,
};

use crate::{Error, deciding::read, draft::Draft, layout, projection};

/// The revision of a row that is not committed yet.
const STAGED: Revision = Revision::new(u64::MAX);

/// What was staged, over a store.
pub(super) struct Overlay {
    base: Arc<dyn Store>,
    written: Mutex<BTreeMap<Bytes, Option<Bytes>>>,
    /// Rows of the store below, as what was staged found them.
    found: Mutex<BTreeMap<Bytes, Revision>>,
}

/// A row of a resource that was staged.
pub(super) struct StagedRecord {
    pub(super) resource: ResourceRef,
    /// The revision that wrote the row it takes the place of, as far as that was looked at; zero, if there was none.
    pub(super) found: Option<Revision>,
    /// As it will be written; nothing, where it will be gone.
    pub(super) record: Option<Bytes>,
}

impl Overlay {
    pub(super) fn new(base: Arc<dyn Store>) -> Self {
        Self { base, written: Mutex::default(), found: Mutex::default() }
    }

    /// Stages what a draft writes, if all that it checks holds.
    pub(super) async fn stage<T>(&self, draft: &Draft<T>) -> Result<(), Error> {
        for check in &draft.batch.checks {
            if !self.holds(check).await? {
                let meaning = draft.meaning(check.subject());
                return Err(meaning.unwrap_or(Error::ConcurrentChange));
            }
            if let Check::Unchanged { key, mod_rev } = check
                && *mod_rev != STAGED
            {
                self.found.lock().entry(key.clone()).or_insert(*mod_rev);
            }
        }
        let mut written = self.written.lock();
        for op in &draft.batch.ops {
            let (key, value) = parts(op);
            // Nothing that is drafted reads what the log will say, and that is most of the bytes.
            if !layout::is_log(&key) {
                written.insert(key, value);
            }
        }
        Ok(())
    }

    /// What is staged of the rows of resources.
    pub(super) fn records(&self) -> Vec<StagedRecord> {
        let (written, found) = (self.written.lock(), self.found.lock());
        let records = written.iter().filter_map(|(key, record)| {
            let (kind, id) = projection::resource_key(key)?;
            let resource = ResourceRef { kind, id: id.to_owned() };
            Some(StagedRecord { resource, found: found.get(key).copied(), record: record.clone() })
        });
        records.collect()
    }

    /// What is staged of resources: each as it will be, or nothing where it will be gone.
    pub(super) fn resources(&self) -> Result<Vec<(ResourceRef, Option<Resource>)>, Error> {
        let written = self.written.lock();
        let resources = written.iter().filter_map(|(key, value)| {
            let (kind, id) = projection::resource_key(key)?;
            let reference = ResourceRef { kind, id: id.to_owned() };
            let Some(value) = value else { return Some(Ok((reference, None))) };
            let row = Row { key: key.clone(), value: value.clone(), mod_rev: STAGED };
            Some(read(&row).map(|(reference, resource)| (reference, Some(resource))))
        });
        resources.collect()
    }

    async fn holds(&self, check: &Check) -> Result<bool, Error> {
        match check {
            Check::Unchanged { key, mod_rev } => {
                let (_, row) = self.get(key, None).await?;
                Ok(row.map_or(Revision::ZERO, |row| row.mod_rev) == *mod_rev)
            }
            Check::NoneUnder { prefix } => self.is_empty_under(prefix).await,
        }
    }

    /// Whether no row has such a key, once what is staged is done.
    async fn is_empty_under(&self, prefix: &Bytes) -> Result<bool, Error> {
        let mut going = BTreeSet::new();
        for (key, value) in self.written.lock().range(prefix.clone()..) {
            if !key.starts_with(prefix) {
                break;
            }
            if value.is_some() {
                return Ok(false);
            }
            going.insert(key.clone());
        }
        let mut cursor = None;
        loop {
            let page = self.base.scan(prefix, cursor, going.len() + 1).await?;
            if page.rows.iter().any(|row| !going.contains(&row.key)) {
                return Ok(false);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(true);
            }
        }
    }
}

#[async_trait]
impl Store for Overlay {
    async fn get(
        &self,
        key: &[u8],
        at: Option<Revision>,
    ) -> Result<(Revision, Option<Row>), ReadError> {
        let staged = self.written.lock().get(key).cloned();
        let Some(value) = staged else { return self.base.get(key, at).await };
        let at = match at {
            Some(at) => at,
            None => self.base.status().await.head,
        };
        let key = Bytes::copy_from_slice(key);
        Ok((at, value.map(|value| Row { key, value, mod_rev: STAGED })))
    }

    /// What is staged is not among the rows: no operation that is staged walks any.
    async fn scan(
        &self,
        prefix: &[u8],
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, ReadError> {
        self.base.scan(prefix, cursor, limit).await
    }

    /// Nothing is committed here.
    async fn commit(&self, _batch: Batch) -> Result<Revision, CommitError> {
        Err(CommitError::Fatal)
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> WatchStream {
        self.base.watch(prefix, from)
    }

    async fn compact(&self, _upto: Revision) -> Result<(), ReadError> {
        Err(ReadError::Fatal)
    }

    async fn status(&self) -> Status {
        self.base.status().await
    }
}

fn parts(op: &Op) -> (Bytes, Option<Bytes>) {
    match op {
        Op::Put { key, value } => (key.clone(), Some(value.clone())),
        Op::Delete { key } => (key.clone(), None),
    }
}

/// Some operations that are committed as one.
#[derive(Clone, Default)]
pub(super) struct Chunk {
    checks: BTreeMap<Bytes, Revision>,
    empty: BTreeSet<Bytes>,
    ops: BTreeMap<Bytes, Option<Bytes>>,
    /// The key of an audit entry in it: where that is, the chunk was committed.
    pub(super) proof: Option<String>,
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// With one more operation; none if that does not fit one commit. What must be empty is looked at before
    /// anything of a commit is done, so it cannot be emptied by the same one.
    pub(super) fn with(&self, batch: &Batch) -> Option<Self> {
        let mut grown = self.clone();
        for check in &batch.checks {
            match check {
                // What this chunk writes itself was checked when it was staged.
                Check::Unchanged { key, .. } if self.ops.contains_key(key) => {}
                Check::Unchanged { key, mod_rev } => {
                    grown.checks.insert(key.clone(), *mod_rev);
                }
                Check::NoneUnder { prefix } => {
                    let mut under = self.ops.range(prefix.clone()..);
                    if under.next().is_some_and(|(key, _)| key.starts_with(prefix)) {
                        return None;
                    }
                    grown.empty.insert(prefix.clone());
                }
            }
        }
        grown.ops.extend(batch.ops.iter().map(parts));
        grown.batch().validate().is_ok().then_some(grown)
    }

    pub(super) fn batch(&self) -> Batch {
        let checks = self.checks.iter();
        let batch = checks
            .fold(Batch::new(), |batch, (key, revision)| batch.unchanged(key.clone(), *revision));
        let batch = self.empty.iter().cloned().fold(batch, Batch::none_under);
        self.ops.iter().fold(batch, |batch, (key, value)| match value {
            Some(value) => batch.put(key.clone(), value.clone()),
            None => batch.delete(key.clone()),
        })
    }
}
