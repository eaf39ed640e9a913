//! What a tenant has subscribed to, as far as it has a time.

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime};

use crate::{Bounded, Timestamp};

/// Whether a subscription is paid for.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// It is, for the current period.
    Active,
    /// It is not. When its grace has passed, the tenant is suspended.
    PastDue,
    /// It has ended, and the tenant with it.
    Cancelled,
}

impl SubscriptionStatus {
    /// The status as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How long a period is.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillingPeriod {
    /// In what it is counted.
    pub unit: PeriodUnit,
    /// How many of them; 1 to 36.
    #[cfg_attr(feature = "openapi", schema(value_type = u64, minimum = 1, maximum = 36))]
    pub count: Bounded<1, 36>,
}

/// In what a period is counted.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodUnit {
    /// 24 hours.
    Day,
    /// To the same day of a later month, or its last day if it has no such day.
    Month,
}

impl BillingPeriod {
    /// The beginning of the period after `periods` whole ones, the first of which began at `anchor`.
    ///
    /// Months are counted from the anchor and not from period to period: what began on the 31st goes on
    /// the 28th of February and again on the 31st of March.
    #[must_use]
    pub fn after(self, anchor: Timestamp, periods: u32) -> Timestamp {
        let count = u64::from(periods).saturating_mul(self.count.get());
        let moved = match self.unit {
            PeriodUnit::Day => None,
            PeriodUnit::Month => months_after(anchor, count),
        };
        let days = || anchor.unix_ms().saturating_add(count.saturating_mul(86_400_000));
        let far = || match self.unit {
            PeriodUnit::Day => Timestamp::from_unix_ms(days()),
            PeriodUnit::Month => Timestamp::from_unix_ms(u64::MAX),
        };
        moved.unwrap_or_else(far)
    }
}

/// None past the years that can be written.
fn months_after(anchor: Timestamp, months: u64) -> Option<Timestamp> {
    let nanos = i128::from(anchor.unix_ms()) * 1_000_000;
    let start = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    let month = u64::from(u8::from(start.month())) - 1 + months;
    let year = i32::try_from(i64::from(start.year()) + i64::try_from(month / 12).ok()?).ok()?;
    let month = Month::try_from(u8::try_from(month % 12 + 1).ok()?).ok()?;
    let day = start.day().min(month.length(year));
    let date = Date::from_calendar_date(year, month, day).ok()?;
    let moved = start.replace_date(date).unix_timestamp_nanos() / 1_000_000;
    u64::try_from(moved).ok().map(Timestamp::from_unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unit: PeriodUnit, count: u64, anchor: &str, expected: &[&str]) {
        let period = BillingPeriod { unit, count: Bounded::try_from(count).unwrap() };
        let anchor = anchor.parse().unwrap();
        for (periods, expected) in (0..).zip(expected) {
            assert_eq!(period.after(anchor, periods).to_string(), *expected, "{periods}");
        }
    }

    #[test]
    fn periods_are_counted_from_their_anchor() {
        check(
            PeriodUnit::Month,
            1,
            "2027-12-31T10:00:00Z",
            &[
                "2027-12-31T10:00:00Z",
                "2028-01-31T10:00:00Z",
                "2028-02-29T10:00:00Z",
                "2028-03-31T10:00:00Z",
                "2028-04-30T10:00:00Z",
            ],
        );
        check(
            PeriodUnit::Month,
            12,
            "2028-02-29T00:00:00Z",
            &["2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z", "2030-02-28T00:00:00Z"],
        );
        check(
            PeriodUnit::Day,
            7,
            "2026-12-28T23:59:59Z",
            &["2026-12-28T23:59:59Z", "2027-01-04T23:59:59Z"],
        );
    }

    #[test]
    fn no_period_is_too_far() {
        let anchor = Timestamp::from_unix_ms(u64::MAX);
        for unit in [PeriodUnit::Day, PeriodUnit::Month] {
            let period = BillingPeriod { unit, count: Bounded::clamped(36) };
            assert_eq!(period.after(anchor, u32::MAX), anchor);
        }
    }
}
