//! Following the commits: the persisted log first, then what the committer announces.
//!
//! A watcher holds the store weakly, so one that is forgotten does not keep the files open, and its
//! stream ends when the store goes. It subscribes before it reads the last of the log, so nothing
//! falls between the two; what comes twice is dropped by its revision. The committer never waits for
//! a watcher: the announcements are a ring, and whoever is overtaken gets [`WatchError::Lagged`].

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::reader;
use super::shared::Shared;
use super::stage::Commit;
use crate::{Revision, WatchError, WatchItem, WatchStream};

type Announcements = Receiver<Arc<Commit>>;

pub(super) fn watch(shared: &Arc<Shared>, prefix: Bytes, from: Revision) -> WatchStream {
    let phase = match is_known(shared, from) {
        Ok(()) => Phase::Replay(None),
        Err(error) => Phase::Failed(error),
    };
    let watcher = Watcher {
        shared: Arc::downgrade(shared),
        prefix,
        next: from,
        ready: VecDeque::new(),
        phase,
    };
    stream::unfold(watcher, Watcher::step).boxed()
}

struct Watcher {
    shared: Weak<Shared>,
    prefix: Bytes,
    /// Everything before this revision has been reported, or is in `ready`.
    next: Revision,
    ready: VecDeque<WatchItem>,
    phase: Phase,
}

enum Phase {
    /// Reading the log; subscribed once it has come close to the head.
    Replay(Option<Announcements>),
    Live(Announcements),
    Failed(WatchError),
    Ended,
}

impl Watcher {
    async fn step(mut self) -> Option<(Result<WatchItem, WatchError>, Self)> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some((Ok(item), self));
            }
            let result = match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Replay(announcements) => self.replay(announcements).await,
                Phase::Live(announcements) => self.follow(announcements).await,
                Phase::Failed(error) => Err(error),
                Phase::Ended => return None,
            };
            match result {
                Ok(phase) => self.phase = phase,
                Err(error) => return Some((Err(error), self)),
            }
        }
    }

    /// Reads some more of the log.
    async fn replay(&mut self, announcements: Option<Announcements>) -> Result<Phase, WatchError> {
        let shared = self.shared.upgrade().ok_or(WatchError::Unavailable)?;
        let (prefix, from) = (self.prefix.clone(), self.next);
        let read = move || replay(&shared, &prefix, from);
        let read = tokio::task::spawn_blocking(read).await;
        let (replay, is_complete) = read.map_err(|_| WatchError::Unavailable)??;
        self.next = replay.next;
        self.ready.extend(replay.items);
        if !is_complete {
            return Ok(Phase::Replay(announcements));
        }
        if let Some(announcements) = announcements {
            self.ready.push_back(WatchItem::Progress { rev: self.next.previous() });
            return Ok(Phase::Live(announcements));
        }
        let shared = self.shared.upgrade().ok_or(WatchError::Unavailable)?;
        Ok(Phase::Replay(Some(shared.subscribe().ok_or(WatchError::Unavailable)?)))
    }

    /// Waits for a commit under the prefix. Others are only counted, and reported as progress once
    /// there is nothing else to report.
    async fn follow(&mut self, mut announcements: Announcements) -> Result<Phase, WatchError> {
        let mut passed_over = None;
        while self.ready.is_empty() {
            let commit = match passed_over {
                None => match announcements.recv().await {
                    Ok(commit) => commit,
                    Err(RecvError::Lagged(_)) => return Err(WatchError::Lagged),
                    Err(RecvError::Closed) => return Err(WatchError::Unavailable),
                },
                Some(rev) => match announcements.try_recv() {
                    Ok(commit) => commit,
                    Err(TryRecvError::Lagged(_)) => return Err(WatchError::Lagged),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => {
                        self.ready.push_back(WatchItem::Progress { rev });
                        break;
                    }
                },
            };
            if commit.revision >= self.next {
                self.next = commit.revision.next();
                self.ready.extend(self.report(&commit));
                passed_over = Some(commit.revision);
            }
        }
        Ok(Phase::Live(announcements))
    }

    fn report(&self, commit: &Commit) -> Option<WatchItem> {
        let under_prefix = |change: &&crate::Change| change.key().starts_with(&self.prefix);
        let changes: Vec<_> = commit.changes.iter().filter(under_prefix).cloned().collect();
        let is_relevant = !changes.is_empty();
        is_relevant.then_some(WatchItem::Commit { rev: commit.revision, changes })
    }
}

/// Whether a watch may begin at `from`, which is at most the revision after the head.
fn is_known(shared: &Shared, from: Revision) -> Result<(), WatchError> {
    let oldest = shared.oldest();
    if from < shared.first || from > shared.head().next() {
        Err(WatchError::StoreChanged)
    } else if from < oldest {
        Err(WatchError::Compacted { oldest })
    } else {
        Ok(())
    }
}

/// Part of the log from `from` on, and whether that was all of it.
fn replay(
    shared: &Shared,
    prefix: &[u8],
    from: Revision,
) -> Result<(reader::Replay, bool), WatchError> {
    is_known(shared, from)?;
    let head = shared.head();
    let replay = reader::replay(&shared.disk, prefix, from, head);
    // Looked at again, because what compaction removed meanwhile is no fault of the storage.
    is_known(shared, from)?;
    let replay = replay.map_err(|error| {
        shared.fail(&error);
        WatchError::Unavailable
    })?;
    let is_complete = replay.next > head;
    Ok((replay, is_complete))
}
