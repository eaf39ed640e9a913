//! Queues for rows that many want to change at once.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use futures::lock::{Mutex, MutexGuard};

/// Two rows that share a queue wait for each other in vain now and then; that is all.
const QUEUES: usize = 64;

/// Lets one of those who would change the same row go after the other. What is right is settled by the
/// checks of the commit; a queue only spares those who would fail.
pub(crate) struct Turns([Mutex<()>; QUEUES]);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }

    /// Waits for a turn at a row; it is over when the guard is dropped.
    pub(crate) async fn take(&self, key: &str) -> Option<MutexGuard<'_, ()>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let index = usize::try_from(hash % QUEUES as u64).unwrap_or_default();
        match self.0.get(index) {
            Some(queue) => Some(queue.lock().await),
            None => None,
        }
    }
}
