//! The bootstrap config: defaults, then a TOML file, then the environment, then flags.
//!
//! The environment is passed in. Only variables that name a field are looked at, because other
//! processes of the platform have `TENANTRY_*` variables of their own. Their values are taken as text
//! and not guessed at: a token of digits is still a token.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::Parser;
use figment::{
    Figment,
    providers::{Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};
use tenantry_telemetry::LogFormat;
use tenantry_tenancy::{SessionLife, Terms};

use crate::{courier::MailUrl, http::cors::Origin, master_key::MasterKeyText, token::Token};

const DEFAULTS: &str = include_str!("../../config/control-plane.toml");
const PREFIX: &str = "TENANTRY_";
const TEXTS: [&str; 14] = [
    "data_dir",
    "api_addr",
    "distribution_addr",
    "distribution_tls_cert_file",
    "distribution_tls_key_file",
    "log_filter",
    "log_format",
    "root_token",
    "node_token",
    "master_key",
    "master_key_file",
    "mail_url",
    "mail_from",
    "invitation_url",
];
const NUMBERS: [&str; 21] = [
    "heartbeat_seconds",
    "debounce_ms",
    "full_states",
    "stalled_seconds",
    "shutdown_seconds",
    "store_cache_mib",
    "store_reserve_mib",
    "tenant_cache_mib",
    "kept_revisions",
    "session_idle_minutes",
    "session_hours",
    "invitation_days",
    "retention_days",
    "slug_reserved_days",
    "owned_by_tenant",
    "api_requests_per_second",
    "api_requests_burst",
    "anonymous_requests_per_second",
    "anonymous_requests_burst",
    "request_head_seconds",
    "request_body_seconds",
];
/// Given as text with commas.
const LISTS: [&str; 1] = ["cors_origins"];

/// How this process is to run. See `config/control-plane.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where the API listens.
    pub api_addr: SocketAddr,
    /// Where distribution listens.
    pub distribution_addr: SocketAddr,
    /// The chain that distribution shows, if it speaks TLS.
    #[serde(default)]
    pub distribution_tls_cert_file: Option<PathBuf>,
    /// The key of that certificate.
    #[serde(default)]
    pub distribution_tls_key_file: Option<PathBuf>,
    /// Which events are logged.
    pub log_filter: String,
    /// How they are written.
    pub log_format: LogFormat,
    /// How often a stream shows that it is alive.
    pub heartbeat_seconds: NonZeroU32,
    /// For how long changes wait for one another after one was sent.
    pub debounce_ms: Debounce,
    /// How many proxies are sent a whole state at once.
    pub full_states: NonZeroU32,
    /// For how long a proxy may take nothing of what it is sent.
    pub stalled_seconds: NonZeroU32,
    /// How long requests may take to finish on shutdown.
    pub shutdown_seconds: NonZeroU32,
    /// Memory for pages of the store.
    pub store_cache_mib: NonZeroU32,
    /// How much of the disk changes leave free.
    pub store_reserve_mib: NonZeroU32,
    /// Memory for tenants as lists show them.
    pub tenant_cache_mib: NonZeroU32,
    /// How often a principal may ask.
    pub api_requests_per_second: NonZeroU32,
    /// How many requests of a principal may come at once.
    pub api_requests_burst: NonZeroU32,
    /// How often an address may ask without a valid token.
    pub anonymous_requests_per_second: NonZeroU32,
    /// How many requests of an address may come at once without a valid token.
    pub anonymous_requests_burst: NonZeroU32,
    /// How long the head of a request may take to arrive.
    pub request_head_seconds: NonZeroU32,
    /// How long the body of a request may take to arrive.
    pub request_body_seconds: NonZeroU32,
    /// Whose pages may use the API.
    pub cors_origins: Vec<Origin>,
    /// How many of the newest revisions a proxy can resume from.
    pub kept_revisions: NonZeroU32,
    /// For how many days an invitation can be accepted.
    pub invitation_days: NonZeroU32,
    /// Where mail goes.
    pub mail_url: MailUrl,
    /// Who it comes from.
    pub mail_from: String,
    /// Where a letter of invitation leads.
    pub invitation_url: String,
    /// After how long without use a session ends.
    pub session_idle_minutes: NonZeroU32,
    /// After how long a session ends.
    pub session_hours: NonZeroU32,
    /// For how many days a deleted tenant can be brought back, unless whoever deletes it says otherwise.
    pub retention_days: u16,
    /// For how many days a slug that its tenant gave up stays reserved.
    pub slug_reserved_days: u16,
    /// How much of each kind a tenant's own people can make.
    pub owned_by_tenant: NonZeroU32,
    /// The token of the API; if none, the one in `root-token`.
    #[serde(default)]
    pub root_token: Option<Token>,
    /// The token of proxies; if none, the one in `node-token`.
    #[serde(default)]
    pub node_token: Option<Token>,
    /// The master keys that secrets are sealed under, as text.
    #[serde(default)]
    pub master_key: Option<MasterKeyText>,
    /// The file with the master keys.
    #[serde(default)]
    pub master_key_file: Option<PathBuf>,
}

