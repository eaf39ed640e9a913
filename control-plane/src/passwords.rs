//! Passwords are hashed away from the threads that serve requests, a few at once.
//!
//! One hash takes tens of milliseconds and 19 MiB. Whoever sends many log-ins at once makes a queue of
//! log-ins, no more: nobody else's request waits in it, and beyond its length they are refused.

use std::{sync::Arc, thread::available_parallelism};

use tenantry_api::ProblemKind;
use tokio::sync::Semaphore;

use crate::http::failure::Failure;

const MAX_RUNNING: usize = 4;
const MAX_WAITING: usize = 64;

/// Where passwords are hashed.
#[derive(Debug)]
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Passwords {
    /// With as many hashes at once as there are processors, and no more than four.
    #[must_use]
    pub fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            running: Arc::new(Semaphore::new(processors.min(MAX_RUNNING))),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Runs a hash when it is its turn.
    ///
    /// # Errors
    /// If too many are waiting.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = || {
            let detail = "too many passwords are being checked; try again";
            Failure::new(ProblemKind::Unavailable, detail).retry_after("1")
        };
        let waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| busy())?;
        drop(waiting);
        let hashed = tokio::task::spawn_blocking(move || {
            let _running = running;
            hash()
        });
        hashed.await.map_err(|_| busy())
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}
