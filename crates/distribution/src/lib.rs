//! The frames that carry state from the control plane to the proxies, and the hash both ends agree
//! on.
//!
//! A stream is newline-delimited JSON: a `hello`, then transactions (`begin`, any number of `put`
//! and `delete`, `commit`) with a `heartbeat` every few seconds. The last-known-good file of a proxy
//! is a recorded stream, read by the same code.
//!
//! Everything here is pure over bytes: no I/O, no async, no clock, so both ends, the file and a
//! fuzzer run the same code on the same input.
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

pub mod change;
pub mod frame;
pub mod update;

pub mod decoder;
pub mod ledger;

pub mod assembler;
pub mod fold;

pub mod question;
pub mod report;

pub use assembler::{Assembler, ContinuityError, Event, RemovalBrake};
pub use change::{Change, InvalidJson, ResourceJson, ResourceName};
pub use decoder::{DecodeError, Decoder};
pub use fold::fold;
pub use frame::{
    Begin, EncodeError, Frame, Hello, MAX_LINE_BYTES, Mark, PROTOCOL, Removal, UpdateKind,
};
pub use hex::{Epoch, StateHash};
pub use ledger::Ledger;
pub use position::Position;
pub use question::{ANSWER_PATH, Answer, Question};
pub use report::{KeyUse, Refusal, STATUS_PATH, STREAM_PATH, StatusReport, SubscribeQuery};
pub use tenantry_model::{NodeName, Revision};
pub use update::Update;