/// The control plane of Tenantry: the API, and the distribution of its state to proxies.
#[derive(Debug, Clone, Default, Parser, Serialize)]
#[command(name = "tenantry-control-plane", version)]
pub struct Arguments {
    /// A TOML file with bootstrap config.
    #[arg(long)]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where everything is kept [default: tenantry-data].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// The file with the master keys that secrets are sealed under.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key_file: Option<PathBuf>,
    /// Where the API listens [default: 127.0.0.1:7070].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_addr: Option<SocketAddr>,
    /// Where distribution to proxies listens [default: 127.0.0.1:7071].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution_addr: Option<SocketAddr>,
    /// Which events are logged [default: info].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_filter: Option<String>,
    /// How events are written: text or json [default: text].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
}

/// A short time for which changes wait for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Debounce(u32);

impl Debounce {
    const MAX_MS: u32 = 1_000;
}

impl TryFrom<u32> for Debounce {
    type Error = String;
    fn try_from(ms: u32) -> Result<Self, String> {
        if ms <= Self::MAX_MS {
            Ok(Self(ms))
        } else {
            Err(format!("changes may wait for {} ms at most, not {ms}", Self::MAX_MS))
        }
    }
}

impl From<Debounce> for u32 {
    fn from(debounce: Debounce) -> Self {
        debounce.0
    }
}

impl From<Debounce> for Duration {
    fn from(debounce: Debounce) -> Self {
        Self::from_millis(debounce.0.into())
    }
}

impl Bootstrap {
    /// For how long things are kept, and how many there may be.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let days = |days: u16| Duration::from_secs(u64::from(days) * 86_400);
        Terms {
            retention: days(self.retention_days),
            slug_reserve: days(self.slug_reserved_days),
            sessions: self.session_life(),
            invitations: Duration::from_secs(u64::from(self.invitation_days.get()) * 86_400),
            owned_by_tenant: self.owned_by_tenant,
        }
    }

    /// Puts the config together.
    ///
    /// # Errors
    /// What cannot be read or understood, and where it was given.
    pub fn load(
        arguments: &Arguments,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Box<figment::Error>> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = &arguments.config {
            figment = figment.merge(Toml::file_exact(file));
        }
        for (variable, value) in environment {
            let Some(field) = variable.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else {
                continue;
            };
            if value.is_empty() && !LISTS.contains(&field.as_str()) {
                // Set to nothing, it says nothing.
                continue;
            }
            if TEXTS.contains(&field.as_str()) {
                figment = figment.merge(Serialized::default(&field, value));
            } else if LISTS.contains(&field.as_str()) {
                let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
                figment = figment.merge(Serialized::default(&field, parts.collect::<Vec<_>>()));
            } else if NUMBERS.contains(&field.as_str()) {
                let number: u32 = value.parse().map_err(|_| {
                    Box::new(figment::Error::from(format!("{variable} is not a number: {value:?}")))
                })?;
                figment = figment.merge(Serialized::default(&field, number));
            }
        }
        figment.merge(Serialized::defaults(arguments)).extract().map_err(Box::new)
    }

    fn session_life(&self) -> SessionLife {
        let minutes = u64::from(self.session_idle_minutes.get());
        let hours = u64::from(self.session_hours.get());
        SessionLife {
            idle: Duration::from_secs(minutes * 60),
            absolute: Duration::from_secs(hours * 60 * 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        arguments: Arguments,
        environment: &[(&str, &str)],
    ) -> Result<Bootstrap, Box<figment::Error>> {
        let pairs =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Bootstrap::load(&arguments, pairs)
    }

    #[test]
    fn later_sources_win() {
        let defaults = load(Arguments::default(), &[]).unwrap();
        assert_eq!(defaults.api_addr.to_string(), "127.0.0.1:7070");
        let environment = [("TENANTRY_API_ADDR", "127.0.0.1:1"), ("TENANTRY_PROXY_ADDR", "x")];
        let from_environment = load(Arguments::default(), &environment).unwrap();
        assert_eq!(from_environment.api_addr.port(), 1);
        let arguments =
            Arguments { api_addr: Some("127.0.0.1:2".parse().unwrap()), ..Default::default() };
        assert_eq!(load(arguments, &environment).unwrap().api_addr.port(), 2);
    }

    #[test]
    fn a_token_is_text_and_stays_hidden() {
        let digits = "1234567890123456";
        let bootstrap = load(Arguments::default(), &[("TENANTRY_ROOT_TOKEN", digits)]).unwrap();
        assert_eq!(bootstrap.root_token.as_ref().unwrap().expose(), digits);
        assert!(!format!("{bootstrap:?}").contains(digits));
        let error = load(Arguments::default(), &[("TENANTRY_ROOT_TOKEN", "short-secret")]);
        assert!(!error.unwrap_err().to_string().contains("short-secret"));
    }

    #[test]
    fn nonsense_is_named() {
        let wrong = |name| load(Arguments::default(), &[(name, "x")]).unwrap_err().to_string();
        assert!(wrong("TENANTRY_API_ADDR").contains("api_addr"));
        assert!(wrong("TENANTRY_HEARTBEAT_SECONDS").contains("TENANTRY_HEARTBEAT_SECONDS"));
        let given = |name, value| load(Arguments::default(), &[(name, value)]);
        assert!(given("TENANTRY_DEBOUNCE_MS", "0").is_ok());
        let too_long = given("TENANTRY_DEBOUNCE_MS", "1001").unwrap_err().to_string();
        assert!(too_long.contains("1000 ms at most") && too_long.contains("debounce_ms"));
        assert!(given("TENANTRY_FULL_STATES", "0").is_err());
    }
}
