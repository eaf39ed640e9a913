//! Logging and the metrics page, set up alike in every process.

pub mod logging;
pub mod metrics;

pub use logging::{LogFormat, LoggingError, init_tracing};
