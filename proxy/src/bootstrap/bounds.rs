//! Bounds on what clients may do, as they are written in the bootstrap config.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    time::Duration,
};

use ipnet::IpNet;
use serde::Deserialize;
use tenantry_wire::{http1, http2};

/// Bounds on client connections.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/proxy.toml describes each key where operators read it")]
pub struct ConnectionBounds {
    pub max: NonZeroUsize,
    pub max_per_client: NonZeroUsize,
    pub trusted_proxies: Vec<IpNet>,
    pub proxy_protocol_from: Vec<IpNet>,
    pub opening_timeout_seconds: NonZeroU64,
    pub idle_timeout_seconds: NonZeroU64,
    pub drain_idle_seconds: u64,
    pub requests_per_connection: NonZeroU64,
    pub head_timeout_seconds: NonZeroU64,
    pub head_bytes: NonZeroUsize,
    pub headers: NonZeroUsize,
    pub target_bytes: NonZeroUsize,
    pub body_timeout_seconds: NonZeroU64,
    pub body_bytes_per_second: NonZeroU64,
    pub body_bytes: NonZeroU64,
    pub response_timeout_seconds: NonZeroU64,
}

impl ConnectionBounds {
    /// What one head may be.
    pub(crate) fn head(&self) -> http1::Bounds {
        http1::Bounds {
            head_bytes: self.head_bytes.get(),
            target_bytes: self.target_bytes.get(),
            headers: self.headers.get(),
        }
    }

    /// How long a client may take to accept a part of an answer.
    pub(crate) fn response_timeout(&self) -> Duration {
        Duration::from_secs(self.response_timeout_seconds.get())
    }

    pub(crate) fn drain_idle(&self) -> Duration {
        Duration::from_secs(self.drain_idle_seconds)
    }

    /// How long a body of so many bytes may have taken so far.
    pub(crate) fn body_may_take(&self, bytes: u64) -> Duration {
        Duration::from_secs(self.body_timeout_seconds.get() + bytes / self.body_bytes_per_second)
    }
}

/// Bounds on HTTP/2 connections.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/proxy.toml describes each key where operators read it")]
pub struct Http2Bounds {
    pub plaintext: bool,
    pub concurrent_streams: NonZeroU32,
    pub header_list_bytes: NonZeroU32,
    pub pending_resets: NonZeroUsize,
    pub control_frames_per_second: NonZeroU32,
    pub control_frames_burst: NonZeroU32,
    pub messages_per_second: NonZeroU32,
    pub header_block_frames: NonZeroU32,
}

impl Http2Bounds {
    /// What may be sent on one connection.
    pub(crate) fn frames(&self) -> http2::Bounds {
        http2::Bounds {
            control_per_second: self.control_frames_per_second.get(),
            control_burst: self.control_frames_burst.get(),
            messages_per_second: self.messages_per_second.get(),
            header_block_frames: self.header_block_frames.get(),
        }
    }
}
