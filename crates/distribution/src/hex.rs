//! 128-bit values written as 32 lower-case hexadecimal digits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tenantry_model::Invalid;

macro_rules! hex_128 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u128);

        impl $name {
            /// From its 128 bits.
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self {
                Self(bits)
            }

            /// Its 128 bits.
            #[must_use]
            pub const fn to_u128(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            /// Accepts only the canonical text, so that two equal values never differ as text.
            fn from_str(text: &str) -> Result<Self, Invalid> {
                parse(text)
                    .map(Self)
                    .ok_or_else(|| Invalid::new($what, text, "it is 32 lower-case hexadecimal digits"))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

hex_128!(
    /// The identity of one history of revisions. A control plane that starts over, or is restored
    /// from a backup, draws a new one: its revision 7 is then not the old revision 7.
    Epoch, "epoch"
);
hex_128!(
    /// What both ends compare to know that they hold the same state: the sum over all resources
    /// that [`Ledger`](crate::Ledger) keeps. Zero is the empty state.
    StateHash, "state hash"
);

fn parse(text: &str) -> Option<u128> {
    let canonical =
        text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if canonical { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_text() {
        for bits in [0, 1, 0xabc, u128::MAX] {
            let text = Epoch::from_u128(bits).to_string();
            assert_eq!(text.len(), 32);
            assert_eq!(text.parse::<Epoch>().unwrap().to_u128(), bits);
        }
        let wrong = ["", "+", "0x1", "abc", "0000000000000000000000000000000G"];
        for text in wrong.map(String::from).into_iter().chain([
            "A".repeat(32),
            format!("+{}", "0".repeat(31)),
            "0".repeat(33),
        ]) {
            assert!(text.parse::<StateHash>().is_err(), "{text}");
        }
    }
}
