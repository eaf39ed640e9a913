//! The control plane over real HTTP, on ports of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod access;
mod api;
mod certificates;
mod distribution;
mod inputs;
mod openapi;
mod server;
