//! A group of commits while it is decided: checked in order, each against the tree and the commits
//! of the group before it, and collected into one engine batch.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::{Disk, StorageError, store_value};
use super::layout::{self, LOG_SLOT, Stored};
use super::reader;
use crate::{Batch, Change, Check, Op, Revision, Row};

/// One commit, as watchers are told.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) revision: Revision,
    pub(super) changes: Vec<Change>,
}

/// What became of one batch in its group.
pub(super) enum Outcome {
    /// It will stand at this revision once the group is durable.
    Accepted(Revision),
    /// This key or prefix was not as the batch required.
    Conflict(Bytes),
}

/// The last write to a key within the group.
#[derive(Clone, Copy)]
struct Write {
    revision: Revision,
    live: bool,
}

/// Commits decided so far, none of them written yet.
pub(super) struct Stage<'a> {
    disk: &'a Disk,
    published: Revision,
    head: Revision,
    writes: BTreeMap<Bytes, Write>,
    batch: sled::Batch,
    commits: Vec<Arc<Commit>>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(disk: &'a Disk, published: Revision) -> Self {
        Self {
            disk,
            published,
            head: published,
            writes: BTreeMap::new(),
            batch: sled::Batch::default(),
            commits: Vec::new(),
        }
    }

    /// Decides one batch.
    pub(super) fn admit(&mut self, batch: Batch) -> Result<Outcome, StorageError> {
        for check in batch.checks {
            if !self.holds(&check)? {
                return Ok(Outcome::Conflict(check.subject().clone()));
            }
        }
        let revision = self.head.next();
        let mut changes = Vec::with_capacity(batch.ops.len());
        for op in batch.ops {
            if matches!(op, Op::Put { .. }) || self.mod_rev(op.key())? != Revision::ZERO {
                changes.push(change(op, revision));
            }
        }
        if !changes.is_empty() {
            self.apply(Commit { revision, changes });
        }
        Ok(Outcome::Accepted(self.head))
    }

    /// What to write, and what to tell watchers then. Nothing if no batch changed anything.
    pub(super) fn finish(mut self) -> Option<(sled::Batch, Vec<Arc<Commit>>)> {
        if self.commits.is_empty() {
            return None;
        }
        self.batch.insert(layout::HEAD, &self.head.as_u64().to_be_bytes());
        Some((self.batch, self.commits))
    }

    fn holds(&self, check: &Check) -> Result<bool, StorageError> {
        match check {
            Check::Unchanged { key, mod_rev } => Ok(self.mod_rev(key)? == *mod_rev),
            Check::NoneUnder { prefix } => self.is_none_under(prefix),
        }
    }

    /// The revision of the live row of `key`, or zero.
    fn mod_rev(&self, key: &Bytes) -> Result<Revision, StorageError> {
        let write = match self.writes.get(key) {
            Some(write) => Some(*write),
            None => reader::version(self.disk, key, self.published)?
                .map(|version| Write { revision: version.revision, live: version.is_live() }),
        };
        Ok(write.filter(|write| write.live).map_or(Revision::ZERO, |write| write.revision))
    }

    fn is_none_under(&self, prefix: &Bytes) -> Result<bool, StorageError> {
        let written = self.writes.range(prefix.clone()..);
        let mut under = written.take_while(|(key, _)| key.starts_with(prefix));
        if under.any(|(_, write)| write.live) {
            return Ok(false);
        }
        let mut none = true;
        reader::visit(self.disk, prefix, None, self.published, |version| {
            if self.writes.contains_key(&version.key) {
                return Ok(ControlFlow::Continue(()));
            }
            none = false;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(none)
    }

    fn apply(&mut self, commit: Commit) {
        let revision = commit.revision;
        for (slot, change) in (0..LOG_SLOT).zip(&commit.changes) {
            let live = matches!(change, Change::Put(_));
            let stored = match change {
                Change::Put(row) => store_value(&mut self.batch, revision, slot, row.value.clone()),
                Change::Delete(_) => Stored::Tombstone,
            };
            self.batch.insert(layout::row(change.key(), revision), stored.encode());
            self.writes.insert(change.key().clone(), Write { revision, live });
        }
        let entries = commit.changes.iter();
        let log = layout::encode_log(
            entries.map(|change| (change.key().as_ref(), matches!(change, Change::Delete(_)))),
        );
        let stored = store_value(&mut self.batch, revision, LOG_SLOT, log.into());
        self.batch.insert(layout::log(revision), stored.encode());
        self.head = revision;
        self.commits.push(Arc::new(commit));
    }
}

fn change(op: Op, revision: Revision) -> Change {
    match op {
        Op::Put { key, value } => Change::Put(Row { key, value, mod_rev: revision }),
        Op::Delete { key } => Change::Delete(key),
    }
}
