//! Operations on a real store in a directory of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod chain;
mod desired;
mod desired_issuers;
mod directory;
mod groups;
mod idempotency;
mod import;
mod invitations;
mod keys;
mod life;
mod life_model;
mod people;
mod platform;
mod quotas;
mod races;
mod rollback;
mod rollback_model;
mod rollouts;
mod rows;
mod subscriptions;
mod upstreams;
