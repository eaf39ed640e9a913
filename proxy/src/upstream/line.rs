//! Connections that are counted, or that can be cut from outside.
//!
//! Pingora keeps connections to itself. What it offers is a look at a socket before it connects and
//! a word when it is closed; that is enough to count connections against a cap, and to keep a second
//! handle on the socket by which a request that has had its time can be ended. Only upstreams that
//! ask for either have lines.

use std::{
    collections::HashMap,
    net::{Shutdown, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use pingora::{
    Error, ErrorType, Result,
    upstreams::peer::{HttpPeer, Tracer, Tracing},
};
use tenantry_engine::{CompiledUpstream, Held};
use tokio::net::TcpSocket;

/// Connections that can be cut, by the descriptor that pingora knows them by.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<HashMap<RawFd, Weak<Line>>>);

/// One connection, or the wish for one.
#[derive(Debug)]
pub(super) struct Line {
    open: Mutex<Open>,
    over_cap: AtomicBool,
    lines: Weak<Lines>,
}

#[derive(Debug, Default)]
struct Open {
    socket: Option<(RawFd, TcpStream)>,
    place: Option<Held>,
}

/// What a line is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    pub(super) counted: bool,
    pub(super) watched: bool,
}

impl Lines {
    /// Makes the connection that a peer may lead to a line. A connection that is reused leaves the
    /// new line unused.
    pub(super) fn attach(
        self: &Arc<Self>,
        peer: &mut HttpPeer,
        upstream: &Arc<CompiledUpstream>,
        purpose: Purpose,
    ) -> Arc<Line> {
        let lines = Arc::downgrade(self);
        let line =
            Arc::new(Line { open: Mutex::default(), over_cap: AtomicBool::default(), lines });
        peer.options.tracer = Some(Tracer(Box::new(Traced(Arc::clone(&line)))));
        let (lines, of_peer, upstream) =
            (Arc::clone(self), Arc::downgrade(&line), Arc::clone(upstream));
        peer.options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |socket| {
            let Some(line) = of_peer.upgrade() else { return Ok(()) };
            line.prepare(socket, &lines, &upstream, purpose)
        }));
        line
    }

    /// The line of a connection that was made before.
    pub(super) fn find(&self, descriptor: RawFd) -> Option<Arc<Line>> {
        self.0.lock().get(&descriptor)?.upgrade()
    }
}

impl Line {
    fn prepare(
        self: &Arc<Self>,
        socket: &TcpSocket,
        lines: &Lines,
        upstream: &CompiledUpstream,
        purpose: Purpose,
    ) -> Result<()> {
        let mut open = self.open.lock();
        if purpose.counted {
            open.place = upstream.connect();
            if open.place.is_none() {
                self.over_cap.store(true, Relaxed);
                return Error::e_explain(ErrorType::ConnectNoRoute, "too many connections");
            }
        }
        // Without a second handle the request can still be read out of time, only not cut.
        if purpose.watched
            && let Ok(handle) = socket.as_fd().try_clone_to_owned()
        {
            let descriptor = socket.as_raw_fd();
            open.socket = Some((descriptor, TcpStream::from(handle)));
            lines.0.lock().insert(descriptor, Arc::downgrade(self));
        }
        Ok(())
    }

    /// Whether there was no connection because there were too many.
    pub(super) fn is_over_cap(&self) -> bool {
        self.over_cap.load(Relaxed)
    }

    /// Whether bytes have come that nobody has read yet.
    pub(super) fn has_unread(&self) -> bool {
        let open = self.open.lock();
        open.socket.as_ref().is_some_and(|(_, socket)| {
            // The socket does not block: without bytes this is an error.
            socket.peek(&mut [0]).is_ok_and(|bytes| bytes > 0)
        })
    }

    /// Ends the connection: whoever reads from it or writes to it is told at once.
    pub(super) fn cut(&self) {
        if let Some((_, socket)) = &self.open.lock().socket {
            // Fails only if the connection has ended already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Gives everything back. The second handle must go, or the server would not see the end.
    fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        let (Some((descriptor, _)), Some(lines)) = (&open.socket, self.lines.upgrade()) else {
            return;
        };
        let mut lines = lines.0.lock();
        if lines.get(descriptor).is_some_and(|line| std::ptr::eq(line.as_ptr(), self)) {
            lines.remove(descriptor);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Debug)]
struct Traced(Arc<Line>);

impl Tracing for Traced {
    fn on_connected(&self) {}

    fn on_disconnected(&self) {
        self.0.close();
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}
