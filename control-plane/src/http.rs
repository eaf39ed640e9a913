//! HTTP, apart from what is asked for: who asks, how bodies are read, how answers and errors look.

pub mod attempts;
pub mod body;
pub mod changes;
pub mod conditions;
pub mod cors;
pub mod denials;
pub mod enrolment;
pub mod failure;
pub mod fields;
pub mod guard;
pub mod idempotency;
pub mod lines;
mod query;
pub mod rate;
pub mod request;
pub mod response;
pub mod shown;
mod unique;
pub mod yaml;
