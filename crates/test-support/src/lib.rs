//! Real processes, a real origin and real time-outs for end-to-end tests. A dev-dependency only.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "this crate is part of tests: it fails them with a message, and reads the real clock and environment"
)]

mod certificates;
mod contract;
mod control_plane;
mod disk;
mod edge;
mod eventually;
mod origin;
mod platform;
mod process;
mod raw;
mod request;
mod server;
mod smtp;
mod tls;

pub use certificates::{Authority, Issued};
pub use contract::{Contract, api_client};
pub use control_plane::ControlPlane;
pub use disk::{CannotMount, Disk};
pub use edge::{Clients, Edge, EdgeOptions};
pub use eventually::{DEADLINE, eventually, unix_ms};
pub use origin::{Echo, Origin};
pub use platform::{Platform, json, own_loopback};
pub use process::{Process, binary};
pub use raw::{RawAnswer, RawConnection};
pub use request::{Answer, Request};
pub use server::{Body, Server, serve_http1, serve_http2};
pub use smtp::{Letter, MailServer};
pub use tls::TlsClient;
