//! How rows, the change log and the store's own facts lie in one tree.
//!
//! - `d<key>\0<!revision>`: one version of a row. The revision is inverted, so a forward scan from
//!   `!at` meets the newest version at or before `at` first. Keys hold no 0x00, so keys sort as they
//!   should and no key's versions lie between another's.
//! - `l<revision>`: which keys one commit changed. The values are in the rows, once.
//! - `v<revision><slot><part>`: the parts of a long value.
//! - `m/...`: identity, head, oldest revision kept, first revision of this history.
//!
//! Why long values are cut up: a page whose rows exceed a quarter of a segment is moved by the engine
//! to a side file, which it never syncs, so a power cut could lose an acknowledged commit. With at
//! most 16 rows to a page, [`PART_BYTES`] and the bound on keys keep every page below that size.

use bytes::Bytes;

use crate::Revision;

/// Longest value kept within its row; longer ones are cut into parts of this size.
pub(super) const PART_BYTES: usize = 8 << 10;
/// The slot of the change log among the long values of one commit; operations are numbered from 0.
pub(super) const LOG_SLOT: u16 = u16::MAX;

pub(super) const ID: &[u8] = b"m/id";
pub(super) const HEAD: &[u8] = b"m/head";
pub(super) const OLDEST: &[u8] = b"m/oldest";
pub(super) const FIRST: &[u8] = b"m/first";

pub(super) const ROWS: &[u8] = b"d";
pub(super) const ROWS_END: &[u8] = b"e";
pub(super) const LOG: &[u8] = b"l";

pub(super) fn row(key: &[u8], revision: Revision) -> Vec<u8> {
    let inverted = (!revision.as_u64()).to_be_bytes();
    [ROWS, key, &[0], &inverted].concat()
}

/// Before every version of `key`, and of any key that starts with it.
pub(super) fn rows_from(key: &[u8]) -> Vec<u8> {
    [ROWS, key].concat()
}

/// Behind every version of `key`, and before any other key.
pub(super) fn rows_behind(key: &[u8]) -> Vec<u8> {
    [ROWS, key, &[1]].concat()
}

pub(super) fn parse_row(bytes: &[u8]) -> Option<(&[u8], Revision)> {
    let (rest, inverted) = bytes.strip_prefix(ROWS)?.split_last_chunk::<8>()?;
    let key = rest.strip_suffix(&[0])?;
    Some((key, Revision::new(!u64::from_be_bytes(*inverted))))
}

pub(super) fn log(revision: Revision) -> Vec<u8> {
    [LOG, &revision.as_u64().to_be_bytes()].concat()
}

pub(super) fn parse_log(bytes: &[u8]) -> Option<Revision> {
    revision(bytes.strip_prefix(LOG)?)
}

pub(super) fn part(revision: Revision, slot: u16, part: u32) -> Vec<u8> {
    let revision = revision.as_u64().to_be_bytes();
    [b"v".as_slice(), &revision, &slot.to_be_bytes(), &part.to_be_bytes()].concat()
}

pub(super) fn revision(bytes: &[u8]) -> Option<Revision> {
    bytes.try_into().ok().map(|number| Revision::new(u64::from_be_bytes(number)))
}

/// What one version of a row, or one entry of the log, holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The row was removed.
    Tombstone,
    /// The value itself.
    Inline(Bytes),
    /// The value is in this many parts under this slot of the same revision.
    Parts { slot: u16, count: u32 },
}

impl Stored {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Tombstone => vec![0],
            Self::Inline(value) => [&[1], value.as_ref()].concat(),
            Self::Parts { slot, count } => {
                [[2].as_slice(), &slot.to_be_bytes(), &count.to_be_bytes()].concat()
            }
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, []) => Some(Self::Tombstone),
            (1, value) => Some(Self::Inline(Bytes::copy_from_slice(value))),
            (2, rest) => {
                let (slot, count) = rest.split_first_chunk()?;
                let count = u32::from_be_bytes(count.try_into().ok()?);
                Some(Self::Parts { slot: u16::from_be_bytes(*slot), count })
            }
            _ => None,
        }
    }
}

/// One changed key in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogEntry {
    pub(super) key: Bytes,
    pub(super) deleted: bool,
}

pub(super) fn encode_log<'a>(entries: impl Iterator<Item = (&'a [u8], bool)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, deleted) in entries {
        bytes.push(u8::from(deleted));
        bytes.extend_from_slice(key);
        bytes.push(0);
    }
    bytes
}

pub(super) fn decode_log(mut bytes: &[u8]) -> Option<Vec<LogEntry>> {
    let mut entries = Vec::new();
    while let Some((deleted, rest)) = bytes.split_first() {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (key, rest) = rest.split_at_checked(end)?;
        entries.push(LogEntry { key: Bytes::copy_from_slice(key), deleted: *deleted != 0 });
        bytes = rest.get(1..)?;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_key_then_newest_first() {
        let sorted = [
            row(b"a", Revision::new(300)),
            row(b"a", Revision::new(2)),
            row(b"a", Revision::ZERO),
            rows_behind(b"a"),
            row(b"a!", Revision::new(7)),
            row(b"b", Revision::new(9)),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(parse_row(&sorted[0]), Some((b"a".as_slice(), Revision::new(300))));
    }

    #[test]
    fn stored_values_survive_their_encoding() {
        let long = Stored::Parts { slot: 99, count: 128 };
        for stored in [Stored::Tombstone, Stored::Inline(Bytes::from_static(b"x")), long] {
            assert_eq!(Stored::decode(&stored.encode()), Some(stored));
        }
        assert_eq!(Stored::decode(&[]), None);
        assert_eq!(Stored::decode(&[2, 0]), None);
        assert_eq!(Stored::decode(&[9]), None);
    }

    #[test]
    fn log_entries_survive_their_encoding() {
        let bytes = encode_log([(b"a".as_slice(), true), (b"bc", false)].into_iter());
        let entry = |key, deleted| LogEntry { key: Bytes::from_static(key), deleted };
        assert_eq!(decode_log(&bytes), Some(vec![entry(b"a", true), entry(b"bc", false)]));
        assert_eq!(decode_log(&bytes[..bytes.len() - 1]), None);
    }
}
