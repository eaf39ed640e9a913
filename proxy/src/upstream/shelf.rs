//! Connections to upstreams that wait for their next request, for the relay.
//!
//! Whether one was closed meanwhile is seen when it is taken, without asking the kernel: the runtime was told.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    time::Duration,
};

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::connection::workers::WorkerId;

/// Where a connection leads, and for which upstream and by which thread it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    pub(crate) address: SocketAddr,
    /// Of [`CompiledUpstream::pool`](tenantry_engine::CompiledUpstream::pool).
    pub(crate) pool: u64,
    /// Whose runtime has opened it, and hears of it.
    pub(crate) worker: WorkerId,
}

/// Keeps connections; at most so many, and each for so long.
#[derive(Debug)]
pub(crate) struct Shelf {
    kept: Mutex<Kept>,
    most: usize,
    longest: Duration,
}

#[derive(Debug, Default)]
struct Kept {
    /// Those put back last are behind.
    lines: HashMap<Destination, VecDeque<Idle>, FixedState>,
    count: usize,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Duration,
}

impl Shelf {
    pub(super) fn new(most: usize, longest: Duration) -> Self {
        Self { kept: Mutex::default(), most, longest }
    }

    /// The connection that was used last, if one is open.
    pub(crate) fn take(&self, destination: &Destination) -> Option<TcpStream> {
        let mut kept = self.kept.lock();
        let Kept { lines, count } = &mut *kept;
        let line = lines.get_mut(destination)?;
        while let Some(idle) = line.pop_back() {
            *count -= 1;
            if is_open(&idle.stream) {
                return Some(idle.stream);
            }
        }
        lines.remove(destination);
        None
    }

    /// Keeps a connection on which nothing is in progress. If there are too many, the one that has waited longest goes.
    pub(crate) fn put(&self, destination: Destination, stream: TcpStream, now: Duration) {
        if self.most == 0 {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.count >= self.most {
            kept.drop_oldest();
        }
        kept.count += 1;
        kept.lines.entry(destination).or_default().push_back(Idle { stream, since: now });
    }

    /// Lets go of those that have waited too long, and of those that were closed.
    pub(crate) fn sweep(&self, now: Duration) {
        let is_good =
            |idle: &Idle| now.saturating_sub(idle.since) < self.longest && is_open(&idle.stream);
        let mut kept = self.kept.lock();
        kept.lines.retain(|_, line| {
            line.retain(is_good);
            !line.is_empty()
        });
        kept.count = kept.lines.values().map(VecDeque::len).sum();
    }
}

impl Kept {
    fn drop_oldest(&mut self) {
        let oldest = |line: &VecDeque<Idle>| line.front().map(|idle| idle.since);
        let line = self.lines.values_mut().filter(|line| !line.is_empty());
        if let Some(line) = line.min_by_key(|line| oldest(line)) {
            line.pop_front();
            self.count -= 1;
        }
    }
}

/// Neither closed by the server nor spoken on: nothing was asked, so nothing can be an answer.
fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    fn destination(port: u16) -> Destination {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Destination { address, pool: 1, worker: WorkerId::default() }
    }

    #[tokio::test]
    async fn the_last_one_is_taken_first_and_only_where_it_leads() {
        let shelf = Shelf::new(9, LONGEST);
        let ((first, _a), (second, _b)) = (connection().await, connection().await);
        let ports = [&first, &second].map(|stream| stream.local_addr().unwrap().port());
        shelf.put(destination(1), first, Duration::ZERO);
        shelf.put(destination(1), second, Duration::ZERO);
        assert!(shelf.take(&destination(2)).is_none());
        assert!(shelf.take(&Destination { pool: 2, ..destination(1) }).is_none());
        let port = || Some(shelf.take(&destination(1))?.local_addr().unwrap().port());
        assert_eq!([port(), port(), port()], [Some(ports[1]), Some(ports[0]), None]);
    }

    #[tokio::test]
    async fn one_that_was_closed_or_spoken_on_is_not_used() {
        let shelf = Shelf::new(9, LONGEST);
        let ((closed, server), (spoken, mut other)) = (connection().await, connection().await);
        drop(server);
        other.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        for stream in [closed, spoken] {
            stream.readable().await.unwrap();
            shelf.put(destination(1), stream, Duration::ZERO);
        }
        assert!(shelf.take(&destination(1)).is_none());
        assert_eq!(shelf.kept.lock().count, 0);
    }

    #[tokio::test]
    async fn there_are_only_so_many_and_for_so_long() {
        let shelf = Shelf::new(2, LONGEST);
        let mut servers = Vec::new();
        for (port, since) in [(1, 5), (2, 3), (1, 6), (2, 7)] {
            let (client, server) = connection().await;
            servers.push(server);
            shelf.put(destination(port), client, Duration::from_secs(since));
        }
        // Those of 5 and 3 had to go.
        shelf.sweep(Duration::from_secs(6) + LONGEST);
        assert_eq!(shelf.kept.lock().count, 1);
        assert!(shelf.take(&destination(1)).is_none());
        assert!(shelf.take(&destination(2)).is_some());
        let none = Shelf::new(0, LONGEST);
        none.put(destination(1), connection().await.0, Duration::ZERO);
        assert!(none.take(&destination(1)).is_none());
    }
}
