//! Folding the file when its tail outgrows its base.
//!
//! The proxy keeps no JSON in memory, so the file is folded from itself: read like at a start, and
//! written like a base. It takes memory only while it folds, and as the tail must have outgrown the
//! base first, each byte is rewritten a constant number of times on average.

use super::{LastKnownGood, RecordError, read};

impl LastKnownGood {
    /// Folds the tail into a new base if it has grown enough. On an error the file stays as it is.
    pub(crate) fn compact_if_due(&mut self) -> Result<(), RecordError> {
        let due = self.tail.as_ref().is_some_and(|tail| {
            let tail_bytes = tail.whole_bytes.saturating_sub(tail.base_bytes);
            tail_bytes > tail.base_bytes && tail_bytes > self.compact_above_bytes
        });
        if due {
            let recording = read::read(&self.path).map_err(RecordError::Fold)?;
            if Some(recording.update.position()) != self.position() {
                return Err(RecordError::Gap);
            }
            self.write_base(&recording.update)?;
        }
        Ok(())
    }
}
