//! One proxy's stream.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tenantry_distribution::{
    Begin, EncodeError, Frame, Mark, Position, Question, Removal, SubscribeQuery, UpdateKind,
};
use tenantry_model::Revision;
use tenantry_store::{ReadError, StoreId};
use tokio::{sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;

use super::{follower::delta, nodes::Connected, snapshot::Pages, window::Since};
use crate::app::App;

/// Chunks on their way to the connection; the window keeps the rest.
const CHUNKS: usize = 2;
/// A proxy that takes nothing for this long is dropped.
const STALL: Duration = Duration::from_secs(30);

type Chunk = Result<Bytes, Infallible>;

/// Why a stream ends before its proxy does.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the proxy is gone")]
    Gone,
    #[error("the proxy took nothing for {} seconds", STALL.as_secs())]
    Stalled,
    #[error("the proxy was overtaken")]
    Overtaken,
    #[error("the control plane stops")]
    Stopping,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The frames for a proxy, from where it stands; ends when it must come back and ask again.
pub(crate) fn open(app: &Arc<App>, query: SubscribeQuery) -> ReceiverStream<Chunk> {
    let (chunks, stream) = mpsc::channel(CHUNKS);
    let connected = app.nodes.connect(query.node.clone(), app.clock.now());
    let feed = Feed { app: Arc::clone(app), chunks, connected };
    tokio::spawn(async move {
        let node = query.node.clone();
        let Err(reason) = feed.run(query.position()).await;
        tracing::info!(%node, %reason, "the stream has ended");
    });
    ReceiverStream::new(stream)
}

/// Why a stream goes on.
enum Woken {
    Changed,
    Due,
    Asked(Question),
}

struct Feed {
    app: Arc<App>,
    chunks: mpsc::Sender<Chunk>,
    connected: Connected,
}

impl Feed {
    async fn run(mut self, asked: Option<Position>) -> Result<Infallible, Ended> {
        let mut changed = self.app.distributor.changed.subscribe();
        let mut stopping = self.app.stopping.clone();
        let (head, seen) = self.app.distributor.standing().ok_or(Ended::Overtaken)?;
        self.send(Frame::hello(head.epoch).encode()?).await?;
        let known = asked.filter(|asked| self.app.distributor.since(*asked) != Since::Unknown);
        let mut position = match known {
            Some(position) => position,
            None => self.full(head, seen).await?,
        };
        let mut heartbeat = time::interval(self.app.heartbeat);
        loop {
            position = match self.app.distributor.since(position) {
                Since::Deltas(deltas, head) => {
                    for lines in deltas {
                        self.send(lines).await?;
                    }
                    head
                }
                Since::Nothing(head) => {
                    self.send(delta(position, head, Vec::new())?).await?;
                    head
                }
                Since::Unknown => return Err(Ended::Overtaken),
            };
            let woken = tokio::select! {
                _ = changed.changed() => Woken::Changed,
                // The first tick comes at once: a proxy that is up to date learns so.
                _ = heartbeat.tick() => Woken::Due,
                Some(question) = self.connected.inbox.recv() => Woken::Asked(question),
                () = self.chunks.closed() => return Err(Ended::Gone),
                _ = stopping.wait_for(|stop| *stop) => return Err(Ended::Stopping),
            };
            match woken {
                Woken::Changed => {}
                Woken::Due => self.send(Frame::Heartbeat(mark(position)).encode()?).await?,
                Woken::Asked(question) => self.send(Frame::Question(question).encode()?).await?,
            }
        }
    }

    /// Sends the whole state at this position, as the store holds it at a revision.
    async fn full(&self, at: Position, seen: Revision) -> Result<Position, Ended> {
        let turn = self.app.distributor.full_states.acquire().await;
        let _turn = turn.map_err(|_| Ended::Stopping)?;
        let (kind, to) = (UpdateKind::Full, at.revision);
        let begin = Begin { kind, from: to, to, removal: Removal::Guarded };
        self.send(Frame::Begin(begin).encode()?).await?;
        let id = StoreId::from_bytes(at.epoch.to_u128().to_be_bytes());
        let mut pages = Pages::new(&*self.app.store, id, seen);
        while let Some(changes) = pages.next().await? {
            let mut lines = BytesMut::new();
            for change in changes {
                lines.extend_from_slice(&Frame::Change(change).encode()?);
            }
            if !lines.is_empty() {
                self.send(lines.freeze()).await?;
            }
        }
        self.send(Frame::Commit(mark(at)).encode()?).await?;
        Ok(at)
    }

    async fn send(&self, lines: Bytes) -> Result<(), Ended> {
        match time::timeout(STALL, self.chunks.send(Ok(lines))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(Ended::Stalled),
        }
    }
}

fn mark(position: Position) -> Mark {
    Mark { revision: position.revision, hash: position.hash }
}
