//! The control plane: the state machines of `tenantry-distribution`, given commits, time and pipes.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tenantry_distribution::{
    CatchUp, Change, EncodeError, Encoding, Feed, Frame, FullState, Hello, Ledger, Next, Opening,
    Places, Position, Protocols, Publication, Published, Removal, Window, window::Bounds,
};

use crate::{
    defect::Defect,
    history::{History, State, hash},
    pipe::{Id, Pipe},
};

/// How many expensive sends go on at once.
pub(crate) const PLACES: u32 = 2;
/// A window so small that proxies are overtaken by it.
const BOUNDS: Bounds = Bounds { bytes: 3_000, deltas: 6, portion_bytes: 700 };
/// Resources of a full state that are sent at a time.
const PAGE: usize = 3;
/// A proxy that takes nothing for so long is dropped.
const STALL: Duration = Duration::from_secs(30);

/// One run of the process: all of it is forgotten at its end.
pub(crate) struct ControlPlane {
    publication: Publication,
    window: Window,
    debounce: Duration,
    places: Places,
    protocols: Protocols,
    streams: BTreeMap<Id, Stream>,
    defect: Option<Defect>,
}

struct Stream {
    stage: Stage,
    encoding: Encoding,
    has_place: bool,
    taken_at: Duration,
}

enum Stage {
    Opening { opening: Opening, protocol: u32 },
    Full { state: FullState, left: VecDeque<Change> },
    Feeding(Feed),
    Overtaken,
}

/// What a proxy asks with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) from: Option<Position>,
    pub(crate) protocol: u32,
    pub(crate) encoding: Encoding,
}

/// How a request is answered.
pub(crate) enum Answer {
    Stream(Opening),
    TurnedAway(Duration),
    OtherProtocol,
}

impl ControlPlane {
    pub(crate) fn start(
        history: &History,
        debounce: Duration,
        protocols: Protocols,
        defect: Option<Defect>,
    ) -> Self {
        let (publication, window) = load(history, debounce);
        Self {
            publication,
            window,
            debounce,
            places: Places::new(PLACES),
            protocols,
            streams: BTreeMap::new(),
            defect,
        }
    }

    pub(crate) fn head(&self) -> Position {
        self.window.head()
    }

    pub(crate) fn taken_places(&self) -> usize {
        self.streams.values().filter(|stream| stream.has_place).count()
    }

    pub(crate) fn window_bytes(&self) -> (usize, usize) {
        (self.window.bytes(), BOUNDS.bytes)
    }

    /// Takes in at most so many commits. If they are not all kept, the state is read again; streams stay.
    pub(crate) fn follow(&mut self, history: &History, at_most: usize) {
        let Some(new) = history.after(self.publication.seen()) else {
            (self.publication, self.window) = load(history, self.debounce);
            return;
        };
        for commit in new.iter().take(at_most) {
            self.publication.take(commit.revision, commit.changes.clone());
        }
    }

    /// Makes the deltas that are due.
    pub(crate) fn publish(&mut self, history: &History, now: Duration) -> Result<(), EncodeError> {
        while self.publication.due(now) == Some(Duration::ZERO) {
            let Some(Published { all: mut delta, .. }) = self.publication.publish(now)? else {
                break;
            };
            if self.defect == Some(Defect::FirstFormWins) {
                delta = self.with_first_forms(history, delta)?;
            }
            self.window.push(delta);
        }
        self.window.settle(self.publication.settled());
        Ok(())
    }

