//! A subscription against a real HTTP/2 server on a real socket.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod control_plane;
mod proxy;

mod file;
mod stream;

use std::time::Duration;

/// The outcome of what must happen; not a pause, only the end of patience when it does not.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("waited in vain"),
    }
}
