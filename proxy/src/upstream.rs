//! The way to upstreams: which endpoint, over which connection, for how long, and how often.
//!
//! `gateway.rs` calls one function per phase. What is decided here is about servers, never about
//! tenants.

mod attempts;
mod caller;
mod connector;
mod handshake;
mod line;
mod metrics;
mod outcome;
mod prober;
mod resolver;
mod shelf;
mod view;
mod watch;

pub(crate) use attempts::{Answer, Attempts, Patience, can_be_sent_again, is_idempotent};
pub(crate) use connector::Connector;
pub(crate) use metrics::encode as encode_metrics;
pub(crate) use prober::Prober;
pub(crate) use resolver::Resolver;
pub(crate) use shelf::Destination;
pub(crate) use view::view;
pub(crate) use watch::Expired;
