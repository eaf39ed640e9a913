//! Everything that only whole processes can show, and what holds the code base together.

mod changes;
// mod demo;
mod durability;
mod front_door;
mod identity;
mod keys_by_url;
mod observability;
mod start;
mod survival;
mod tidy;
