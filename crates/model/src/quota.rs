//! How many of something a tenant may have at once.

use std::{fmt, num::NonZeroU64};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Invalid;

const UNLIMITED: &str = "unlimited";

/// How many: a whole number from 1 on, or `"unlimited"`. The smaller of two is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum QuotaMax {
    /// This many.
    AtMost(NonZeroU64),
    /// As many as come. As an override this lifts what a plan says.
    Unlimited,
}

#[cfg(feature = "openapi")]
crate::openapi::text_schema!(QuotaMax, crate::openapi::quota_max());

impl QuotaMax {
    /// The number, if there is one.
    #[must_use]
    pub fn at_most(self) -> Option<u64> {
        match self {
            Self::AtMost(max) => Some(max.get()),
            Self::Unlimited => None,
        }
    }
}

impl fmt::Display for QuotaMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(max) => max.fmt(f),
            Self::Unlimited => f.write_str(UNLIMITED),
        }
    }
}

impl TryFrom<Value> for QuotaMax {
    type Error = Invalid;

    fn try_from(value: Value) -> Result<Self, Invalid> {
        if value == UNLIMITED {
            return Ok(Self::Unlimited);
        }
        let max = value.as_u64().and_then(NonZeroU64::new);
        let rule = "write a whole number from 1 on, or \"unlimited\"";
        max.map(Self::AtMost).ok_or_else(|| Invalid::new("quota", &value.to_string(), rule))
    }
}

impl From<QuotaMax> for Value {
    fn from(max: QuotaMax) -> Self {
        match max {
            QuotaMax::AtMost(max) => max.get().into(),
            QuotaMax::Unlimited => UNLIMITED.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_number_or_no_end() {
        for (json, expected) in [("1", Some(1)), ("100", Some(100)), ("\"unlimited\"", None)] {
            let max: QuotaMax = serde_json::from_str(json).unwrap();
            assert_eq!(max.at_most(), expected);
            assert_eq!(serde_json::to_string(&max).unwrap(), json);
        }
        for bad in ["0", "-1", "1.5", "\"1\"", "null", "\"infinite\"", "{}"] {
            assert!(serde_json::from_str::<QuotaMax>(bad).is_err(), "{bad}");
        }
        let ten = QuotaMax::AtMost(NonZeroU64::new(10).unwrap());
        assert!(ten < QuotaMax::Unlimited);
    }
}
