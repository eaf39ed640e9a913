//! A proxy: the state machine of `tenantry-distribution`, given bytes, with a state that it serves and a
//! file that outlives it.

use std::time::Duration;

use bytes::Bytes;
use tenantry_distribution::{
    Assembler, BackoffBounds, Change, ContinuityError, DecodeError, Encoding, End, Event,
    Following, Frame, FrameReader, Mark, Position, Protocols, Recording, RemovalBrake, Update,
    UpdateKind,
};

use crate::{
    control_plane::Ask,
    defect::Defect,
    history::{State, apply, hash},
    pipe::Id,
};

const BACKOFF: BackoffBounds =
    BackoffBounds { initial: Duration::from_millis(20), max: Duration::from_secs(2) };
/// A stream without a whole frame for so long is given up.
const SILENCE: Duration = Duration::from_secs(15);

pub(crate) struct Proxy {
    following: Following,
    pub(crate) link: Link,
    /// What it serves.
    pub(crate) content: State,
    /// What it says that this is.
    pub(crate) applied: Option<Position>,
    /// The last-known-good file.
    pub(crate) file: Vec<u8>,
    protocols: Protocols,
    encoding: Encoding,
    /// A damaged stream may have told it another epoch.
    pub(crate) is_tainted: bool,
    /// What a transaction has brought so far; kept for one of the defects alone.
    begun: Vec<Change>,
    begun_kind: UpdateKind,
    updates: usize,
    defect: Option<Defect>,
}

/// How it stands with the control plane.
pub(crate) enum Link {
    Waiting { until: Duration },
    Asking { id: Id },
    Open(Open),
}

pub(crate) struct Open {
    pub(crate) id: Id,
    reader: FrameReader,
    heard_at: Duration,
}

/// What came of some bytes.
#[derive(Debug)]
pub(crate) enum Read {
    Fine,
    Unreadable,
    Breach(ContinuityError),
    /// A state is served that is not the one it is said to be.
    Wrong(String),
}

impl Proxy {
    pub(crate) fn start(
        file: Vec<u8>,
        protocols: Protocols,
        encoding: Encoding,
        defect: Option<Defect>,
    ) -> Result<Self, String> {
        let mut proxy = Self {
            following: Following::new(assembler(protocols), BACKOFF),
            link: Link::Waiting { until: Duration::ZERO },
            content: State::new(),
            applied: None,
            file: Vec::new(),
            protocols,
            encoding,
            is_tainted: false,
            begun: Vec::new(),
            begun_kind: UpdateKind::Delta,
            updates: 0,
            defect,
        };
        if !file.is_empty() {
            proxy.take_up(file)?;
        }
        Ok(proxy)
    }

    /// Serves what the file holds, as far as it is whole.
    fn take_up(&mut self, mut file: Vec<u8>) -> Result<(), String> {
        let mut recording = Recording::new();
        recording.push(&file).map_err(|damage| format!("its file is damaged: {damage}"))?;
        // A base that is not whole yet is never put in the place of the one before.
        let recorded = recording.finish().map_err(|damage| damage.to_string())?;
        file.truncate(usize::try_from(recorded.whole_bytes).unwrap_or(usize::MAX));
        self.file = file;
        let assembler =
            recorded.assembler.with_brake(RemovalBrake::default()).with_protocols(self.protocols);
        self.following = Following::new(assembler, BACKOFF);
        self.apply(&recorded.update);
        Ok(())
    }

    pub(crate) fn ask(&mut self, id: Id) -> Ask {
        self.link = Link::Asking { id };
        self.begun.clear();
        Ask {
            from: self.following.ask(),
            protocol: self.protocols.newest(),
            encoding: self.encoding,
        }
    }

    pub(crate) fn opened(&mut self, id: Id, now: Duration) -> Result<(), DecodeError> {
        let reader = FrameReader::new(self.encoding)?;
        self.link = Link::Open(Open { id, reader, heard_at: now });
        Ok(())
    }

