//! How the process ends: gently, within a deadline, and perhaps with a successor.

pub(crate) mod handover;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tenantry_subscription::Progress;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use handover::{Handover, Predecessor, Sockets};

/// What the parts of the process know of its end.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    opening_clients: watch::Sender<bool>,
    leaving: watch::Sender<bool>,
    closing_clients: watch::Sender<bool>,
    closing_admin: watch::Sender<bool>,
    connections: TaskTracker,
}

impl Lifecycle {
    /// A process that is to relieve another accepts nobody before it can serve.
    pub(crate) fn new(relieves: bool) -> Self {
        let no = || watch::Sender::new(false);
        Self {
            opening_clients: watch::Sender::new(!relieves),
            leaving: no(),
            closing_clients: no(),
            closing_admin: no(),
            connections: TaskTracker::new(),
        }
    }

    /// Whether the process is about to go: load balancers should send nothing more.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    /// Whether connections are to end with the request that is in progress.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing_clients.borrow()
    }

    /// True once clients are to be accepted.
    pub(crate) fn opening_clients(&self) -> watch::Receiver<bool> {
        self.opening_clients.subscribe()
    }

    /// True once clients are to be accepted no more.
    pub(crate) fn closing_clients(&self) -> watch::Receiver<bool> {
        self.closing_clients.subscribe()
    }

    /// True once the admin listener is another process's.
    pub(crate) fn closing_admin(&self) -> watch::Receiver<bool> {
        self.closing_admin.subscribe()
    }

    /// Where connections of clients are counted.
    pub(crate) fn connections(&self) -> &TaskTracker {
        &self.connections
    }

    /// Accepts nothing more, and waits until all connections are done or the deadline has come.
    async fn drain(&self, deadline: Duration) {
        self.leaving.send_replace(true);
        self.closing_clients.send_replace(true);
        self.connections.close();
        let open = self.connections.len();
        tracing::info!(open, "no more connections are accepted");
        match timeout(deadline, self.connections.wait()).await {
            Ok(()) => tracing::info!("all connections are done"),
            Err(_) => {
                let cut = self.connections.len();
                tracing::warn!(cut, "the deadline has come; open connections are cut");
            }
        }
    }
}

/// What ends the process, and how.
pub(crate) struct Ending {
    pub(crate) lifecycle: Lifecycle,
    /// Between being unready and accepting nothing more.
    pub(crate) delay: Duration,
    /// For requests in progress.
    pub(crate) deadline: Duration,
    /// Where a successor may ask for the listening sockets.
    pub(crate) handover: PathBuf,
    pub(crate) sockets: Mutex<Sockets>,
    /// Who served before us, until it is relieved; and how we know that we can.
    pub(crate) predecessor: Mutex<Option<(Predecessor, Progress)>>,
}

#[async_trait]
impl ShutdownSignalWatch for Ending {
    /// SIGTERM ends gently: `/readyz` turns false, after the delay nothing new is accepted, requests in
    /// progress are given their time. A successor that asks for the sockets and is ready does the same
    /// without a delay. SIGINT (Ctrl-C) ends at once, a drain too.
    async fn recv(&self) -> ShutdownSignal {
        let gently = async {
            tokio::select! {
                () = received(SignalKind::terminate()) => self.leave().await,
                () = self.hand_over() => self.drain().await,
            }
        };
        tokio::select! {
            () = gently => ShutdownSignal::GracefulTerminate,
            () = received(SignalKind::interrupt()) => ShutdownSignal::FastShutdown,
        }
    }
}

impl Ending {
    async fn leave(&self) {
        self.lifecycle.leaving.send_replace(true);
        tracing::info!(delay_seconds = self.delay.as_secs(), "told to stop; not ready any more");
        sleep(self.delay).await;
        self.drain().await;
    }

    async fn drain(&self) {
        // A socket that anybody holds goes on taking connections.
        drop(std::mem::take(&mut *self.sockets.lock()));
        self.lifecycle.drain(self.deadline).await;
    }

    /// Tells a predecessor to end, once there is a snapshot to serve from.
    async fn relieve_predecessor(&self) {
        let Some((predecessor, mut progress)) = self.predecessor.lock().take() else { return };
        if progress.wait_for(|standing| standing.applied.is_some()).await.is_none() {
            return;
        }
        self.lifecycle.opening_clients.send_replace(true);
        match tokio::task::spawn_blocking(|| predecessor.relieve()).await {
            Ok(Ok(())) => tracing::info!("the predecessor has let go"),
            _ => tracing::warn!("the predecessor went away while it was relieved"),
        }
    }

    /// Returns once a successor serves on our sockets.
    async fn hand_over(&self) {
        self.relieve_predecessor().await;
        let handover = match Handover::listen(&self.handover) {
            Ok(handover) => handover,
            Err(error) => {
                let path = self.handover.display();
                tracing::warn!(%path, %error, "a successor cannot take over: it would have no place to ask");
                return std::future::pending().await;
            }
        };
        handover.completed(&self.sockets).await;
        self.lifecycle.closing_admin.send_replace(true);
        tracing::info!("a successor has taken over");
    }
}

/// A signal that cannot be listened for never comes; others still can.
async fn received(kind: SignalKind) {
    let signal: std::io::Result<Signal> = signal(kind);
    match signal {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "a stop signal cannot be listened for");
            std::future::pending::<()>().await;
        }
    }
}
