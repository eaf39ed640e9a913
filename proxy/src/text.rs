//! Short texts that are put together without asking the allocator.

use std::{
    fmt::{self, Display, Write as _},
    net::IpAddr,
};

/// Longer than any identifier, address or number that is written into one.
const ROOM: usize = 64;

/// A short text. What is longer does not fit and is an error to write.
#[derive(Debug)]
pub(crate) struct Text {
    bytes: [u8; ROOM],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }
}

impl Text {
    /// What a value looks like in words.
    pub(crate) fn of(value: impl Display) -> Self {
        let mut text = Self::default();
        // What does not fit is left out.
        let _ = write!(text, "{value}");
        text
    }

    /// An address. By hand where it is of version 4: every request has one, and formatting is slow.
    pub(crate) fn of_address(address: IpAddr) -> Self {
        let IpAddr::V4(address) = address else { return Self::of(address) };
        let mut text = Self::default();
        for (place, octet) in address.octets().into_iter().enumerate() {
            let separator = if place == 0 { "" } else { "." };
            // Fifteen bytes fit.
            let _ = text.write_str(separator);
            let _ = text.write_str(itoa::Buffer::new().format(octet));
        }
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = self.length + more.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(more.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_was_written_as_far_as_it_fits() {
        assert_eq!(Text::of(format_args!("{}-{}", 1, "b")).as_bytes(), b"1-b");
        assert_eq!(Text::of("a".repeat(ROOM)).as_bytes().len(), ROOM);
        assert_eq!(Text::of("a".repeat(ROOM + 1)).as_bytes(), b"");
        for address in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "2001:db8::1"] {
            let text = Text::of_address(address.parse().unwrap());
            assert_eq!(text.as_bytes(), address.as_bytes());
        }
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
        assert_eq!(Text::of(longest).as_bytes(), longest.as_bytes());
    }
}
