//! When keys were last used, as proxies say.
//!
//! It changes all the time and is of use only roughly, so it is kept beside the record and not in it:
//! a row is written at most once an hour for a key, makes no audit entry, leaves the key's revision
//! alone and is of no proxy's concern.

use std::collections::BTreeMap;

use tenantry_model::{KeyId, Timestamp};
use tenantry_store::{Batch, CommitError, MAX_CHECKS};

use super::KIND;
use crate::{Error, StoreFault, Tenancy, layout, tenancy::damaged};

/// Each takes a check and a write.
const USES_PER_COMMIT: usize = MAX_CHECKS / 2;
const MAX_ATTEMPTS: usize = 16;
const HOUR_MS: u64 = 3_600_000;

impl Tenancy {
    /// Notes that keys were used, each at its time. Keys that are gone are left out, and so is what
    /// says nothing new: a key has at most one time an hour.
    ///
    /// # Errors
    /// What reading and committing can end in.
    pub async fn note_used_keys(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), Error> {
        // One write of a row fits a commit.
        let latest: BTreeMap<KeyId, Timestamp> = uses.iter().copied().collect();
        let latest: Vec<_> = latest.into_iter().collect();
        for uses in latest.chunks(USES_PER_COMMIT) {
            self.note_some(uses).await?;
        }
        Ok(())
    }

    /// When a key was last used, as far as it is known.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn key_last_used(&self, key: KeyId) -> Result<Option<Timestamp>, Error> {
        let (_, row) = self.store.get(layout::used(key).as_bytes(), None).await?;
        let Some(row) = row else { return Ok(None) };
        let time = std::str::from_utf8(&row.value).ok().and_then(|text| text.parse().ok());
        time.map(Some).ok_or_else(|| damaged(&row.key))
    }

    async fn note_some(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), Error> {
        for _ in 0..MAX_ATTEMPTS {
            let mut batch = Batch::new();
            for (key, at) in uses {
                // A proxy whose clock is ahead must not keep later uses from being noted.
                let at = (*at).min(self.now());
                let known = self.key_last_used(*key).await?;
                if known.is_some_and(|known| hour(known) >= hour(at)) {
                    continue;
                }
                let record = layout::record(KIND, key);
                let (_, row) = self.store.get(record.as_bytes(), None).await?;
                if let Some(row) = row {
                    let (used, at) = (layout::used(*key), at.to_string());
                    batch = batch.unchanged(record, row.mod_rev).put(used, at.into_bytes());
                }
            }
            if batch.ops.is_empty() {
                return Ok(());
            }
            match self.store.commit(batch).await {
                Ok(_) => return Ok(()),
                // A key was changed or revoked meanwhile.
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(StoreFault::from(error).into()),
            }
        }
        Err(Error::ConcurrentChange)
    }
}

fn hour(time: Timestamp) -> u64 {
    time.unix_ms() / HOUR_MS
}
