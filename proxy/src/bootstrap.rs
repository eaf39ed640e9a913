//! The bootstrap config: what one proxy process needs before it has a snapshot.

mod bounds;
mod observability;

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
};

pub use bounds::{ConnectionBounds, Http2Bounds};
use clap::Parser;
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
pub use observability::{AccessLogOptions, TracingOptions};
use serde::{Deserialize, Serialize};
use tenantry_model::RegionId;

pub use crate::tls::{MinimumVersion, TlsOptions};

/// The defaults, as an operator would write them.
const DEFAULTS: &str = include_str!("../../config/proxy.toml");

/// Command-line flags; what is not given comes from the environment, the file or the defaults.
#[derive(Debug, Default, Parser, Serialize)]
#[command(name = "tenantry-proxy", version, about = "The edge proxy of Tenantry.")]
pub struct Flags {
    /// A TOML file with bootstrap config.
    #[arg(long)]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where clients connect; port 0 takes a free one.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_addr: Option<SocketAddr>,
    /// Where clients that speak TLS connect; port 0 takes a free one.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_tls_addr: Option<SocketAddr>,
    /// Where metrics, health and explain are served.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_admin_addr: Option<SocketAddr>,
    /// The control plane's distribution listener, as http://host:port or https://host:port.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution_url: Option<String>,
    /// The file with the authority that signed the distribution's certificate.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution_ca_file: Option<PathBuf>,
    /// The file with the node token.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_token_file: Option<PathBuf>,
    /// The file with the master keys that sealed secrets are opened with.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key_file: Option<PathBuf>,
    /// Where the last-known-good file is kept.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_data_dir: Option<PathBuf>,
    /// A snapshot (`tenantry snapshot export`) to begin with, if nothing was ever received.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_file: Option<PathBuf>,
    /// Take the listening sockets over from the proxy that serves with the same data directory, and let
    /// it end once this one is ready.
    #[arg(long)]
    #[serde(skip)]
    pub upgrade: bool,
    /// The name under which this proxy reports; the host name by default.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Where this proxy stands.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
}

/// The bootstrap config, complete. `config/proxy.toml` says what each key is for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/proxy.toml describes each key where operators read it")]
pub struct Bootstrap {
    pub proxy_addr: SocketAddr,
    pub proxy_tls_addr: SocketAddr,
    pub proxy_admin_addr: SocketAddr,
    pub distribution_url: String,
    #[serde(default)]
    pub distribution_ca_file: Option<PathBuf>,
    #[serde(default)]
    pub node: Option<String>,
    #[serde(default)]
    pub region: Option<RegionId>,
    #[serde(default)]
    pub node_token: Option<Hidden>,
    pub node_token_file: PathBuf,
    #[serde(default)]
    pub master_key: Option<Hidden>,
    #[serde(default)]
    pub master_key_file: Option<PathBuf>,
    pub proxy_data_dir: PathBuf,
    #[serde(default)]
    pub snapshot_file: Option<PathBuf>,
    pub threads: usize,
    pub max_in_flight: NonZeroU32,
    pub limited_subjects: usize,
    pub named_tenants: usize,
    pub token_cache_bytes: u64,
    pub shutdown_delay_seconds: u64,
    pub shutdown_grace_seconds: u64,
    pub log_filter: String,
    pub log_format: String,
    pub connections: ConnectionBounds,
    pub http2: Http2Bounds,
    pub upstream: UpstreamBounds,
    pub jwks: JwksBounds,
    pub tls: TlsOptions,
    pub access_log: AccessLogOptions,
    pub tracing: TracingOptions,
}

/// Bounds on talking to upstreams.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/proxy.toml describes each key where operators read it")]
pub struct UpstreamBounds {
    pub connect_timeout_seconds: NonZeroU64,
    pub read_timeout_seconds: NonZeroU64,
    pub write_timeout_seconds: NonZeroU64,
    pub idle_timeout_seconds: NonZeroU64,
    pub connect_attempts: NonZeroUsize,
    pub idle_connections: NonZeroUsize,
    pub dns_refresh_seconds: NonZeroU64,
    pub health_checks_at_once: NonZeroUsize,
    pub named_upstreams: usize,
}

/// Bounds on fetching issuers' keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/proxy.toml describes each key where operators read it")]
pub struct JwksBounds {
    pub fetch_timeout_seconds: NonZeroU64,
    pub cool_down_seconds: u64,
    pub refresh_interval_seconds: NonZeroU64,
    pub allow_private: Vec<ipnet::IpNet>,
}

/// A secret of this process, such as the node token; never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// Keys of the environment that are for this process; others with the same prefix are for others.
const ENVIRONMENT: [&str; 29] = [
    "proxy_addr",
    "proxy_tls_addr",
    "proxy_admin_addr",
    "distribution_url",
    "distribution_ca_file",
    "node",
    "region",
    "node_token",
    "node_token_file",
    "master_key",
    "master_key_file",
    "proxy_data_dir",
    "snapshot_file",
    "threads",
    "max_in_flight",
    "limited_subjects",
    "named_tenants",
    "token_cache_bytes",
    "shutdown_delay_seconds",
    "shutdown_grace_seconds",
    "access_log",
    "log_filter",
    "log_format",
    "connections",
    "http2",
    "upstream",
    "jwks",
    "tls",
    "tracing",
];

impl Bootstrap {
    /// Puts together defaults, file, environment and flags, the later over the earlier.
    ///
    /// # Errors
    /// A file that cannot be read, a key that is not known, a value that is not valid.
    pub fn load(flags: &Flags) -> Result<Self, Box<figment::Error>> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(config) = &flags.config {
            figment = figment.merge(Toml::file_exact(config));
        }
        // Figment reads numbers out of the environment; a token of digits must stay text.
        let text = |key: &str| {
            Env::prefixed("TENANTRY_")
                .only(&[key])
                .iter()
                .next()
                .map(|(_, text)| text)
                .filter(|text| !text.is_empty())
        };
        let figment = figment.merge(environment()).merge(Serialized::defaults(flags));
        let mut bootstrap: Self = figment.extract().map_err(Box::new)?;
        bootstrap.node_token = text("node_token").map(Hidden).or(bootstrap.node_token);
        bootstrap.master_key = text("master_key").map(Hidden).or(bootstrap.master_key);
        Ok(bootstrap)
    }
}

/// Keys of tables are written with two underscores: `TENANTRY_UPSTREAM__CONNECT_ATTEMPTS`.
fn environment() -> Env {
    let is_ours = |key: &figment::value::UncasedStr| {
        let top = key.as_str().split("__").next().unwrap_or_default();
        ENVIRONMENT.iter().any(|known| top.eq_ignore_ascii_case(known))
    };
    Env::prefixed("TENANTRY_").filter(is_ours).ignore(&["node_token", "master_key"]).split("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete_and_flags_win() {
        let flags = Flags { proxy_addr: "127.0.0.1:0".parse().ok(), ..Flags::default() };
        let bootstrap = Bootstrap::load(&flags).unwrap();
        assert_eq!(bootstrap.proxy_addr.to_string(), "127.0.0.1:0");
        assert_eq!(bootstrap.proxy_admin_addr.to_string(), "127.0.0.1:7080");
    }

    #[test]
    fn a_key_that_is_not_known_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "proxy_adr = \"127.0.0.1:1\"").unwrap();
        let flags = Flags { config: Some(file.path().to_owned()), ..Flags::default() };
        let error = Bootstrap::load(&flags).unwrap_err().to_string();
        assert!(error.contains("proxy_adr"), "{error}");
    }
}
