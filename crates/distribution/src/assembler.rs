//! Frames in, whole and verified transactions out.
//!
//! The rules of the stream, in one place:
//! - a stream opens with one `hello`, of a protocol this build speaks and of the epoch held;
//! - `put`, `delete` and `commit` stand inside a transaction, which takes effect at its commit or not
//!   at all; a heartbeat may stand anywhere, and inside a transaction only shows that the line is
//!   alive. One that speaks of the revision the transaction leads to comes too early: its commit was
//!   lost;
//! - a delta stands on exactly the revision held and leads to a higher one; one that leads to the
//!   revision held is a repetition and changes nothing;
//! - within an epoch the revision never goes down, not even with a full state;
//! - after every commit, and at every heartbeat for the revision held, both ends agree on the hash;
//! - a heartbeat may run ahead of its transaction once. If the revision it announced is not held when
//!   the next one comes, a notification was lost;
//! - a transaction that would remove a large share of all tenants is refused unless it is marked as
//!   meant.
//!
//! Any breach ends the stream, and from then on only a full state is accepted: what the other end
//! believes is no longer known, and one rule for every breach is easier to trust than a list of those
//! from which a delta might still recover. What was held stays held, as the floor of the revision and
//! as what is being served.

use crate::{
    Begin, Change, Epoch, Frame, Hello, Ledger, Mark, Position, Protocols, Question, Removal,
    Revision, StateHash, Update, UpdateKind,
};

/// Follows one stream after another and keeps the ledger of the state held.
#[derive(Debug)]
pub struct Assembler {
    ledger: Ledger,
    held: Option<Held>,
    basis: Basis,
    brake: RemovalBrake,
    protocols: Protocols,
    stream: Stream,
    /// The revision a heartbeat announced before its transaction came.
    announced: Option<Revision>,
}

/// The share of all tenants that one update may remove without being marked as meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovalBrake {
    /// Fewer tenants than this are guarded only against losing all: removing two of three is everyday
    /// work.
    pub at_least_tenants: u64,
    /// The largest share that passes, in percent.
    pub share_percent: u8,
}

impl RemovalBrake {
    /// Lets everything pass: for a recorded stream, whose updates were judged when they came.
    pub const OFF: Self = Self { at_least_tenants: u64::MAX, share_percent: 100 };

    fn stops(self, before: u64, after: u64) -> bool {
        let removed = u128::from(before.saturating_sub(after));
        // Nothing at all is what a control plane says that has lost its store, whatever the size.
        let loses_all = before > 0 && after == 0 && self.share_percent < 100;
        loses_all
            || before >= self.at_least_tenants
                && removed * 100 > u128::from(before) * u128::from(self.share_percent)
    }
}

impl Default for RemovalBrake {
    /// Half of the tenants, from 100 tenants on.
    fn default() -> Self {
        Self { at_least_tenants: 100, share_percent: 50 }
    }
}

/// What a frame brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet.
    Pending,
    /// The stream is open.
    Opened,
    /// A whole transaction; it is held from now on.
    Update(Update),
    /// A whole transaction that leads to the state held: there is nothing to apply.
    Repeated,
    /// The control plane holds exactly this state.
    Confirmed,
    /// The control plane holds a newer state and has not sent it yet.
    Announced(Revision),
    /// Something is asked.
    Asked(Question),
}

/// How a stream broke the rules. Each one is answered by a full resync.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the message of each")]
pub enum ContinuityError {
    /// The first frame is no hello.
    #[error("the stream does not open with a hello")]
    HelloMissing,
    /// A second hello.
    #[error("a second hello in one stream")]
    HelloRepeated,
    /// A protocol this build does not speak.
    #[error("the stream speaks protocol {offered}, which this build does not")]
    Protocol { offered: u32 },
    /// Another history than that of the state held.
    #[error("the stream is of epoch {offered}; the state held is of {held}")]
    Epoch { held: Epoch, offered: Epoch },
    /// A transaction inside a transaction.
    #[error("a begin inside a transaction")]
    NestedBegin,
    /// A put or delete without a begin.
    #[error("a change outside a transaction")]
    ChangeOutside,
    /// A commit without a begin.
    #[error("a commit outside a transaction")]
    CommitOutside,
    /// A sign of life at a revision whose transaction has not ended.
    #[error("revision {begun} is held by the control plane and its transaction has not ended")]
    Unended { begun: Revision },
    /// A commit of another revision than the begin named.
    #[error("revision {begun} was begun and {committed} committed")]
    Commit { begun: Revision, committed: Revision },
    /// A delta that does not lead forward.
    #[error("a delta from revision {from} to {to}")]
    Span { from: Revision, to: Revision },
    /// A delta on a revision that is not held.
    #[error("a delta from revision {from}, which is not the state held")]
    Gap { held: Option<Revision>, from: Revision },
    /// An older state than the one held.
    #[error("revision {held} is held and the older {offered} offered")]
    Backwards { held: Revision, offered: Revision },
    /// The two ends do not hold the same state.
    #[error(
        "at revision {revision} the state hashes to {actual}; the control plane says {expected}"
    )]
    Hash { revision: Revision, expected: StateHash, actual: StateHash },
    /// An announced revision did not come.
    #[error("revision {announced} was announced and did not come")]
    Behind { announced: Revision },
    /// Too many tenants would be removed at once.
    #[error("of {held} tenants only {left} would be left, and the removal is not marked as meant")]
    Removal { held: u64, left: u64 },
    /// A frame after an error that ended the stream.
    #[error("the stream has already failed")]
    Failed,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    position: Position,
    tenants: u64,
}

