//! The control plane: the HTTP API, the distribution of state to proxies, and what runs beside them.
//!
//! [`App`] is the composition root: it takes a [`Bootstrap`] config, a clock and randomness, opens the
//! store and starts the two listeners. Nothing here is global, so a test starts as many as it likes.
//!
//! What may be done is decided in `tenantry-tenancy`; here it is only translated: requests to
//! operations ([`controllers`]), errors to problems ([`http::failure`], the only place), commits to
//! frames ([`distributor`]).

pub mod app;
pub mod bootstrap;
pub mod courier;
pub mod master_key;
pub mod passwords;
pub mod random;
pub mod tls;
mod token;

pub mod openapi;
pub mod router;

pub mod controllers;
pub mod http;

pub mod compaction;
pub mod directory;
pub mod distributor;
pub mod metrics;
pub mod notary;
pub mod reconciler;
pub mod rollouts;

mod addresses;
mod serve;

pub use app::{App, Running, StartError};
pub use bootstrap::{Arguments, Bootstrap};
pub use random::Random;
