//! API keys and JSON Web Tokens: what they look like, and whether one is genuine; and how secrets are
//! sealed where they are stored.
//!
//! Pure: no I/O, no async, no clock, no global and no randomness of its own. Keys, randomness and
//! `now` are passed in, so the same call always gives the same answer and everything here can be
//! tested, fuzzed and replayed.
//!
//! A credential is hostile until it is proven: whatever a client sends ends in a value or in a
//! closed error, never in a panic, and no error or `Debug` text ever holds the credential itself.
//!
//! Two things are left to the caller, because they need state: an API key's digest is looked up in
//! the snapshot, and [`jwt::Claims::is_for`] is asked about the tenant that the request belongs to.

pub mod access_token;
pub mod api_key;
pub mod jwt;
pub mod password;
pub mod sealing;

#[cfg(any(test, feature = "signing"))]
pub mod signing;
