//! The frames that carry state from the control plane to the proxies, and the hash both ends agree
//! on.
//!
//! A stream is newline-delimited JSON: a `hello`, then transactions (`begin`, any number of `put`
//! and `delete`, `commit`) with a `heartbeat` every few seconds. The last-known-good file of a proxy
//! is a recorded stream, read by the same code.
//!
//! Everything here is pure over bytes: no I/O, no async, no clock, so both ends, the file and a
//! fuzzer run the same code on the same input. What either end decides is here too, as state machines
//! that its async code drives: the control plane's [`Publication`], [`Window`], [`Feed`] and [`Places`],
//! and the proxy's [`Following`]. So all of it runs in a simulation without sockets or time.
//!
//! How the protocol grows without a flag day:
//! - a field nobody knows is ignored;
//! - a frame nobody knows is ignored wherever it stands. If it did change state, the hash at the
//!   next commit says so;
//! - a resource kind nobody knows is counted in the hash, handed on as [`Change::Unknown`], and
//!   reported as refused: silence would look like enforcement;
//! - a `begin` of an unknown kind is an error, because guessing between "everything" and "a
//!   difference" is how a proxy loses all its routes;
//! - what an older reader must not ignore raises [`PROTOCOL`].
//!
//! Rejected: protobuf over gRPC (a stream that `curl` can show is worth more here than its bytes,
//! and compression takes those back), and length-prefixed binary frames (the same, and the file
//! could no longer be read with a pager).

pub mod hex;
pub mod position;
pub mod protocol;

pub mod change;
pub mod frame;
pub mod update;

pub mod decoder;
pub mod ledger;

pub mod compression;
pub mod reader;

pub mod assembler;
pub mod fold;
pub mod recording;

pub mod backoff;
pub mod following;

pub mod catch_up;
pub mod feed;
pub mod overlay;
pub mod places;
pub mod publication;
pub mod view;
pub mod window;

mod latest;

pub mod question;
pub mod report;

pub use assembler::{Assembler, ContinuityError, Event, RemovalBrake};
pub use backoff::{Backoff, BackoffBounds};
pub use catch_up::{CatchUp, TooMuch};
pub use change::{Change, InvalidJson, ResourceJson, ResourceName};
pub use compression::{Encoded, Encoding};
pub use decoder::{DecodeError, Decoder};
pub use feed::{Feed, FullState, Next, Opening};
pub use fold::fold;
pub use following::{End, Following};
pub use frame::{Begin, EncodeError, Frame, Hello, MAX_LINE_BYTES, Mark, Removal, UpdateKind};
pub use hex::{Epoch, StateHash};
pub use ledger::Ledger;
pub use overlay::Overlay;
pub use places::{Places, TurnedAway};
pub use position::Position;
pub use protocol::{NoCommonProtocol, PROTOCOL, Protocols};
pub use publication::{Delta, Publication, Published};
pub use question::{ANSWER_PATH, Answer, Question};
pub use reader::FrameReader;
pub use recording::{Damage, Recorded, Recording};
pub use report::{
    KeyUse, Refusal, STATUS_PATH, STREAM_PATH, StatusReport, SubscribeQuery, Traffic,
};
pub use tenantry_model::{NodeName, Revision};
pub use update::Update;
pub use view::{Crossing, Moved, Residents, Sieve, View, tenant_of};
pub use window::{Since, Window};
