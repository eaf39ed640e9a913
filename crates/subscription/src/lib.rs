//! The proxy's end of distribution: it follows the control plane's stream, hands every whole and
//! verified update to a [`Target`], reports what is enforced, and records the stream in the
//! last-known-good file from which the next start serves with no control plane at all.
//!
//! The order of one update is: decode, check the hash, apply, hand to the file, report. What is
//! reported is therefore enforced, not merely received. Only the first three stand in each other's
//! way: the file has a thread of its own and the report its own pace, so neither a slow disk nor a
//! slow control plane delays the next update.
//!
//! Whatever goes wrong, the state last applied goes on serving. Nothing here takes it back.

pub mod options;
pub mod target;

pub mod progress;
pub mod subscription;

mod answerer;
mod connection;
mod file;
mod follower;
mod recorder;
mod reporter;

pub use options::{BearerToken, Clock, Jitter, Options, OptionsError};
pub use progress::{Applied, Link, Progress, Source, Standing};
pub use subscription::Subscription;
pub use target::Target;
pub use tenantry_distribution::BackoffBounds;
