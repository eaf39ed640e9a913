//! The threads that serve connections.
//!
//! Each has a runtime of its own, and a connection stays with the one that it was given to. What a task wakes is on its
//! own thread, which hears of it without a lock and without the kernel; and connections to upstreams are used by the
//! thread that reads them. benches/README.md has what threads cost that take tasks from each other.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use tokio::runtime::{Builder, Handle};

/// All threads. They end with the process.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// Which thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct WorkerId(usize);

impl WorkerId {
    /// The thread's own among the connections of a pool. The lowest bits of the number say other things.
    pub(crate) fn own(self, pool: u64) -> u64 {
        pool ^ (self.0 as u64) << 32
    }
}

/// A connection's place on a thread; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    worker: WorkerId,
    connections: Arc<AtomicUsize>,
}

impl Seat {
    /// The thread that it is on.
    pub(crate) fn worker(&self) -> WorkerId {
        self.worker
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Relaxed);
    }
}

impl Workers {
    /// So many threads, and one at least.
    ///
    /// # Errors
    /// A thread that cannot be had, or what it waits with.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        (0..threads.max(1)).map(|_| Worker::start()).collect::<io::Result<_>>().map(Self)
    }

    /// Where connections are accepted: on a thread that serves some of them, so that these need not be handed over.
    pub(crate) fn accepting(&self) -> Option<&Handle> {
        self.0.first().map(|worker| &worker.runtime)
    }

    /// The thread with the fewest connections, and a place on it. Which one it is of those with as few is drawn: a
    /// client that knew where its connections are could end those of one thread, and have all others' put there.
    pub(crate) fn seat(&self) -> Option<(&Handle, Seat)> {
        let turn = usize::from(rand::random::<u16>());
        let standing = |(place, worker): &(usize, &Worker)| {
            (worker.connections.load(Relaxed), (place + turn) % self.0.len())
        };
        let (place, worker) = self.0.iter().enumerate().min_by_key(standing)?;
        worker.connections.fetch_add(1, Relaxed);
        let connections = Arc::clone(&worker.connections);
        Some((&worker.runtime, Seat { worker: WorkerId(place), connections }))
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let serves = move || runtime.block_on(pending::<()>());
        thread::Builder::new().name("connections".to_owned()).spawn(serves)?;
        Ok(Self { runtime: handle, connections: Arc::default() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn connections_go_where_there_are_fewest() {
        let workers = Workers::start(3).unwrap();
        let seat = || workers.seat().unwrap().1;
        let mut taken: Vec<_> = (0..9).map(|_| seat()).collect();
        let on = |taken: &[Seat], place| taken.iter().filter(|it| it.worker().0 == place).count();
        assert_eq!([0, 1, 2].map(|place| on(&taken, place)), [3, 3, 3]);
        taken.retain(|seat| seat.worker().0 != 1);
        assert_eq!([seat(), seat()].map(|seat| seat.worker().0), [1, 1]);
    }

    #[test]
    fn nobody_can_tell_which_of_several_it_is() {
        let workers = Workers::start(2).unwrap();
        let first = || workers.seat().unwrap().1.worker();
        assert_eq!((0..64).map(|_| first()).collect::<HashSet<_>>().len(), 2);
    }

    #[tokio::test]
    async fn each_is_a_thread() {
        let workers = Workers::start(2).unwrap();
        let seats = [workers.seat().unwrap(), workers.seat().unwrap()];
        let mut threads = HashSet::from([thread::current().id()]);
        for (runtime, _seat) in &seats {
            let thread = || runtime.spawn(async { thread::current().id() });
            assert!(threads.insert(thread().await.unwrap()));
            assert!(!threads.insert(thread().await.unwrap()));
        }
    }
}
