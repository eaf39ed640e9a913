//! The hash chain over the audit log: whoever changes, removes or slips in an entry breaks it.
//!
//! Each link holds the place of one entry in the order of revisions, and a SHA-256 digest over the link
//! before it, the entry's key, its revision and its bytes as stored.
//!
//! **Why not in the commit of the entry.** A link depends on the one before it, so links made inside the
//! commits would make every two changes conflict, whatever they change, and the platform would do one
//! thing at a time. The entry itself is in the commit of what it speaks of, always. The link follows
//! within moments: [`Tenancy::seal_audit`] takes the entries in the order of their revisions, which the
//! store's log yields, and keeps nothing, so it may be cut off anywhere. What is not linked yet is said
//! by [`Verification::unsealed`].
//!
//! A chain shows that it is whole in itself. That nobody has made a whole new one is shown by comparing
//! it with a link that was noted elsewhere before; [`Tenancy::verify_audit`] does that, too.

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tenantry_store::{Change, Cursor, Revision, Row, WatchError, WatchItem};

use crate::{
    Caller, Error, StoreFault, Tenancy,
    draft::{Draft, Operation, encoded},
    layout,
    tenancy::{damaged, decoded},
};

/// Entries that one commit links.
const LINKS: usize = 80;
/// Rows that are read at once.
const ROWS: usize = 1000;

/// One link, or, where there is none yet, what the first one follows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its place, from 1 on.
    pub sequence: u64,
    /// The revision of its entry.
    pub revision: u64,
    /// The digest, in hexadecimal.
    pub hash: String,
    /// The key of its entry.
    entry: String,
}

/// What came of looking at the whole chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many entries are linked, as far as the chain is whole.
    pub sealed: u64,
    /// How many entries are too new to be linked yet.
    pub unsealed: u64,
    /// The last link.
    pub head: Link,
    /// What is wrong, if anything is.
    pub fault: Option<Fault>,
}

/// What is wrong with the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Fault {
    #[error("the link {sequence} is missing")]
    NoLink { sequence: u64 },
    #[error("the entry of link {sequence} is missing")]
    NoEntry { sequence: u64 },
    #[error("the entry of link {sequence} is not what it was when it was linked")]
    Changed { sequence: u64 },
    #[error("{count} entries were slipped in: they are as old as linked ones, and not linked")]
    SlippedIn { count: u64 },
    #[error("the link {sequence} is not the one that was noted before")]
    NotAsNoted { sequence: u64 },
}

impl Link {
    /// Whether an entry comes after the one that is linked here. Entries of one commit are in the order
    /// of their keys.
    fn precedes(&self, row: &Row) -> bool {
        (self.revision, self.entry.as_bytes()) < (row.mod_rev.as_u64(), row.key.as_ref())
    }

    fn next(&self, row: &Row) -> Result<Self, Error> {
        let entry = String::from_utf8(row.key.to_vec()).map_err(|_| damaged(&row.key))?;
        let revision = row.mod_rev.as_u64();
        let mut digest = Sha256::new();
        digest.update(self.hash.as_bytes());
        digest.update(entry.as_bytes());
        digest.update([0]);
        digest.update(revision.to_be_bytes());
        digest.update(&row.value);
        let hash = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { sequence: self.sequence + 1, revision, hash, entry })
    }
}

/// How far the chain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// How many entries were linked now.
    pub count: usize,
    /// No entry up to this revision is without a link.
    pub upto: Revision,
}

impl Tenancy {
    /// Links entries that are not linked yet, where none up to `known` are.
    ///
    /// # Errors
    /// What reading and writing can end in.
    pub async fn seal_audit(&self, known: Revision) -> Result<Sealed, Error> {
        let (head, _) = self.chain_head().await?;
        let from = known.next().max(Revision::new(head.revision.max(1)));
        let (mut rows, upto) = match self.logged_entries(from).await? {
            Some(logged) => logged,
            None => self.scanned_entries(from).await?,
        };
        rows.retain(|row| head.precedes(row));
        rows.sort_by(|one, other| (one.mod_rev, &one.key).cmp(&(other.mod_rev, &other.key)));
        for rows in rows.chunks(LINKS) {
            self.run(&Caller::system(), &Seal { rows }).await?;
        }
        Ok(Sealed { count: rows.len(), upto })
    }

    async fn chain_head(&self) -> Result<(Link, Revision), Error> {
        let found = self.find(layout::CHAIN_HEAD, None).await?;
        Ok(found.map_or((Link::default(), Revision::ZERO), |found| (found.value, found.revision)))
    }

