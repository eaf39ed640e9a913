//! Whole numbers with a least and a greatest value.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// The nearest value within the bounds.
    #[must_use]
    pub const fn clamped(value: u64) -> Self {
        if value < MIN {
            Self(MIN)
        } else if value > MAX {
            Self(MAX)
        } else {
            Self(value)
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

#[cfg(feature = "openapi")]
impl<const MIN: u64, const MAX: u64> utoipa::PartialSchema for Bounded<MIN, MAX> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        crate::openapi::integer(MIN, MAX)
    }
}

#[cfg(feature = "openapi")]
impl<const MIN: u64, const MAX: u64> utoipa::ToSchema for Bounded<MIN, MAX> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("From{MIN}To{MAX}").into()
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<u64> for Bounded<MIN, MAX> {
    type Error = Invalid;
    fn try_from(value: u64) -> Result<Self, Invalid> {
        if (MIN..=MAX).contains(&value) {
            return Ok(Self(value));
        }
        Err(Invalid::new(
            "number",
            &value.to_string(),
            format!("write a whole number from {MIN} to {MAX}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept() {
        let parse = serde_json::from_str::<Bounded<2, 5>>;
        assert_eq!(parse("2").unwrap().get(), 2);
        assert_eq!(parse("5").unwrap().get(), 5);
        for bad in ["1", "6", "0", "-3", "2.5", "\"3\""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Bounded::<2, 5>::clamped(9).get(), 5);
    }
}
