//! Ends requests that have had their time.
//!
//! Pingora has one time-out, for every single read. Where the time to the head of the answer differs
//! from that between its parts, or where the whole is bounded, a task beside the request keeps the
//! time and cuts the connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle};

use super::{attempts::Patience, line::Line};
use crate::clock::Clock;

/// Which time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    FirstByte,
    Idle,
    Total,
}

/// Watches one try. It ends when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    seen: Arc<Seen>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Seen {
    /// When something last went by, in milliseconds of the monotonic clock.
    last_ms: AtomicU64,
    answered: AtomicBool,
    upgraded: AtomicBool,
    ended: AtomicBool,
    expired: AtomicU8,
    /// Told when another time begins to count.
    changed: Notify,
}

impl Watch {
    pub(super) fn start(line: Arc<Line>, patience: Patience, clock: Clock) -> Self {
        let seen = Arc::new(Seen::default());
        seen.touch(clock.now().monotonic);
        let task = tokio::spawn(run(Arc::clone(&seen), line, patience, clock)).abort_handle();
        Self { seen, task }
    }

    pub(super) fn touch(&self, now: Duration) {
        self.seen.touch(now);
    }

    pub(super) fn answered(&self, now: Duration, is_upgrade: bool) {
        self.seen.touch(now);
        self.seen.upgraded.store(is_upgrade, Relaxed);
        self.seen.answered.store(true, Relaxed);
        self.seen.changed.notify_one();
    }

    pub(super) fn end(&self) {
        self.seen.ended.store(true, Relaxed);
        self.task.abort();
    }

    pub(super) fn expired(&self) -> Option<Expired> {
        match self.seen.expired.load(Relaxed) {
            1 => Some(Expired::FirstByte),
            2 => Some(Expired::Idle),
            3 => Some(Expired::Total),
            _ => None,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn touch(&self, now: Duration) {
        self.last_ms.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The next time that could be over, and which.
    fn next(&self, patience: Patience) -> (Duration, Expired) {
        let last = Duration::from_millis(self.last_ms.load(Relaxed));
        let next = if self.answered.load(Relaxed) {
            (last.saturating_add(patience.idle), Expired::Idle)
        } else {
            (last.saturating_add(patience.first_byte), Expired::FirstByte)
        };
        // After a switch of protocols the request is over; what follows has no known length.
        let deadline = patience.deadline.filter(|_| !self.upgraded.load(Relaxed));
        match deadline {
            Some(deadline) if deadline < next.0 => (deadline, Expired::Total),
            _ => next,
        }
    }
}

async fn run(seen: Arc<Seen>, line: Arc<Line>, patience: Patience, clock: Clock) {
    loop {
        let now = clock.now().monotonic;
        let (at, what) = seen.next(patience);
        if now < at {
            tokio::select! {
                () = tokio::time::sleep(at.saturating_sub(now)) => {}
                () = seen.changed.notified() => {}
            }
            continue;
        }
        if what == Expired::Idle && line.has_unread() {
            // It is the client that does not take what came.
            seen.touch(now);
            continue;
        }
        if !seen.ended.load(Relaxed) {
            seen.expired.store(what as u8 + 1, Relaxed);
            line.cut();
        }
        return;
    }
}
