//! The control plane over real HTTP, on ports of its own.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod access;
mod api;
mod bounds;
mod certificates;
mod distribution;
mod dry_run;
mod enrolment;
mod fuzz;
mod history;
mod idempotency;
mod import;
mod inputs;
mod lists;
mod openapi;
mod rollouts;
mod server;
mod waiting;