    /// The delta as it were if the first form of each resource won, under a hash that agrees with it.
    fn with_first_forms(
        &self,
        history: &History,
        delta: tenantry_distribution::Delta,
    ) -> Result<tenantry_distribution::Delta, EncodeError> {
        let commits = history.after(delta.from.revision).unwrap_or_default();
        let mut first = State::new();
        let mut changes = Vec::new();
        for commit in commits.iter().take_while(|commit| commit.revision <= delta.to.revision) {
            for change in &commit.changes {
                let (name, json) = change.clone().into_parts();
                let is_first = !changes
                    .iter()
                    .any(|earlier: &Change| earlier.kind() == name.kind && earlier.id() == name.id);
                if is_first {
                    changes.push(change.clone());
                    first.extend(json.map(|json| (name, json)));
                }
            }
        }
        let mut state = history.at(delta.from.revision).unwrap_or_default();
        crate::history::apply(&mut state, &changes);
        let to = Position { hash: hash(&state), ..delta.to };
        tenantry_distribution::Delta::new(delta.from, to, delta.resources, changes)
    }

    pub(crate) fn answer(&mut self, id: Id, ask: Ask, draw: f64, now: Duration) -> Answer {
        let Ok(protocol) = self.protocols.with(ask.protocol) else { return Answer::OtherProtocol };
        let opening = Opening::of(ask.from, &self.window);
        let has_place = opening.is_expensive();
        if has_place
            && self.defect != Some(Defect::IgnorePlaces)
            && let Err(turned_away) = self.places.take()
        {
            let seconds = turned_away.retry_after_seconds(draw);
            return Answer::TurnedAway(Duration::from_secs(seconds));
        }
        let stage = Stage::Opening { opening, protocol };
        let encoding = ask.encoding;
        self.streams.insert(id, Stream { stage, encoding, has_place, taken_at: now });
        Answer::Stream(opening)
    }

    /// The connection of a stream is gone.
    pub(crate) fn close(&mut self, id: Id) {
        if let Some(stream) = self.streams.remove(&id) {
            self.give_back(stream.has_place);
        }
    }

    fn give_back(&mut self, has_place: bool) {
        if has_place && self.defect != Some(Defect::IgnorePlaces) {
            self.places.give_back(Duration::from_millis(100));
        }
    }

    /// Sends what one stream is to be sent next, if its proxy has taken what was before. False if the
    /// stream is over.
    pub(crate) fn send(
        &mut self,
        id: Id,
        pipe: &mut Pipe,
        history: &History,
        now: Duration,
    ) -> Result<bool, EncodeError> {
        let Some(mut stream) = self.streams.remove(&id) else { return Ok(false) };
        if pipe.is_full() && self.defect != Some(Defect::BufferWithoutBound) {
            let is_well = now.saturating_sub(stream.taken_at) < STALL;
            if is_well {
                self.streams.insert(id, stream);
            } else {
                self.give_back(stream.has_place);
            }
            return Ok(is_well);
        }
        stream.taken_at = now;
        stream.stage = self.advance(stream.stage, stream.encoding, pipe, history)?;
        if let Stage::Overtaken = stream.stage {
            self.give_back(stream.has_place);
            return Ok(false);
        }
        if let Stage::Feeding(feed) = &stream.stage
            && stream.has_place
            && feed.position() == self.window.head()
        {
            stream.has_place = false;
            self.give_back(true);
        }
        self.streams.insert(id, stream);
        Ok(true)
    }

    fn advance(
        &mut self,
        stage: Stage,
        encoding: Encoding,
        pipe: &mut Pipe,
        history: &History,
    ) -> Result<Stage, EncodeError> {
        match stage {
            Stage::Opening { opening, protocol } => {
                let hello = Hello { protocol, epoch: self.head().epoch };
                send_frame(pipe, encoding, &Frame::Hello(hello))?;
                self.begin(opening, encoding, pipe, history)
            }
            Stage::Full { state, mut left } => {
                let page: Vec<_> = left.drain(..left.len().min(PAGE)).collect();
                let mut lines = BytesMut::new();
                for change in page {
                    lines.extend_from_slice(&Frame::Change(change).encode()?);
                }
                pipe.write(&encoding.encode(lines.freeze())?);
                if !left.is_empty() {
                    return Ok(Stage::Full { state, left });
                }
                send_frame(pipe, encoding, &state.commit())?;
                Ok(Stage::Feeding(Feed::at(state.position)))
            }
            Stage::Feeding(feed) => self.feed(feed, encoding, pipe),
            Stage::Overtaken => Ok(Stage::Overtaken),
        }
    }

