//! The thread that keeps the last-known-good file.

use std::sync::Arc;

use tenantry_distribution::{Update, UpdateKind};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    file::{LastKnownGood, RecordError},
    progress::Publisher,
};

/// How many updates may wait for the disk, in the channel and again behind a failure.
const WAITING_UPDATES: usize = 4096;

/// The handle on the thread.
pub(crate) struct Recorder {
    updates: mpsc::Sender<Arc<Update>>,
    thread: JoinHandle<()>,
}

impl Recorder {
    pub(crate) fn start(file: LastKnownGood, publisher: Publisher) -> Self {
        let (updates, waiting) = mpsc::channel(WAITING_UPDATES);
        let log = Log { file, publisher, pending: Vec::new(), health: Health::Well };
        let thread = tokio::task::spawn_blocking(move || log.run(waiting));
        Self { updates, thread }
    }

    /// Hands an update over and waits for nothing. If the disk is so slow that too many are waiting,
    /// this one is dropped; the file stays a valid older state, and the thread sees the gap.
    pub(crate) fn record(&self, update: Arc<Update>) {
        if self.updates.try_send(update).is_err() {
            tracing::debug!("the last-known-good file cannot keep up; an update is not recorded");
        }
    }

    /// Waits until all that was handed over is written.
    pub(crate) async fn close(self) {
        drop(self.updates);
        if let Err(error) = self.thread.await {
            tracing::error!(%error, "the last-known-good file was not closed in order");
        }
    }
}

struct Log {
    file: LastKnownGood,
    publisher: Publisher,
    /// Not yet written: a full state with deltas after it, or deltas only.
    pending: Vec<Arc<Update>>,
    health: Health,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    Failing,
}

impl Log {
    fn run(mut self, mut waiting: mpsc::Receiver<Arc<Update>>) {
        while let Some(update) = waiting.blocking_recv() {
            self.take(update);
            while let Ok(update) = waiting.try_recv() {
                self.take(update);
            }
            let outcome = self.write();
            self.judge(outcome);
            self.publisher.change(|standing| {
                standing.recorded = self.file.position().map(|position| position.revision);
            });
        }
    }

    fn take(&mut self, update: Arc<Update>) {
        if update.kind == UpdateKind::Full {
            self.pending.clear();
        }
        self.pending.push(update);
    }

    fn write(&mut self) -> Result<(), RecordError> {
        self.file.hold()?;
        self.drop_recorded();
        if let Some(first) = self.pending.first()
            && first.kind == UpdateKind::Full
        {
            self.file.write_base(first)?;
            self.pending.remove(0);
        }
        if !self.pending.is_empty() {
            self.file.append(self.pending.iter().map(AsRef::as_ref))?;
            self.pending.clear();
        }
        self.file.compact_if_due()
    }

    /// What a predecessor has recorded before this process could is not recorded twice.
    fn drop_recorded(&mut self) {
        let Some(recorded) = self.file.position() else { return };
        self.pending.retain(|update| {
            let position = update.position();
            position.epoch != recorded.epoch
                || position.revision > recorded.revision
                || update.kind == UpdateKind::Full
        });
    }

    /// A failed write is tried again with the next update. Once too many are waiting, or one is
    /// missing, only a full state can help; until then the file is a valid older state.
    fn judge(&mut self, outcome: Result<(), RecordError>) {
        match (outcome, self.health) {
            (Ok(()), Health::Well) => {}
            (Ok(()), Health::Failing) => {
                tracing::info!("the last-known-good file is written again");
                self.health = Health::Well;
            }
            // A predecessor is still there; what is pending is written when it has gone.
            (Err(RecordError::Locked), _) if self.pending.len() <= WAITING_UPDATES => {}
            (Err(error), health) => {
                if matches!(error, RecordError::Gap) || self.pending.len() > WAITING_UPDATES {
                    self.pending.clear();
                }
                if health == Health::Well {
                    tracing::error!(%error, "the last-known-good file cannot be written; serving goes on, but a start without the control plane would serve an older state");
                }
                self.health = Health::Failing;
            }
        }
    }
}
