//! Forgetting the past, a bounded step at a time, so that commits go on in between.
//!
//! The oldest revision is moved first, durably, and only then is anything removed: a reader that
//! finds its revision still kept after it read has read all of it. A crash in between leaves rows
//! that nobody can ask for, and the next compaction removes them.
//!
//! Rows are walked backwards, so the versions of a key come oldest first. A tombstone may go only
//! after every version it hides, or a crash would bring the row back to life.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::disk::{Disk, StorageError};
use super::layout::{self, Stored, part};
use super::reader::Version;
use super::shared::Shared;
use crate::{ReadError, Revision};

/// Most entries looked at in one step.
const STEP: usize = 2_000;

type Reply = oneshot::Sender<Result<(), ReadError>>;

/// Compactions asked for, done one after the other.
#[derive(Default)]
pub(super) struct Compactions {
    waiting: VecDeque<(Revision, Reply)>,
    current: Option<(Compaction, Reply)>,
}

impl Compactions {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.current.is_none()
    }

    pub(super) fn push(&mut self, upto: Revision, reply: Reply) {
        self.waiting.push_back((upto, reply));
    }

    /// Does a bounded piece of work, if there is any.
    pub(super) fn step(&mut self, shared: &Shared) {
        let Some((mut compaction, reply)) = self.current.take().or_else(|| self.begin(shared))
        else {
            return;
        };
        match compaction.step(shared) {
            Ok(true) => answer(reply, Ok(())),
            Ok(false) => self.current = Some((compaction, reply)),
            Err(error) => answer(reply, Err(error)),
        }
    }

    fn begin(&mut self, shared: &Shared) -> Option<(Compaction, Reply)> {
        let (upto, reply) = self.waiting.pop_front()?;
        match Compaction::begin(shared, upto) {
            Ok(Some(compaction)) => return Some((compaction, reply)),
            Ok(None) => answer(reply, Ok(())),
            Err(error) => answer(reply, Err(error)),
        }
        None
    }
}

fn answer(reply: Reply, result: Result<(), ReadError>) {
    // Whoever stopped waiting does not need the answer.
    let _ = reply.send(result);
}

/// A compaction under way.
struct Compaction {
    upto: Revision,
    stage: Stage,
}

enum Stage {
    Log,
    /// Rows from here on have been dealt with.
    Rows(Vec<u8>),
}

impl Compaction {
    /// Makes `upto` the oldest revision; nothing is removed yet. None if it is already.
    fn begin(shared: &Shared, upto: Revision) -> Result<Option<Self>, ReadError> {
        if upto > shared.head() {
            return Err(ReadError::StoreChanged);
        }
        if upto <= shared.oldest() {
            return Ok(None);
        }
        let mut batch = sled::Batch::default();
        batch.insert(layout::OLDEST, &upto.as_u64().to_be_bytes());
        write(shared, batch)?;
        shared.publish_oldest(upto);
        Ok(Some(Self { upto, stage: Stage::Log }))
    }

    /// Removes some more; true when all is done.
    fn step(&mut self, shared: &Shared) -> Result<bool, ReadError> {
        let mut batch = sled::Batch::default();
        let next =
            self.collect(&shared.disk, &mut batch).map_err(|error| shared.read_failed(&error))?;
        write(shared, batch)?;
        let is_done = next.is_none();
        if let Some(stage) = next {
            self.stage = stage;
        }
        Ok(is_done)
    }

    /// Adds to `batch` what can go, and returns what comes after it.
    fn collect(&self, disk: &Disk, batch: &mut sled::Batch) -> Result<Option<Stage>, StorageError> {
        match &self.stage {
            Stage::Log if trim_log(disk, self.upto, batch)? => {
                Ok(Some(Stage::Rows(layout::ROWS_END.to_vec())))
            }
            Stage::Log => Ok(Some(Stage::Log)),
            Stage::Rows(end) => Ok(trim_rows(disk, self.upto, end, batch)?.map(Stage::Rows)),
        }
    }
}

fn write(shared: &Shared, batch: sled::Batch) -> Result<(), ReadError> {
    match shared.read_only() {
        Some(_) => Err(ReadError::Unavailable),
        None => shared.disk.write(batch).map_err(|error| shared.read_failed(&error)),
    }
}

/// Removes log entries below `upto`; true when there are no more.
fn trim_log(disk: &Disk, upto: Revision, batch: &mut sled::Batch) -> Result<bool, StorageError> {
    let entries = disk.range(layout::LOG.to_vec(), layout::log(upto));
    let mut removed = 0;
    for entry in entries.take(STEP) {
        let (place, value) = entry?;
        let revision = layout::parse_log(&place);
        if let (Some(revision), Some(stored)) = (revision, Stored::decode(&value)) {
            remove_parts(batch, revision, &stored);
        }
        batch.remove(place);
        removed += 1;
    }
    Ok(removed < STEP)
}

/// Removes rows before `end` that no revision from `upto` on can see. Returns where to go on: at the
/// last version looked at, because whether it may go depends on the one before it in the tree.
fn trim_rows(
    disk: &Disk,
    upto: Revision,
    end: &[u8],
    batch: &mut sled::Batch,
) -> Result<Option<Vec<u8>>, StorageError> {
    let mut older: Option<Version> = None;
    let entries = disk.range(layout::ROWS.to_vec(), end.to_vec());
    for (seen, entry) in entries.rev().enumerate() {
        let version = Version::parse(&entry?)?;
        if let Some(older) = older.take() {
            remove_if_unseen(batch, &older, Some(&version), upto);
        }
        if seen == STEP {
            let mut behind = layout::row(&version.key, version.revision);
            behind.push(0);
            return Ok(Some(behind));
        }
        older = Some(version);
    }
    if let Some(older) = older {
        remove_if_unseen(batch, &older, None, upto);
    }
    Ok(None)
}

/// Removes `version` if the `next` one in reading order supersedes it, or if it hides nothing.
fn remove_if_unseen(
    batch: &mut sled::Batch,
    version: &Version,
    next: Option<&Version>,
    upto: Revision,
) {
    let newer = next.filter(|next| next.key == version.key);
    let is_superseded = newer.is_some_and(|newer| newer.revision <= upto);
    let hides_nothing = !version.is_live() && version.revision <= upto;
    if is_superseded || hides_nothing {
        remove_parts(batch, version.revision, &version.stored);
        batch.remove(layout::row(&version.key, version.revision));
    }
}

fn remove_parts(batch: &mut sled::Batch, revision: Revision, stored: &Stored) {
    if let Stored::Parts { slot, count } = stored {
        for index in 0..*count {
            batch.remove(part(revision, *slot, index));
        }
    }
}