    fn begin(
        &mut self,
        opening: Opening,
        encoding: Encoding,
        pipe: &mut Pipe,
        history: &History,
    ) -> Result<Stage, EncodeError> {
        match opening {
            Opening::Follow(position) => return Ok(Stage::Feeding(Feed::at(position))),
            Opening::CatchUp(position) => {
                if self.catch_up(position, history)? {
                    return Ok(Stage::Feeding(Feed::at(position)));
                }
            }
            Opening::Full => {}
        }
        let state = FullState::newest(&self.window);
        let is_pinned = self.defect != Some(Defect::UnpinnedFull);
        let at = if is_pinned { state.read_at } else { history.head() };
        let Some(resources) = history.at(at) else { return Ok(Stage::Overtaken) };
        send_frame(pipe, encoding, &state.begin(Removal::Guarded))?;
        let left = resources.into_iter().map(|(name, json)| Change::new(name, Some(json)));
        Ok(Stage::Full { state, left: left.collect() })
    }

    fn catch_up(&mut self, from: Position, history: &History) -> Result<bool, EncodeError> {
        match Opening::of(Some(from), &self.window) {
            Opening::Follow(_) => return Ok(true),
            Opening::CatchUp(_) => {}
            Opening::Full => return Ok(false),
        }
        let to = self.window.head();
        let Ok(mut catch_up) = CatchUp::new(from, to, self.window.resources()) else {
            return Ok(false);
        };
        let Some(commits) = history.after(from.revision) else { return Ok(false) };
        let skipped = usize::from(self.defect == Some(Defect::CatchUpMissesOne));
        for commit in commits.iter().skip(skipped) {
            if catch_up.take(commit.revision, commit.changes.clone()).is_err() {
                return Ok(false);
            }
        }
        self.window.remember(catch_up.finish()?);
        Ok(true)
    }

    fn feed(
        &self,
        mut feed: Feed,
        encoding: Encoding,
        pipe: &mut Pipe,
    ) -> Result<Stage, EncodeError> {
        let before = feed.position();
        let deltas = match feed.next(Some(&self.window))? {
            Next::Send(deltas) => deltas,
            Next::Wait => return Ok(Stage::Feeding(feed)),
            Next::Overtaken => return Ok(Stage::Overtaken),
        };
        if self.defect == Some(Defect::IgnoreRename) && before.hash == feed.position().hash {
            return Ok(Stage::Feeding(Feed::at(before)));
        }
        let lost = self.defect == Some(Defect::LoseDelta) && deltas.len() > 1;
        for delta in deltas.into_iter().skip(usize::from(lost)) {
            pipe.write(&delta.bytes(encoding));
        }
        Ok(Stage::Feeding(feed))
    }

    /// A sign of life, unless the stream has something else to say.
    pub(crate) fn heartbeat(&self, id: Id, pipe: &mut Pipe) -> Result<(), EncodeError> {
        match self.streams.get(&id) {
            Some(Stream { stage: Stage::Feeding(feed), encoding, .. }) if !pipe.is_full() => {
                send_frame(pipe, *encoding, &feed.heartbeat())
            }
            _ => Ok(()),
        }
    }
}

/// Reads the whole state.
fn load(history: &History, debounce: Duration) -> (Publication, Window) {
    let mut ledger = Ledger::new();
    for (name, json) in history.state() {
        ledger.put(&name.kind, &name.id, json.as_bytes());
    }
    let (epoch, revision) = (history.epoch, history.head());
    let head = Position { epoch, revision, hash: ledger.hash() };
    let window = Window::bounded(head, ledger.resources(), BOUNDS);
    (Publication::new(head, ledger, debounce), window)
}

fn send_frame(pipe: &mut Pipe, encoding: Encoding, frame: &Frame) -> Result<(), EncodeError> {
    let line: Bytes = encoding.encode(frame.encode()?)?;
    pipe.write(&line);
    Ok(())
}
