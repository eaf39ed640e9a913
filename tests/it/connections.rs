//! Connections: what may be sent on them, how slowly, and how many there may be.

mod bounds;
pub(crate) mod frames;
mod front;
mod http1;
mod http2;
mod neighbours;
mod slow;