    /// Entries from a revision on, from the store's log, and how far they reach. None if it has
    /// forgotten them.
    async fn logged_entries(&self, from: Revision) -> Result<Option<(Vec<Row>, Revision)>, Error> {
        let head = self.store.status().await.head;
        if from > head {
            return Ok(Some((Vec::new(), head)));
        }
        let mut watch = self.store.watch(layout::AUDIT.as_bytes(), from);
        let mut rows = Vec::new();
        while let Some(item) = watch.next().await {
            let (done, reached) = match item {
                Ok(WatchItem::Commit { rev, changes }) => {
                    rows.extend(changes.into_iter().filter_map(|change| match change {
                        Change::Put(row) => Some(row),
                        Change::Delete(_) => None,
                    }));
                    (rows.len() >= ROWS, rev)
                }
                Ok(WatchItem::Progress { rev }) => (true, rev),
                Err(WatchError::Unavailable) => return Err(StoreFault::Unavailable.into()),
                Err(_) => return Ok(None),
            };
            if done {
                return Ok(Some((rows, reached)));
            }
        }
        Ok(None)
    }

    /// The same, from the entries themselves.
    async fn scanned_entries(&self, from: Revision) -> Result<(Vec<Row>, Revision), Error> {
        let mut rows = Vec::new();
        let mut pages = Pages::of(layout::AUDIT);
        while let Some(page) = pages.next(self).await? {
            rows.extend(page.into_iter().filter(|row| row.mod_rev >= from));
        }
        Ok((rows, pages.at))
    }

    /// Follows the chain from its first link and compares it with the entries; and with a link that was
    /// noted before, if one is given.
    ///
    /// # Errors
    /// What reading can end in. A broken chain is no error of this operation.
    pub async fn verify_audit(&self, noted: Option<(u64, &str)>) -> Result<Verification, Error> {
        let (last, _) = self.chain_head().await?;
        let (head, mut fault) = self.follow_chain(last.sequence, noted).await?;
        let expected = last.sequence.max(noted.map_or(0, |(sequence, _)| sequence));
        if fault.is_none() && head.sequence < expected {
            fault = Some(Fault::NoLink { sequence: head.sequence + 1 });
        }
        let (mut linked, mut unsealed) = (0_u64, 0);
        let mut pages = Pages::of(layout::AUDIT);
        while let Some(page) = pages.next(self).await? {
            for row in &page {
                *(if head.precedes(row) { &mut unsealed } else { &mut linked }) += 1;
            }
        }
        if fault.is_none() && linked > head.sequence {
            fault = Some(Fault::SlippedIn { count: linked - head.sequence });
        }
        Ok(Verification { sealed: head.sequence, unsealed, head, fault })
    }

    /// The last good link up to the one of this place, and what is wrong with the next one.
    async fn follow_chain(
        &self,
        last: u64,
        noted: Option<(u64, &str)>,
    ) -> Result<(Link, Option<Fault>), Error> {
        let mut head = Link::default();
        let mut pages = Pages::of(layout::CHAIN);
        while let Some(page) = pages.next(self).await? {
            for row in page {
                if head.sequence == last {
                    return Ok((head, None));
                }
                let link = decoded::<Link>(&row)?.value;
                if let Some(fault) = self.broken(&head, &link).await? {
                    return Ok((head, Some(fault)));
                }
                let is_other = |(sequence, hash)| sequence == link.sequence && hash != link.hash;
                if noted.is_some_and(is_other) {
                    return Ok((head, Some(Fault::NotAsNoted { sequence: link.sequence })));
                }
                head = link;
            }
        }
        Ok((head, None))
    }

    /// What is wrong with a link behind another one.
    async fn broken(&self, before: &Link, link: &Link) -> Result<Option<Fault>, Error> {
        let sequence = before.sequence + 1;
        if link.sequence != sequence {
            return Ok(Some(Fault::NoLink { sequence }));
        }
        let (_, row) = self.store.get(link.entry.as_bytes(), None).await?;
        let Some(row) = row else { return Ok(Some(Fault::NoEntry { sequence })) };
        let is_same = before.next(&row)? == *link;
        Ok((!is_same).then_some(Fault::Changed { sequence }))
    }
}

/// The rows under a prefix as of one revision, page by page.
struct Pages {
    prefix: &'static str,
    cursor: Option<Cursor>,
    at: Revision,
    is_done: bool,
}

impl Pages {
    fn of(prefix: &'static str) -> Self {
        Self { prefix, cursor: None, at: Revision::ZERO, is_done: false }
    }

    async fn next(&mut self, tenancy: &Tenancy) -> Result<Option<Vec<Row>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        let cursor = self.cursor.take();
        let page = tenancy.store.scan(self.prefix.as_bytes(), cursor, ROWS).await?;
        (self.at, self.cursor) = (page.at, page.next);
        self.is_done = self.cursor.is_none();
        Ok(Some(page.rows))
    }
}

/// Adds the links of some entries, in order, behind the last one.
struct Seal<'a> {
    rows: &'a [Row],
}

impl Operation for Seal<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let (mut head, revision) = tenancy.chain_head().await?;
        let mut draft = Draft::quiet(()).unchanged(layout::CHAIN_HEAD.to_owned(), revision);
        for row in self.rows {
            if !head.precedes(row) {
                continue;
            }
            head = head.next(row)?;
            draft = draft.put(layout::chain(head.sequence), encoded("link", &head)?);
        }
        Ok(draft.put(layout::CHAIN_HEAD.to_owned(), encoded("link", &head)?))
    }
}
