//! Everything that only whole processes can show, and what holds the code base together.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, in their helper functions too"
)]

mod access_log;
mod changes;
mod cli;
mod connections;
mod corpus;
mod declarative;
mod demo;
mod documents;
mod durability;
mod error_pages;
mod explain;
mod fleet;
mod front_door;
mod groups;
mod history;
mod idempotency;
mod identity;
mod import;
mod keys;
mod keys_by_url;
mod lifecycle;
mod limits;
mod nodes;
mod observability;
mod protocols;
mod regions;
mod relay;
mod removal;
mod replay;
mod restored;
mod roles;
mod rollouts;
mod routes;
mod secrets;
mod snapshot;
mod start;
mod supervision;
mod survival;
mod tidy;
mod tls;
mod tracing;
mod upstreams;
