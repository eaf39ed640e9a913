//! Points in time.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::Invalid;

/// A Unix time in milliseconds; RFC 3339 text (always UTC) outside the program.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

/// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
const LAST_UNIX_MS: u64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z; times past the year 9999 become its end.
    #[must_use]
    pub fn from_unix_ms(unix_ms: u64) -> Self {
        Self(unix_ms.min(LAST_UNIX_MS))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// This time and a duration later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self::from_unix_ms(
            self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || {
            Invalid::new(
                "time",
                text,
                "write it as RFC 3339, from 1970 on, such as 2030-01-31T12:00:00Z",
            )
        };
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refused())?;
        let unix_ms =
            u64::try_from(time.unix_timestamp_nanos() / 1_000_000).map_err(|_| refused())?;
        if unix_ms > LAST_UNIX_MS {
            return Err(refused());
        }
        Ok(Self(unix_ms))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> String {
        timestamp.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok());
        f.write_str(text.as_deref().unwrap_or("out of range"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        for unix_ms in [0, 1, 999, 1_700_000_000_123, LAST_UNIX_MS] {
            let timestamp = Timestamp::from_unix_ms(unix_ms);
            assert_eq!(timestamp.to_string().parse::<Timestamp>().unwrap(), timestamp);
        }
        assert_eq!("1970-01-01T01:00:00+01:00".parse::<Timestamp>().unwrap().unix_ms(), 0);
        for bad in ["", "now", "1969-12-31T23:59:59Z", "2030-01-31", "1700000000"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
