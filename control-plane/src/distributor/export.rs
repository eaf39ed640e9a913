//! The whole state as a recorded stream, for a proxy that is given it as a file.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use tenantry_distribution::{EncodeError, Frame, FullState, Removal};
use tenantry_store::ReadError;
use tokio::{sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;

use super::{Newest, NotNow, Place, Track, snapshot::Pages};
use crate::app::App;

/// Pieces on their way to the connection.
const PIECES: usize = 2;

#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("whoever asked for it has gone")]
    Gone,
    #[error("whoever asked for it took nothing for too long")]
    Stalled,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Everything that proxies enforce, of all regions, as the last-known-good file of a proxy would hold it. It takes one of the
/// places for whole states. If it cannot be read to its end, it ends in an error, and without its commit.
pub(crate) fn export(app: &Arc<App>) -> Result<ReceiverStream<io::Result<Bytes>>, NotNow> {
    let all = Track::below(None);
    let (_, place) = app.distributor.admit(&all, None)?;
    let Newest { state, .. } = app.distributor.newest(&all).ok_or(NotNow::Loading)?;
    let (pieces, stream) = mpsc::channel(PIECES);
    let export = Export { app: Arc::clone(app), pieces, _place: place };
    tokio::spawn(async move {
        if let Err(cut) = export.run(state).await {
            tracing::warn!(reason = %cut, "an export of the snapshot was cut off");
            let told = export.pieces.send(Err(io::Error::other(cut)));
            // Whoever takes nothing is not waited for once more.
            let _ = time::timeout(export.app.stalled, told).await;
        }
    });
    Ok(ReceiverStream::new(stream))
}

struct Export {
    app: Arc<App>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    _place: Option<Place>,
}

impl Export {
    async fn run(&self, state: FullState) -> Result<(), Cut> {
        let store = &*self.app.store;
        let id = store.status().await.id;
        self.send(Frame::hello(state.epoch()).encode()?).await?;
        self.send(state.begin(Removal::Guarded).encode()?).await?;
        let mut pages = Pages::new(store, &None, None, id, state.read_at);
        while let Some(changes) = pages.next().await? {
            let mut lines = BytesMut::new();
            for change in changes {
                lines.extend_from_slice(&Frame::Change(change).encode()?);
            }
            if !lines.is_empty() {
                self.send(lines.freeze()).await?;
            }
        }
        self.send(state.commit().encode()?).await
    }

    async fn send(&self, lines: Bytes) -> Result<(), Cut> {
        match time::timeout(self.app.stalled, self.pieces.send(Ok(lines))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Cut::Gone),
            Err(_) => Err(Cut::Stalled),
        }
    }
}
