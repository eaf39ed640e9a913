//! All tenants as lists look for them: what is needed to find and to order them, and nothing else.
//!
//! The store keeps tenants by id; a list wants those on one plan, or with `acme` somewhere in their
//! names, by name, a page at a time. So that no such question reads every record, a [`Directory`] holds
//! of each tenant what can be asked for: its place in each order, a set of tenants for each value of
//! a field ([`facet`]), and one for each one to three characters in a row of its texts ([`grams`]). What
//! a page shows of its tenants is read from the store.
//!
//! A page continues behind a [`Position`], which is a place in an order and not a number of tenants to
//! pass over: tenants that are there throughout a walk, and stay at their place, are seen once each,
//! whatever comes and goes meanwhile.
//!
//! No I/O and no locks here: whoever owns a directory keeps it up with the store.

mod directory;
mod entry;
mod facet;
pub mod filter;
mod grams;
mod order;

pub use directory::{Directory, Found, Question};
pub use entry::Entry;
pub use filter::{Filter, FilterError};
pub use order::{Order, OrderError, Position, SortField};

/// A text without regard to case, as all texts are compared here.
#[must_use]
pub fn folded(text: &str) -> String {
    text.to_lowercase()
}