/// Whether a delta may stand on what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    Whole,
    Lost,
}

#[derive(Debug)]
enum Stream {
    Start,
    Between(Epoch),
    Inside(Transaction),
    Failed,
}

#[derive(Debug)]
struct Transaction {
    epoch: Epoch,
    begin: Begin,
    standing: Standing,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Advances,
    /// A delta to the revision held, whose changes need not even be kept.
    Repeats,
}

impl Assembler {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(brake: RemovalBrake) -> Self {
        Self {
            ledger: Ledger::new(),
            held: None,
            basis: Basis::Lost,
            brake,
            protocols: Protocols::OURS,
            stream: Stream::Start,
            announced: None,
        }
    }

    /// Takes up the ledger and the state that another assembler, such as that of a file, has arrived
    /// at, under its own brake.
    #[must_use]
    pub fn with_brake(mut self, brake: RemovalBrake) -> Self {
        self.brake = brake;
        self
    }

    /// Speaks other protocols than those of this build.
    #[must_use]
    pub fn with_protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// A new stream begins: an unfinished transaction is dropped, and a hello is due.
    pub fn restart(&mut self) {
        self.stream = Stream::Start;
        self.announced = None;
    }

    /// Only a full state is accepted from now on, for instance because the bytes of the stream could
    /// not be read.
    pub fn distrust(&mut self) {
        self.basis = Basis::Lost;
        self.stream = Stream::Failed;
    }

    /// The state from which a new stream may go on with deltas; nothing if it must be sent whole.
    #[must_use]
    pub fn resume(&self) -> Option<Position> {
        match self.basis {
            Basis::Whole => self.held(),
            Basis::Lost => None,
        }
    }

    /// The state held, whether or not a delta may stand on it.
    #[must_use]
    pub fn held(&self) -> Option<Position> {
        self.held.map(|held| held.position)
    }

    /// How many tenants the state held has.
    #[must_use]
    pub fn tenants(&self) -> u64 {
        self.held.map_or(0, |held| held.tenants)
    }

