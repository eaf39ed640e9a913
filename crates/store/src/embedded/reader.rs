//! Reading rows and the log as of a revision.
//!
//! The engine's iterators are not snapshots, and need not be: versions at or before a revision never
//! change once it is published, except by compaction, which first moves the oldest revision and only
//! then removes. So whoever reads here checks afterwards that its revision is still kept.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::disk::{Disk, StorageError};
use super::layout::{self, LogEntry, Stored, decode_log};
use crate::{Change, MAX_PAGE_BYTES, MAX_PAGE_ROWS, Revision, Row, WatchItem};

/// After this many versions that do not count, seek past the rest of them instead of stepping.
const STEPS_BEFORE_SEEK: usize = 8;
/// Most log entries read at once when a watch replays the past.
const REPLAY_REVISIONS: usize = 512;

/// One version of one row, its value not yet loaded.
pub(super) struct Version {
    pub(super) key: Bytes,
    pub(super) revision: Revision,
    pub(super) stored: Stored,
}

impl Version {
    pub(super) fn is_live(&self) -> bool {
        self.stored != Stored::Tombstone
    }

    pub(super) fn into_row(self, disk: &Disk) -> Result<Option<Row>, StorageError> {
        let value = disk.load(self.revision, self.stored)?;
        Ok(value.map(|value| Row { key: self.key, value, mod_rev: self.revision }))
    }

    pub(super) fn parse(entry: &(sled::IVec, sled::IVec)) -> Result<Self, StorageError> {
        let (place, value) = entry;
        let unreadable = || StorageError::unreadable("a row");
        let (key, revision) = layout::parse_row(place).ok_or_else(unreadable)?;
        let stored = Stored::decode(value).ok_or_else(unreadable)?;
        Ok(Self { key: Bytes::copy_from_slice(key), revision, stored })
    }
}

/// The newest version of `key` at or before `at`.
pub(super) fn version(
    disk: &Disk,
    key: &[u8],
    at: Revision,
) -> Result<Option<Version>, StorageError> {
    let mut entries = disk.range(layout::row(key, at), layout::rows_behind(key));
    entries.next().map(|entry| Version::parse(&entry?)).transpose()
}

/// Shows `visit` each live row under `prefix` behind `after` as of `at`, ascending by key.
pub(super) fn visit(
    disk: &Disk,
    prefix: &[u8],
    after: Option<&[u8]>,
    at: Revision,
    mut visit: impl FnMut(Version) -> Result<ControlFlow<()>, StorageError>,
) -> Result<(), StorageError> {
    let first = layout::rows_from(prefix);
    let end = prefix_end(&first);
    let start = after.map_or_else(Vec::new, layout::rows_behind).max(first);
    let mut entries = disk.range(start, end.clone());
    let mut decided: Option<Bytes> = None;
    let mut steps = 0;
    while let Some(entry) = entries.next() {
        let version = Version::parse(&entry?)?;
        let is_older = decided.as_ref() == Some(&version.key);
        if is_older || version.revision > at {
            steps += 1;
            if steps > STEPS_BEFORE_SEEK {
                let key = &version.key;
                let seek = if is_older { layout::rows_behind(key) } else { layout::row(key, at) };
                entries = disk.range(seek, end.clone());
                steps = 0;
            }
            continue;
        }
        steps = 0;
        decided = Some(version.key.clone());
        if version.is_live() && visit(version)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Rows of one page, and whether there are more behind it.
pub(super) fn page(
    disk: &Disk,
    prefix: &[u8],
    after: Option<&[u8]>,
    at: Revision,
    limit: usize,
) -> Result<(Vec<Row>, bool), StorageError> {
    let limit = limit.clamp(1, MAX_PAGE_ROWS);
    let (mut rows, mut bytes, mut more) = (Vec::new(), 0, false);
    visit(disk, prefix, after, at, |version| {
        if rows.len() == limit || bytes >= MAX_PAGE_BYTES {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        if let Some(row) = version.into_row(disk)? {
            bytes += row.key.len() + row.value.len();
            rows.push(row);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((rows, more))
}

/// Part of the past, as a watch reports it.
pub(super) struct Replay {
    pub(super) items: Vec<WatchItem>,
    /// Everything before this revision has been seen.
    pub(super) next: Revision,
}

/// What happened under `prefix` from `from` on, up to `head` or as much as is read at once.
pub(super) fn replay(
    disk: &Disk,
    prefix: &[u8],
    from: Revision,
    head: Revision,
) -> Result<Replay, StorageError> {
    let mut replay = Replay { items: Vec::new(), next: from };
    let (mut visited, mut bytes) = (0, 0);
    for entry in disk.range(layout::log(from), layout::log(head.next())) {
        let (rev, entries) = log_entries(disk, &entry?)?;
        let changes = changes(disk, prefix, rev, entries)?;
        bytes += changes.iter().map(size).sum::<usize>();
        visited += 1;
        if !changes.is_empty() {
            replay.items.push(WatchItem::Commit { rev, changes });
        }
        replay.next = rev.next();
        if visited == REPLAY_REVISIONS || bytes >= MAX_PAGE_BYTES {
            return Ok(replay);
        }
    }
    replay.next = head.next().max(from);
    Ok(replay)
}

/// The least bytes that are greater than everything that starts with `prefix`.
pub(super) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    end
}

fn log_entries(
    disk: &Disk,
    (place, value): &(sled::IVec, sled::IVec),
) -> Result<(Revision, Vec<LogEntry>), StorageError> {
    let unreadable = || StorageError::unreadable("an entry of the change log");
    let revision = layout::parse_log(place).ok_or_else(unreadable)?;
    let stored = Stored::decode(value).ok_or_else(unreadable)?;
    let bytes = disk.load(revision, stored)?.ok_or_else(unreadable)?;
    Ok((revision, decode_log(&bytes).ok_or_else(unreadable)?))
}

fn changes(
    disk: &Disk,
    prefix: &[u8],
    revision: Revision,
    entries: Vec<LogEntry>,
) -> Result<Vec<Change>, StorageError> {
    let under_prefix = entries.into_iter().filter(|entry| entry.key.starts_with(prefix));
    under_prefix.map(|entry| change(disk, revision, entry)).collect()
}

fn change(disk: &Disk, revision: Revision, entry: LogEntry) -> Result<Change, StorageError> {
    if entry.deleted {
        return Ok(Change::Delete(entry.key));
    }
    let unreadable = || StorageError::unreadable("a row named in the change log");
    let version = version(disk, &entry.key, revision)?.ok_or_else(unreadable)?;
    let row = version.into_row(disk)?.ok_or_else(unreadable)?;
    Ok(Change::Put(row))
}

fn size(change: &Change) -> usize {
    match change {
        Change::Put(row) => row.key.len() + row.value.len(),
        Change::Delete(key) => key.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(prefix_end(b"da"), b"db");
        assert_eq!(prefix_end(&[b'd', 0xff, 0xff]), b"e");
        assert_eq!(prefix_end(b"d"), layout::ROWS_END);
    }
}
