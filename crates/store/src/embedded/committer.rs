//! The one thread that writes.
//!
//! It takes up to [`GROUP`] waiting commits, decides them in order, writes all of them at once, and
//! only then publishes the new head, tells watchers and answers. So a sync is shared by whoever
//! waited, revisions follow one another without gaps, and nobody sees what could still be lost.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};

use tokio::sync::{OwnedSemaphorePermit, broadcast, oneshot};

use super::compaction::Compactions;
use super::disk::StorageError;
use super::history::Mark;
use super::shared::Shared;
use super::stage::{Commit, Outcome, Stage};
use super::witness::{IDLE, Witness};
use crate::{Batch, CommitError, ReadError, ReadOnly, Revision};

/// Most commits written at once.
const GROUP: usize = 64;
/// A group is closed once its batches reach this size.
const GROUP_BYTES: usize = 4 << 20;

type CommitReply = oneshot::Sender<Result<Revision, CommitError>>;

/// What the committer is asked to do.
pub(super) enum Request {
    /// The permit bounds how many wait; it is given back when the commit is taken up.
    Commit {
        batch: Batch,
        reply: CommitReply,
        permit: OwnedSemaphorePermit,
    },
    Compact {
        upto: Revision,
        reply: oneshot::Sender<Result<(), ReadError>>,
    },
    Close,
}

/// What woke the committer.
enum Wake {
    Request(Request),
    /// Nothing is waiting; there may be a compaction to go on with.
    Idle,
    /// Nobody is left to ask for anything.
    Abandoned,
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    inbox: Receiver<Request>,
    /// A request that ended a group and is to be taken next.
    carried: Option<Request>,
    feed: broadcast::Sender<Arc<Commit>>,
    witness: Witness,
    compactions: Compactions,
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        inbox: Receiver<Request>,
        feed: broadcast::Sender<Arc<Commit>>,
        witness: Witness,
    ) -> Self {
        let compactions = Compactions::default();
        Self { shared, inbox, carried: None, feed, witness, compactions }
    }

    /// Works until it is told to close, or nobody is left to ask for anything.
    pub(super) fn run(mut self) {
        loop {
            match self.wait() {
                Wake::Request(Request::Commit { batch, reply, permit }) => {
                    drop(permit);
                    self.commit_group(batch, reply);
                }
                Wake::Request(Request::Compact { upto, reply }) => {
                    self.compactions.push(upto, reply);
                }
                Wake::Request(Request::Close) | Wake::Abandoned => break,
                Wake::Idle => {}
            }
            self.compactions.step(&self.shared);
        }
        self.shared.seal(ReadOnly::Closed);
        self.save_witness();
        self.refuse_waiting();
    }

    fn wait(&mut self) -> Wake {
        if let Some(request) = self.carried.take() {
            return Wake::Request(request);
        }
        if !self.compactions.is_empty() {
            return match self.inbox.try_recv() {
                Ok(request) => Wake::Request(request),
                Err(TryRecvError::Empty) => Wake::Idle,
                Err(TryRecvError::Disconnected) => Wake::Abandoned,
            };
        }
        if self.shared.is_sealed() || !self.witness.is_behind(self.shared.head()) {
            return self.inbox.recv().map_or(Wake::Abandoned, Wake::Request);
        }
        match self.inbox.recv_timeout(IDLE) {
            Ok(request) => Wake::Request(request),
            Err(RecvTimeoutError::Timeout) => {
                self.save_witness();
                Wake::Idle
            }
            Err(RecvTimeoutError::Disconnected) => Wake::Abandoned,
        }
    }

    fn commit_group(&mut self, batch: Batch, reply: CommitReply) {
        let (batches, replies) = self.fill_group(batch, reply);
        let refused = |error: &CommitError| replies.iter().map(|_| Err(error.clone())).collect();
        let bytes = batches.iter().map(Batch::size).sum();
        let answers: Vec<_> = match self.shared.refusal(bytes) {
            Some(refusal) => refused(&refusal),
            None => self.decide_and_write(batches).unwrap_or_else(|error| refused(&error)),
        };
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Whoever stopped waiting does not need the answer.
            let _ = reply.send(answer);
        }
    }

    /// Takes what is waiting, up to the bounds of a group.
    fn fill_group(&mut self, batch: Batch, reply: CommitReply) -> (Vec<Batch>, Vec<CommitReply>) {
        let mut bytes = batch.size();
        let (mut batches, mut replies) = (vec![batch], vec![reply]);
        while batches.len() < GROUP && bytes < GROUP_BYTES {
            match self.inbox.try_recv() {
                Ok(Request::Commit { batch, reply, permit }) => {
                    drop(permit);
                    bytes += batch.size();
                    batches.push(batch);
                    replies.push(reply);
                }
                Ok(request) => {
                    self.carried = Some(request);
                    break;
                }
                Err(_) => break,
            }
        }
        (batches, replies)
    }

    /// The answer to each batch, or the one answer to all when the storage fails.
    fn decide_and_write(
        &mut self,
        batches: Vec<Batch>,
    ) -> Result<Vec<Result<Revision, CommitError>>, CommitError> {
        let shared = Arc::clone(&self.shared);
        let failed = |error: StorageError, otherwise| {
            shared.fail(&error);
            match error {
                StorageError::Full(_) => CommitError::Full,
                StorageError::Fault(_) => otherwise,
            }
        };
        let mut stage = Stage::new(&shared.disk, shared.head());
        let mut answers = Vec::with_capacity(batches.len());
        for batch in batches {
            let outcome = stage.admit(batch);
            answers.push(
                match outcome.map_err(|error| failed(error, CommitError::Unavailable))? {
                    Outcome::Accepted(revision) => Ok(revision),
                    Outcome::Conflict(key) => Err(CommitError::Conflict { key: Some(key) }),
                },
            );
        }
        if let Some((batch, commits)) = stage.finish() {
            let written = shared.disk.write(batch);
            written.map_err(|error| failed(error, CommitError::Unknown))?;
            self.publish(commits);
        }
        Ok(answers)
    }

    fn publish(&mut self, commits: Vec<Arc<Commit>>) {
        let Some(last) = commits.last() else { return };
        let head = last.revision;
        self.shared.publish_head(head);
        for commit in commits {
            // Without watchers there is nobody to tell.
            let _ = self.feed.send(commit);
        }
        if self.witness.is_due(head) {
            self.save_witness();
        }
    }

    /// The head is durable, so it may be saved even after the storage failed.
    fn save_witness(&mut self) {
        let mark = Mark { id: self.shared.id, head: self.shared.head() };
        match self.witness.save(mark).map_err(StorageError::from) {
            Ok(()) => {}
            // Nothing is lost by it: the witness may be behind, and is written when there is room.
            Err(StorageError::Full(why)) => tracing::debug!(why, "the witness stays behind"),
            Err(error) => self.shared.fail(&error),
        }
    }

    fn refuse_waiting(self) {
        for request in self.carried.into_iter().chain(self.inbox.try_iter()) {
            if let Request::Commit { reply, .. } = request {
                let _ = reply.send(Err(CommitError::Unavailable));
            }
        }
    }
}
