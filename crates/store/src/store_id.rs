//! Which history a store holds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Identity of one history. It changes when a store is restored or found to have gone back, and
/// with it every revision a client remembers becomes meaningless. Written as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StoreId([u8; 16]);

impl StoreId {
    /// The identity made of these bytes, which should be random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes it is made of.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for StoreId {
    type Err = StoreIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(lower_hex) {
            return Err(StoreIdError);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| StoreIdError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl TryFrom<String> for StoreId {
    type Error = StoreIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<StoreId> for String {
    fn from(id: StoreId) -> Self {
        id.to_string()
    }
}

/// The text is not 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a store id is 32 lower-case hex digits")]
pub struct StoreIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_id_survives_its_text_form() {
        let id = StoreId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0dfeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<StoreId>(&json).unwrap(), id);
    }

    #[test]
    fn a_store_id_has_one_spelling() {
        for text in
            ["", "00", "+00102030405060708090a0b0c0dfeff", "000102030405060708090A0B0C0DFEFF"]
        {
            assert_eq!(text.parse::<StoreId>(), Err(StoreIdError), "{text}");
        }
    }
}
