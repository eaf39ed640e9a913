//! How it is found out which servers can be used.

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Host, Invalid, bounded::Bounded};

const MAX_PATH_BYTES: usize = 1024;
const MAX_STATUSES: usize = 16;

/// What a check does.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// `GET` on a path.
    Http,
    /// Opens a connection.
    Tcp,
}

/// The target of a check: a path, and a query if there is one.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^/", max_length = 1024))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CheckPath(Arc<str>);

impl CheckPath {
    /// The target as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckPath {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_target = text.starts_with('/')
            && text.len() <= MAX_PATH_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte));
        if is_target {
            Ok(Self(text.into()))
        } else {
            let rule = "start with `/`, in at most 1024 characters that a target may have";
            Err(Invalid::new("path", text, rule))
        }
    }
}

impl TryFrom<String> for CheckPath {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

/// An active check of every server of an upstream, by each proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawHealthCheck", into = "RawHealthCheck")]
pub struct HealthCheck {
    kind: CheckKind,
    path: Option<CheckPath>,
    host: Option<Host>,
    expect_status: BTreeSet<Status>,
    interval_ms: Bounded<100, 3_600_000>,
    timeout_ms: Bounded<10, 60_000>,
    healthy_after: Bounded<1, 100>,
    unhealthy_after: Bounded<1, 100>,
}

type Status = Bounded<100, 599>;

/// An active check of every server of an upstream, by each proxy.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = HealthCheck))]
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHealthCheck {
    /// What it does.
    #[serde(rename = "type")]
    kind: CheckKind,
    /// The path that is asked for; `/` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<CheckPath>,
    /// The `Host` that is sent; the server's own address if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    /// The statuses of a good answer; 200, if there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    expect_status: BTreeSet<Status>,
    /// The time between two checks of a server.
    #[serde(default = "interval")]
    interval_ms: Bounded<100, 3_600_000>,
    /// The time a check may take; at most `interval_ms`.
    #[serde(default = "timeout")]
    timeout_ms: Bounded<10, 60_000>,
    /// Good checks in a row after which a server is used again.
    #[serde(default = "healthy_after")]
    healthy_after: Bounded<1, 100>,
    /// Bad checks in a row after which a server is not used.
    #[serde(default = "unhealthy_after")]
    unhealthy_after: Bounded<1, 100>,
}

fn interval() -> Bounded<100, 3_600_000> {
    Bounded::clamped(5_000)
}

fn timeout() -> Bounded<10, 60_000> {
    Bounded::clamped(2_000)
}

fn healthy_after() -> Bounded<1, 100> {
    Bounded::clamped(2)
}

fn unhealthy_after() -> Bounded<1, 100> {
    Bounded::clamped(3)
}

impl HealthCheck {
    /// What it does.
    #[must_use]
    pub fn kind(&self) -> CheckKind {
        self.kind
    }

    /// The path that is asked for; `/` if none was given.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.as_ref().map_or("/", CheckPath::as_str)
    }

    /// The `Host` that is sent; the server's own address if none was given.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Whether an answer with this status is good: 200, or one of those that were given.
    #[must_use]
    pub fn expects(&self, status: u16) -> bool {
        if self.expect_status.is_empty() {
            return status == 200;
        }
        self.expect_status.iter().any(|expected| expected.get() == u64::from(status))
    }

    /// The time between two checks of a server.
    #[must_use]
    pub fn interval(&self) -> std::time::Duration {
        self.interval_ms.as_millis()
    }

    /// The time a check may take.
    #[must_use]
    pub fn timeout(&self) -> std::time::Duration {
        self.timeout_ms.as_millis()
    }

    /// Good checks in a row after which a server is used again.
    #[must_use]
    pub fn healthy_after(&self) -> u64 {
        self.healthy_after.get()
    }

    /// Bad checks in a row after which a server is not used.
    #[must_use]
    pub fn unhealthy_after(&self) -> u64 {
        self.unhealthy_after.get()
    }
}

#[cfg(feature = "openapi")]
crate::openapi::same_schema!(HealthCheck, RawHealthCheck, "HealthCheck");

impl TryFrom<RawHealthCheck> for HealthCheck {
    type Error = Invalid;
    fn try_from(raw: RawHealthCheck) -> Result<Self, Invalid> {
        let refused =
            |value: &str, rule: &'static str| Err(Invalid::new("health check", value, rule));
        let only_http = raw.path.is_some() || raw.host.is_some() || !raw.expect_status.is_empty();
        if raw.kind == CheckKind::Tcp && only_http {
            return refused("tcp", "path, host and expect_status belong to the type http");
        }
        if raw.expect_status.len() > MAX_STATUSES {
            return refused("expect_status", "name at most 16 statuses");
        }
        if raw.timeout_ms.get() > raw.interval_ms.get() {
            let value = raw.timeout_ms.get().to_string();
            return refused(&value, "timeout_ms is at most interval_ms");
        }
        Ok(Self {
            kind: raw.kind,
            path: raw.path,
            host: raw.host,
            expect_status: raw.expect_status,
            interval_ms: raw.interval_ms,
            timeout_ms: raw.timeout_ms,
            healthy_after: raw.healthy_after,
            unhealthy_after: raw.unhealthy_after,
        })
    }
}

impl From<HealthCheck> for RawHealthCheck {
    fn from(check: HealthCheck) -> Self {
        Self {
            kind: check.kind,
            path: check.path,
            host: check.host,
            expect_status: check.expect_status,
            interval_ms: check.interval_ms,
            timeout_ms: check.timeout_ms,
            healthy_after: check.healthy_after,
            unhealthy_after: check.unhealthy_after,
        }
    }
}

/// When a server is left out because of how it answers requests.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outlier {
    /// Failures in a row after which it is left out.
    #[serde(default = "consecutive_failures")]
    pub consecutive_failures: Bounded<1, 1_000>,
    /// For how long, the first time; twice as long each time it happens again soon.
    #[serde(default = "eject_ms")]
    pub eject_ms: Bounded<100, 3_600_000>,
    /// How much of the upstream may be left out at once; with two servers or more it is one at least.
    #[serde(default = "max_ejected_percent")]
    pub max_ejected_percent: Bounded<1, 100>,
}

fn consecutive_failures() -> Bounded<1, 1_000> {
    Bounded::clamped(5)
}

fn eject_ms() -> Bounded<100, 3_600_000> {
    Bounded::clamped(30_000)
}

fn max_ejected_percent() -> Bounded<1, 100> {
    Bounded::clamped(50)
}
