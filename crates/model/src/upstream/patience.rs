//! How long an upstream is waited for, and how often a request is tried again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Invalid, bounded::Bounded};

/// Times to wait. What is not given is taken from the proxy's bootstrap config.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = UpstreamTimeouts))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection, TLS included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<Bounded<10, 60_000>>,
    /// For the head of the answer, after the last bytes of the request were passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<Bounded<10, 86_400_000>>,
    /// Between two parts of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<Bounded<10, 86_400_000>>,
    /// From the request's arrival to the end of the answer, over all tries; no end if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<Bounded<10, 86_400_000>>,
}

impl Timeouts {
    /// These, and where they say nothing, the others.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            connect_ms: self.connect_ms.or(other.connect_ms),
            first_byte_ms: self.first_byte_ms.or(other.first_byte_ms),
            idle_ms: self.idle_ms.or(other.idle_ms),
            total_ms: self.total_ms.or(other.total_ms),
        }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A status that says that the server, not the request, is at fault.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = u16, minimum = 502, maximum = 504))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16")]
pub struct RetryStatus(u16);

impl RetryStatus {
    /// The status.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for RetryStatus {
    type Error = Invalid;
    fn try_from(status: u16) -> Result<Self, Invalid> {
        if matches!(status, 502..=504) {
            Ok(Self(status))
        } else {
            let rule = "only 502, 503 and 504 can be tried again";
            Err(Invalid::new("status", &status.to_string(), rule))
        }
    }
}

/// How often a request is tried again, and how much of that there may be at once.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// Tries after the first; 0 for none.
    #[serde(default = "attempts")]
    pub attempts: Bounded<0, 5>,
    /// Requests that are being tried again, as a share of all in progress; a few are always allowed.
    #[serde(default = "budget_percent")]
    pub budget_percent: Bounded<1, 100>,
    /// Answers that count as failures: the request is tried again if it may be.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub statuses: BTreeSet<RetryStatus>,
}

fn attempts() -> Bounded<0, 5> {
    Bounded::clamped(2)
}

fn budget_percent() -> Bounded<1, 100> {
    Bounded::clamped(20)
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: attempts(), budget_percent: budget_percent(), statuses: BTreeSet::new() }
    }
}
