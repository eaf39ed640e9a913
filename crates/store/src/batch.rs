//! What one commit asks for, and the limits that hold for it in every implementation.
//!
//! The limits are the smallest of what the implementations can take, checked here and nowhere else,
//! so that a batch refused by one is refused by all, with the same answer. The bound on the length
//! of a key exists for the embedded engine: it keeps index pages below the size at which the engine
//! would move them to side files that it never syncs.

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;

use crate::Revision;

/// Most checks in one batch.
pub const MAX_CHECKS: usize = 100;
/// Most operations in one batch.
pub const MAX_OPS: usize = 100;
/// Most bytes in one batch: all keys, prefixes and values together.
pub const MAX_BATCH_BYTES: usize = 1 << 20;
/// Longest key or checked prefix, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// Something that must hold for the whole batch to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The row was last written at `mod_rev`; [`Revision::ZERO`]: there is no such row.
    Unchanged {
        /// The key of the row.
        key: Bytes,
        /// The revision of its last write.
        mod_rev: Revision,
    },
    /// No row has a key that starts with `prefix`.
    NoneUnder {
        /// The start of the keys in question; empty means any key.
        prefix: Bytes,
    },
}

impl Check {
    /// The key or prefix that is looked at.
    #[must_use]
    pub fn subject(&self) -> &Bytes {
        match self {
            Self::Unchanged { key, .. } => key,
            Self::NoneUnder { prefix } => prefix,
        }
    }
}

/// One change to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Write the row, whether or not it exists. Writing the value it already has is a change.
    Put {
        /// The key of the row.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Remove the row. Where there is none, nothing changes.
    Delete {
        /// The key of the row.
        key: Bytes,
    },
}

impl Op {
    /// The key that is changed.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Put { key, value } => key.len().saturating_add(value.len()),
            Self::Delete { key } => key.len(),
        }
    }
}

/// Checks and operations that succeed or fail as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// All of these must hold.
    pub checks: Vec<Check>,
    /// Then all of these happen, at one revision.
    pub ops: Vec<Op>,
}

impl Batch {
    /// A batch without checks or operations, to be added to.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds [`Check::Unchanged`].
    #[must_use]
    pub fn unchanged(mut self, key: impl Into<Bytes>, mod_rev: Revision) -> Self {
        self.checks.push(Check::Unchanged { key: key.into(), mod_rev });
        self
    }

    /// Adds [`Check::Unchanged`] at [`Revision::ZERO`]: the key must be free.
    #[must_use]
    pub fn absent(self, key: impl Into<Bytes>) -> Self {
        self.unchanged(key, Revision::ZERO)
    }

    /// Adds [`Check::NoneUnder`].
    #[must_use]
    pub fn none_under(mut self, prefix: impl Into<Bytes>) -> Self {
        self.checks.push(Check::NoneUnder { prefix: prefix.into() });
        self
    }

    /// Adds [`Op::Put`].
    #[must_use]
    pub fn put(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.ops.push(Op::Put { key: key.into(), value: value.into() });
        self
    }

    /// Adds [`Op::Delete`].
    #[must_use]
    pub fn delete(mut self, key: impl Into<Bytes>) -> Self {
        self.ops.push(Op::Delete { key: key.into() });
        self
    }

    /// Whether a row goes by this batch.
    #[must_use]
    pub fn deletes(&self, key: &[u8]) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Delete { key: known } if known == key))
    }

    /// Bytes of all keys, prefixes and values.
    #[must_use]
    pub fn size(&self) -> usize {
        let checks = self.checks.iter().map(|check| check.subject().len());
        let ops = self.ops.iter().map(Op::size);
        checks.chain(ops).fold(0, usize::saturating_add)
    }

    /// Whether the batch keeps every limit. Each implementation calls this before anything else.
    ///
    /// # Errors
    /// The first limit that is broken, in the order of the variants of [`Limit`].
    pub fn validate(&self) -> Result<(), Limit> {
        if self.checks.len() > MAX_CHECKS {
            return Err(Limit::Checks);
        }
        if self.ops.len() > MAX_OPS {
            return Err(Limit::Ops);
        }
        if self.size() > MAX_BATCH_BYTES {
            return Err(Limit::Bytes);
        }
        self.checks.iter().try_for_each(validate_check)?;
        self.ops.iter().try_for_each(|op| validate_key(op.key()))?;
        let mut seen = HashSet::with_capacity(self.ops.len());
        match self.ops.iter().find(|op| !seen.insert(op.key())) {
            Some(op) => Err(Limit::DuplicateKey(op.key().clone())),
            None => Ok(()),
        }
    }
}

/// A limit that a batch breaks. The batch was not applied, and never will be as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// More than [`MAX_CHECKS`] checks.
    Checks,
    /// More than [`MAX_OPS`] operations.
    Ops,
    /// More than [`MAX_BATCH_BYTES`] in total.
    Bytes,
    /// A key of no bytes. (An empty prefix is allowed.)
    EmptyKey,
    /// A key or prefix longer than [`MAX_KEY_BYTES`].
    KeyTooLong,
    /// A key or prefix with a 0x00 in it.
    ZeroByte,
    /// Two operations on the same key.
    DuplicateKey(Bytes),
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checks => write!(formatter, "more than {MAX_CHECKS} checks"),
            Self::Ops => write!(formatter, "more than {MAX_OPS} operations"),
            Self::Bytes => write!(formatter, "more than {MAX_BATCH_BYTES} bytes"),
            Self::EmptyKey => formatter.write_str("an empty key"),
            Self::KeyTooLong => write!(formatter, "a key of more than {MAX_KEY_BYTES} bytes"),
            Self::ZeroByte => formatter.write_str("a zero byte in a key"),
            Self::DuplicateKey(key) => {
                write!(formatter, "two operations on the key {:?}", String::from_utf8_lossy(key))
            }
        }
    }
}

fn validate_check(check: &Check) -> Result<(), Limit> {
    match check {
        Check::Unchanged { key, .. } => validate_key(key),
        Check::NoneUnder { prefix } => validate_bytes(prefix),
    }
}

fn validate_key(key: &[u8]) -> Result<(), Limit> {
    if key.is_empty() { Err(Limit::EmptyKey) } else { validate_bytes(key) }
}

fn validate_bytes(key: &[u8]) -> Result<(), Limit> {
    if key.len() > MAX_KEY_BYTES {
        Err(Limit::KeyTooLong)
    } else if key.contains(&0) {
        Err(Limit::ZeroByte)
    } else {
        Ok(())
    }
}
