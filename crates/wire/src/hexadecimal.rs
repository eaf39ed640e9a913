//! Numbers as hexadecimal digits of a fixed count, lower case.

const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// The digits of a number, two for each byte, as many as there is room for; digits above are left out.
#[must_use]
pub fn digits<const N: usize>(number: u128) -> [u8; N] {
    let mut digits = [b'0'; N];
    for (pair, byte) in digits.rchunks_mut(2).zip(number.to_le_bytes()) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte));
        }
    }
    digits
}

/// The digit of the lower half of a byte.
fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte & 0xf)).copied().unwrap_or(b'0')
}

/// The number that digits say. None if there are more or fewer than this many, or anything that is no digit; what
/// does not fit into 128 bits is left out.
#[must_use]
pub fn number(digits: &[u8], count: usize) -> Option<u128> {
    if digits.len() != count {
        return None;
    }
    digits.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_of_the_formatter(value in any::<u128>()) {
            let (text, expected) = (digits::<32>(value), format!("{value:032x}"));
            prop_assert_eq!(&text[..], expected.as_bytes());
            prop_assert_eq!(number(&text, 32), Some(value));
            prop_assert_eq!(&digits::<16>(value)[..], &text[16..]);
        }
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for bad in [&b""[..], b"0", b"000", b"0A", b"0g", b" 0", b"+1", b"0/", b"0:", b"0`"] {
            assert_eq!(number(bad, 2), None, "{bad:?}");
        }
        assert_eq!(number(b"0f", 2), Some(15));
    }
}
