//! The data plane: a pingora shell around the pure crates.
//!
//! Everything that is decided about a request is decided by [`tenantry_engine::decide`]. What is here
//! is the way to it and from it: facts out of pingora's session, the decision into a forwarded request
//! or a problem, sockets, files and clocks. Only this package names pingora.

pub mod app;
pub mod bootstrap;

mod gateway;

mod access_log;
mod active;
mod admin;
mod bundle;
mod clock;
mod connection;
mod error_page;
mod facts;
mod filters;
mod grpc;
mod identity;
mod jwks;
mod lifecycle;
mod listener;
mod metrics;
mod redirect;
mod request_id;
mod respond;
mod secrets;
mod spans;
mod tls;
mod trace;
mod upstream;