    /// Whether a transaction has begun and not been committed.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        matches!(self.stream, Stream::Inside(_))
    }

    /// Takes in the next frame.
    ///
    /// # Errors
    /// The rule that was broken. The stream is over then, and [`resume`](Self::resume) is empty.
    pub fn push(&mut self, frame: Frame) -> Result<Event, ContinuityError> {
        let event = match frame {
            Frame::Hello(hello) => self.hello(hello),
            Frame::Begin(begin) => self.begin(begin),
            Frame::Change(change) => self.change(change),
            Frame::Commit(mark) => self.commit(mark),
            Frame::Heartbeat(mark) => self.heartbeat(mark),
            Frame::Question(question) => self.question(question),
            Frame::Unknown => Ok(Event::Pending),
        };
        if event.is_err() {
            self.distrust();
        }
        event
    }

    fn hello(&mut self, hello: Hello) -> Result<Event, ContinuityError> {
        match self.stream {
            Stream::Start => {}
            Stream::Between(_) | Stream::Inside(_) => return Err(ContinuityError::HelloRepeated),
            Stream::Failed => return Err(ContinuityError::Failed),
        }
        if !self.protocols.contains(hello.protocol) {
            return Err(ContinuityError::Protocol { offered: hello.protocol });
        }
        if let Some(position) = self.resume()
            && position.epoch != hello.epoch
        {
            return Err(ContinuityError::Epoch { held: position.epoch, offered: hello.epoch });
        }
        self.stream = Stream::Between(hello.epoch);
        Ok(Event::Opened)
    }

    fn begin(&mut self, begin: Begin) -> Result<Event, ContinuityError> {
        let epoch = match self.stream {
            Stream::Start => return Err(ContinuityError::HelloMissing),
            Stream::Between(epoch) => epoch,
            Stream::Inside(_) => return Err(ContinuityError::NestedBegin),
            Stream::Failed => return Err(ContinuityError::Failed),
        };
        let held = self.held().filter(|held| held.epoch == epoch).map(|held| held.revision);
        if let Some(held) = held
            && begin.to < held
        {
            return Err(ContinuityError::Backwards { held, offered: begin.to });
        }
        let standing = match begin.kind {
            UpdateKind::Full => Standing::Advances,
            UpdateKind::Delta => self.standing(begin)?,
        };
        self.stream = Stream::Inside(Transaction { epoch, begin, standing, changes: Vec::new() });
        Ok(Event::Pending)
    }

    fn standing(&self, begin: Begin) -> Result<Standing, ContinuityError> {
        let Begin { from, to, .. } = begin;
        if to <= from {
            return Err(ContinuityError::Span { from, to });
        }
        match self.resume().map(|position| position.revision) {
            Some(held) if held == to => Ok(Standing::Repeats),
            Some(held) if held == from => Ok(Standing::Advances),
            held => Err(ContinuityError::Gap { held, from }),
        }
    }

    fn change(&mut self, change: Change) -> Result<Event, ContinuityError> {
        match &mut self.stream {
            Stream::Inside(transaction) => {
                if transaction.standing == Standing::Advances {
                    transaction.changes.push(change);
                }
                Ok(Event::Pending)
            }
            Stream::Start => Err(ContinuityError::HelloMissing),
            Stream::Between(_) => Err(ContinuityError::ChangeOutside),
            Stream::Failed => Err(ContinuityError::Failed),
        }
    }

    fn commit(&mut self, mark: Mark) -> Result<Event, ContinuityError> {
        let transaction = match std::mem::replace(&mut self.stream, Stream::Failed) {
            Stream::Inside(transaction) => transaction,
            Stream::Start => return Err(ContinuityError::HelloMissing),
            Stream::Between(_) => return Err(ContinuityError::CommitOutside),
            Stream::Failed => return Err(ContinuityError::Failed),
        };
        let Transaction { epoch, begin, changes, .. } = transaction;
        if mark.revision != begin.to {
            return Err(ContinuityError::Commit { begun: begin.to, committed: mark.revision });
        }
        let position = Position { epoch, revision: mark.revision, hash: mark.hash };
        let ledger = self.advance(begin.kind, &changes);
        agree(mark, ledger.hash())?;
        self.guard(begin.removal, ledger.tenants())?;
        let repeated = self.resume() == Some(position);
        self.held = Some(Held { position, tenants: ledger.tenants() });
        self.ledger = ledger;
        self.basis = Basis::Whole;
        self.stream = Stream::Between(epoch);
        if repeated {
            return Ok(Event::Repeated);
        }
        let Begin { kind, from, to, removal } = begin;
        Ok(Event::Update(Update { epoch, kind, from, to, removal, changes, hash: mark.hash }))
    }

    /// The ledger after a transaction. It leaves an empty one behind: if the commit is refused, only
    /// a full state can follow, which starts from nothing.
    fn advance(&mut self, kind: UpdateKind, changes: &[Change]) -> Ledger {
        let mut ledger = match kind {
            UpdateKind::Full => Ledger::with_capacity(changes.len()),
            UpdateKind::Delta => std::mem::take(&mut self.ledger),
        };
        for change in changes {
            ledger.apply(change);
        }
        ledger
    }

    fn guard(&self, removal: Removal, left: u64) -> Result<(), ContinuityError> {
        let held = self.tenants();
        match removal {
            Removal::Guarded if self.brake.stops(held, left) => {
                Err(ContinuityError::Removal { held, left })
            }
            Removal::Guarded | Removal::Meant => Ok(()),
        }
    }

    /// It may stand anywhere in an open stream, and touches nothing.
    fn question(&self, question: Question) -> Result<Event, ContinuityError> {
        match self.stream {
            Stream::Start => Err(ContinuityError::HelloMissing),
            Stream::Failed => Err(ContinuityError::Failed),
            Stream::Between(_) | Stream::Inside(_) => Ok(Event::Asked(question)),
        }
    }

    fn heartbeat(&mut self, mark: Mark) -> Result<Event, ContinuityError> {
        match &self.stream {
            Stream::Start => return Err(ContinuityError::HelloMissing),
            Stream::Inside(Transaction { begin, .. }) if mark.revision >= begin.to => {
                return Err(ContinuityError::Unended { begun: begin.to });
            }
            Stream::Inside(_) => return Ok(Event::Pending),
            Stream::Failed => return Err(ContinuityError::Failed),
            Stream::Between(_) => {}
        }
        let held = self.resume();
        if let Some(Position { revision, hash, .. }) = held {
            if mark.revision < revision {
                return Err(ContinuityError::Backwards { held: revision, offered: mark.revision });
            }
            if mark.revision == revision {
                return agree(mark, hash).map(|()| Event::Confirmed);
            }
        }
        match self.announced {
            Some(announced) if held.is_none_or(|held| held.revision < announced) => {
                Err(ContinuityError::Behind { announced })
            }
            _ => {
                self.announced = Some(mark.revision);
                Ok(Event::Announced(mark.revision))
            }
        }
    }
}

fn agree(mark: Mark, actual: StateHash) -> Result<(), ContinuityError> {
    if mark.hash == actual {
        Ok(())
    } else {
        Err(ContinuityError::Hash { revision: mark.revision, expected: mark.hash, actual })
    }
}