    /// The connection it has or waits for.
    pub(crate) fn connection(&self) -> Option<Id> {
        match &self.link {
            Link::Waiting { .. } => None,
            Link::Asking { id } | Link::Open(Open { id, .. }) => Some(*id),
        }
    }

    pub(crate) fn is_silent(&self, now: Duration) -> bool {
        matches!(&self.link, Link::Open(open) if now.saturating_sub(open.heard_at) > SILENCE)
    }

    pub(crate) fn end(&mut self, end: End, draw: f64, now: Duration) {
        let wait = self.following.end(end, draw);
        self.link = Link::Waiting { until: now + wait };
    }

    /// Takes in bytes of its stream.
    pub(crate) fn read(&mut self, bytes: Bytes, now: Duration) -> Read {
        let Link::Open(open) = &mut self.link else { return Read::Fine };
        open.reader.push(bytes);
        loop {
            let Link::Open(open) = &mut self.link else { return Read::Fine };
            let frame = match open.reader.next() {
                None => return Read::Fine,
                Some(Err(_)) => return Read::Unreadable,
                Some(Ok(frame)) => frame,
            };
            open.heard_at = now;
            let frame = self.watched(frame);
            match self.following.take(frame) {
                Ok(Event::Update(update)) => {
                    self.apply(&update);
                    self.record(&update);
                    if let Err(wrong) = self.check() {
                        return Read::Wrong(wrong);
                    }
                }
                Ok(_) => {}
                Err(error) => return Read::Breach(error),
            }
        }
    }

    /// Whether what is served is what it is said to be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (served, said) = (hash(&self.content), self.applied.map(|applied| applied.hash));
        match said {
            Some(said) if said != served => {
                Err(format!("it says that it serves {said} and serves {served}"))
            }
            _ => Ok(()),
        }
    }

    fn apply(&mut self, update: &Update) {
        if update.kind == UpdateKind::Full {
            self.content.clear();
        }
        apply(&mut self.content, &update.changes);
        self.applied = Some(update.position());
    }

    fn record(&mut self, update: &Update) {
        self.updates += 1;
        if self.defect == Some(Defect::ForgetToRecord) && self.updates.is_multiple_of(3) {
            return;
        }
        if update.kind == UpdateKind::Full {
            self.file = Frame::hello(update.epoch).encode().unwrap_or_default().to_vec();
        }
        for line in update.lines() {
            self.file.extend_from_slice(&line.unwrap_or_default());
        }
    }

    /// Where a proxy with a defect meddles with a frame.
    fn watched(&mut self, frame: Frame) -> Frame {
        match (self.defect, frame) {
            (Some(Defect::ApplyEarly), Frame::Change(change)) => {
                apply(&mut self.content, std::slice::from_ref(&change));
                Frame::Change(change)
            }
            (Some(Defect::SkipHashCheck), Frame::Begin(begin)) => {
                self.begun.clear();
                self.begun_kind = begin.kind;
                Frame::Begin(begin)
            }
            (Some(Defect::SkipHashCheck), Frame::Change(change)) => {
                self.begun.push(change.clone());
                Frame::Change(change)
            }
            (Some(Defect::SkipHashCheck), Frame::Commit(mark)) => {
                let mut state = match self.begun_kind {
                    UpdateKind::Full => State::new(),
                    UpdateKind::Delta => self.content.clone(),
                };
                apply(&mut state, &self.begun);
                Frame::Commit(Mark { hash: hash(&state), ..mark })
            }
            (Some(Defect::SkipHashCheck), Frame::Heartbeat(mark)) => {
                Frame::Heartbeat(Mark { hash: hash(&self.content), ..mark })
            }
            (_, frame) => frame,
        }
    }
}

fn assembler(protocols: Protocols) -> Assembler {
    Assembler::new(RemovalBrake::default()).with_protocols(protocols)
}
