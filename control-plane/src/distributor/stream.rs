//! One proxy's stream.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tenantry_distribution::{
    EncodeError, Encoding, Feed, Frame, Hello, Next, NodeName, Opening, Position, Question,
    SubscribeQuery, View,
};
use tenantry_store::ReadError;
use tokio::{sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;

use super::{InView, Newest, NotNow, Place, Track, nodes::Connected, snapshot::Pages};
use crate::app::App;

/// Chunks on their way to the connection; the window keeps the rest.
const CHUNKS: usize = 2;

type Chunk = Result<Bytes, Infallible>;

/// Why a stream ends before its proxy does.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the proxy is gone")]
    Gone,
    #[error("the proxy took nothing for {} seconds", .0.as_secs())]
    Stalled(Duration),
    #[error("the proxy was overtaken")]
    Overtaken,
    #[error("the control plane stops")]
    Stopping,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why a stream goes on.
enum Woken {
    Changed,
    Due,
    Asked(Question),
}

/// What a proxy and the control plane have agreed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// What the stream speaks.
    pub(crate) protocol: u32,
    /// How its bytes travel.
    pub(crate) encoding: Encoding,
}

/// The frames for a proxy, from where it stands; ends when it must come back and ask again.
pub(crate) fn open(
    app: &Arc<App>,
    query: &SubscribeQuery,
    view: &View,
    terms: Terms,
) -> Result<ReceiverStream<Chunk>, NotNow> {
    let asked = query.position();
    let track = app.distributor.track(&query.node, view, asked);
    let (opening, place) = app.distributor.admit(&track, asked).inspect_err(|not_now| {
        if let NotNow::TurnedAway(_) = not_now {
            app.metrics.stream(None);
        }
    })?;
    app.metrics.stream(Some(opening));
    let (chunks, stream) = mpsc::channel(CHUNKS);
    let connected = app.nodes.connect(query.node.clone(), view, app.clock.now());
    let view = app.distributor.look_at(view);
    let node = query.node.clone();
    let feed = Stream { app: Arc::clone(app), node, chunks, terms, connected, view };
    tokio::spawn(feed.run_to_end(opening, place));
    Ok(ReceiverStream::new(stream))
}

struct Stream {
    app: Arc<App>,
    node: NodeName,
    chunks: mpsc::Sender<Chunk>,
    terms: Terms,
    connected: Connected,
    view: InView,
}

impl Stream {
    async fn run_to_end(self, opening: Opening, place: Option<Place>) {
        let node = self.node.clone();
        let Err(reason) = self.run(opening, place).await;
        tracing::info!(%node, ?opening, %reason, "the stream has ended");
    }

    async fn run(mut self, opening: Opening, place: Option<Place>) -> Result<Infallible, Ended> {
        let mut changed = self.app.distributor.changed.subscribe();
        let mut stopping = self.app.stopping.clone();
        let mut feed = self.begin(opening).await?;
        let mut place = place;
        let mut heartbeat = time::interval(self.app.heartbeat);
        loop {
            while let Next::Send(deltas) = self.next(&mut feed)? {
                for lines in deltas {
                    self.send(lines.bytes(self.terms.encoding)).await?;
                }
            }
            // What was expensive has been taken.
            place.take();
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
                Woken::Due => self.send_frame(&feed.heartbeat()).await?,
                Woken::Asked(question) => self.send_frame(&Frame::Question(question)).await?,
            }
        }
    }

    fn next(&self, feed: &mut Feed) -> Result<Next, Ended> {
        match self.app.distributor.next(&self.node, &self.view, feed)? {
            Next::Overtaken => Err(Ended::Overtaken),
            next => Ok(next),
        }
    }

    /// Says hello, and brings the proxy to where the window can take over.
    async fn begin(&self, opening: Opening) -> Result<Feed, Ended> {
        let distributor = &self.app.distributor;
        let newest = self.newest()?;
        let epoch = newest.state.epoch();
        let hello = Hello { protocol: self.terms.protocol, epoch };
        self.send_frame(&Frame::Hello(hello)).await?;
        match opening {
            Opening::Follow(position) => return Ok(Feed::at(position)),
            Opening::CatchUp(position)
                if distributor
                    .catch_up(&*self.app.store, &self.track(Some(position)), position)
                    .await =>
            {
                return Ok(Feed::at(position));
            }
            Opening::CatchUp(_) | Opening::Full => {}
        }
        // Newer than what the hello was made of, if catching up took a while.
        let newest = self.newest()?;
        if newest.state.epoch() != epoch {
            return Err(Ended::Overtaken);
        }
        self.full(newest).await
    }

    fn track(&self, stands: Option<Position>) -> Track {
        self.app.distributor.track(&self.node, &self.view, stands)
    }

    fn newest(&self) -> Result<Newest, Ended> {
        self.app.distributor.newest(&self.track(None)).ok_or(Ended::Overtaken)
    }

    /// Sends the whole state, as the store holds it at a revision.
    async fn full(&self, newest: Newest) -> Result<Feed, Ended> {
        let Newest { state, overlay, .. } = newest;
        self.send_frame(&state.begin(self.app.distributor.removal())).await?;
        let id = self.app.store.status().await.id;
        let mut pages = Pages::new(&*self.app.store, &self.view, overlay, id, state.read_at);
        while let Some(changes) = pages.next().await? {
            let mut lines = BytesMut::new();
            for change in changes {
                lines.extend_from_slice(&Frame::Change(change).encode()?);
            }
            if !lines.is_empty() {
                self.send(self.terms.encoding.encode(lines.freeze())?).await?;
            }
        }
        self.send_frame(&state.commit()).await?;
        Ok(Feed::at(state.position))
    }

    async fn send_frame(&self, frame: &Frame) -> Result<(), Ended> {
        self.send(self.terms.encoding.encode(frame.encode()?)?).await
    }

    async fn send(&self, lines: Bytes) -> Result<(), Ended> {
        let stalled = self.app.stalled;
        match time::timeout(stalled, self.chunks.send(Ok(lines))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(Ended::Stalled(stalled)),
        }
    }
}
