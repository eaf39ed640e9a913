//! Why a described request would be answered as it would, by the code that decides live ones.
//!
//! Proxies and the control plane share this: a proxy decides by the table that it serves from, the control plane by
//! one that it makes for the purpose. Nothing is charged, nothing is sent anywhere, and no credential is
//! told, kept or shown. Pure but for the bodies of the API that it speaks in.

mod described;
mod recorded;

pub use described::{explain, host};
pub use recorded::redecide;
