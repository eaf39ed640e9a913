//! What the process tells about requests.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use serde::Deserialize;

/// The access log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/proxy.toml describes each key where operators read it")]
pub struct AccessLogOptions {
    pub enabled: bool,
    pub path: String,
    pub query: bool,
    pub user_agent: bool,
    pub sample_one_in: NonZeroU32,
    pub sample_refusals: bool,
    pub buffered_lines: NonZeroUsize,
}

/// Traces.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/proxy.toml describes each key where operators read it")]
pub struct TracingOptions {
    pub endpoint: String,
    pub sample_ratio: f64,
    pub timeout_seconds: NonZeroU64,
    pub queued_spans: NonZeroUsize,
    pub delay_ms: NonZeroU64,
}
