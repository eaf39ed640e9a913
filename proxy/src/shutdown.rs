//! When the process stops, and how gently.

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM stops gracefully: nothing new is accepted, requests in progress are given their time.
/// SIGINT (Ctrl-C) stops at once.
pub(crate) struct Signals;

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        tokio::select! {
            () = received(signal(SignalKind::terminate())) => ShutdownSignal::GracefulTerminate,
            () = received(signal(SignalKind::interrupt())) => ShutdownSignal::FastShutdown,
        }
    }
}

/// A signal that cannot be listened for never comes; the other one still can.
async fn received(signal: std::io::Result<Signal>) {
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
