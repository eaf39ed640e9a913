//! The PROXY protocol, versions 1 and 2: a proxy in front says whose connection it passes on.
//!
//! Format: "The PROXY protocol", HAProxy Technologies, sections 2.1 and 2.2. It must be read only on
//! connections of peers that are known to send it, and there it must be demanded: whoever guesses can
//! be lied to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The first bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, with its end.
const MAX_LINE: usize = 107;

/// The longest address block and extensions of version 2 that are read; the length field allows more,
/// which nothing known sends.
const MAX_BLOCK: usize = 4096;

/// The most bytes that [`parse`] asks for.
pub const MAX_BYTES: usize = 16 + MAX_BLOCK;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nothing: the connection is the peer's own (its health check), or of an unknown kind.
    Peer,
    /// The client's address and port.
    Client(SocketAddr),
}

/// Reads a header from the first bytes of a connection: what it says, and its length in bytes; `None`
/// as long as more bytes are needed.
///
/// # Errors
/// What is wrong; the connection cannot be used.
pub fn parse(bytes: &[u8]) -> Result<Option<(Source, usize)>, &'static str> {
    let start = bytes.get(..SIGNATURE.len()).unwrap_or(bytes);
    if SIGNATURE.starts_with(start) && !start.is_empty() {
        return if start.len() < SIGNATURE.len() { Ok(None) } else { version_2(bytes) };
    }
    if b"PROXY ".starts_with(bytes) || bytes.starts_with(b"PROXY ") {
        return version_1(bytes);
    }
    Err("there is no PROXY header")
}

fn version_1(bytes: &[u8]) -> Result<Option<(Source, usize)>, &'static str> {
    const BROKEN: &str = "the PROXY header is not well formed";
    let Some(end) = memchr::memmem::find(bytes, b"\r\n") else {
        return if bytes.len() < MAX_LINE { Ok(None) } else { Err("the PROXY header is too long") };
    };
    if end + 2 > MAX_LINE {
        return Err("the PROXY header is too long");
    }
    let line = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(BROKEN)?;
    let mut fields = line.split(' ').skip(1);
    let family = fields.next().ok_or(BROKEN)?;
    if family == "UNKNOWN" {
        return Ok(Some((Source::Peer, end + 2)));
    }
    let fields: Vec<&str> = fields.collect();
    let [source, destination, source_port, destination_port] = fields.as_slice() else {
        return Err(BROKEN);
    };
    let (source, destination): (IpAddr, IpAddr) =
        (source.parse().map_err(|_| BROKEN)?, destination.parse().map_err(|_| BROKEN)?);
    let is_of_family = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    let (port, _) = (port(source_port).ok_or(BROKEN)?, port(destination_port).ok_or(BROKEN)?);
    if is_of_family {
        Ok(Some((Source::Client(SocketAddr::new(source, port)), end + 2)))
    } else {
        Err(BROKEN)
    }
}

/// Digits without a sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

fn version_2(bytes: &[u8]) -> Result<Option<(Source, usize)>, &'static str> {
    let Some((&[version_command, family, high, low], rest)) =
        bytes.get(SIGNATURE.len()..).and_then(|rest| rest.split_first_chunk::<4>())
    else {
        return Ok(None);
    };
    if version_command >> 4 != 2 {
        return Err("the version of the PROXY header is not known");
    }
    let block_bytes = usize::from(u16::from_be_bytes([high, low]));
    if block_bytes > MAX_BLOCK {
        return Err("the PROXY header is too long");
    }
    let Some(block) = rest.get(..block_bytes) else { return Ok(None) };
    let source = match version_command & 0xf {
        0 => Source::Peer,
        1 => source_2(family, block)?,
        _ => return Err("the command of the PROXY header is not known"),
    };
    Ok(Some((source, SIGNATURE.len() + 4 + block_bytes)))
}

/// Family and transport: only TCP has a meaning here; what is unspecified is the peer's own.
fn source_2(family: u8, block: &[u8]) -> Result<Source, &'static str> {
    const SHORT: &str = "the addresses of the PROXY header are cut short";
    match family {
        0x00 => Ok(Source::Peer),
        0x11 => {
            let block = block.first_chunk::<12>().ok_or(SHORT)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *block;
            let address = Ipv4Addr::new(a, b, c, d);
            Ok(Source::Client(SocketAddr::new(address.into(), u16::from_be_bytes([high, low]))))
        }
        0x21 => {
            let (address, rest) = block.split_first_chunk::<16>().ok_or(SHORT)?;
            let &[high, low, _, _] =
                rest.get(16..).and_then(|ports| ports.first_chunk::<4>()).ok_or(SHORT)?;
            let address = IpAddr::V6(Ipv6Addr::from(*address));
            Ok(Source::Client(SocketAddr::new(address, u16::from_be_bytes([high, low]))))
        }
        _ => Err("the PROXY header is of a transport other than TCP"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(address: &str) -> Source {
        Source::Client(address.parse().unwrap())
    }

    #[test]
    fn version_1_lines() {
        for (line, source) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443", client("192.0.2.1:56324")),
            ("PROXY TCP6 2001:db8::1 ::1 1 2", client("[2001:db8::1]:1")),
            ("PROXY UNKNOWN", Source::Peer),
            ("PROXY UNKNOWN anything at all", Source::Peer),
        ] {
            let bytes = format!("{line}\r\nGET /");
            assert_eq!(parse(bytes.as_bytes()), Ok(Some((source, line.len() + 2))), "{line}");
            for end in 1..line.len() {
                assert_eq!(parse(bytes.as_bytes().get(..end).unwrap()), Ok(None), "{line} {end}");
            }
        }
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in [
            "GET / HTTP/1.1",
            "proxy TCP4 192.0.2.1 198.51.100.1 1 2",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536",
            "PROXY TCP4 192.0.2.1 198.51.100.1 01 2",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2",
            "PROXY TCP4 ::1 ::1 1 2",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 2",
            "PROXY TCP4 192.0.2.01 198.51.100.1 1 2",
            "PROXY TCP4  192.0.2.1 198.51.100.1 1 2",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 2",
        ] {
            assert!(parse(format!("{line}\r\n").as_bytes()).is_err(), "{line}");
        }
        assert!(parse(format!("PROXY UNKNOWN {}", "x".repeat(200)).as_bytes()).is_err());
    }

    fn header_2(version_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([version_command, family]);
        bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        bytes.extend(block);
        bytes
    }

    #[test]
    fn version_2_blocks() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 1, 187];
        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[33] = 9;
        let with_extension = [v4.as_slice(), &[4, 0, 1, 0]].concat();
        for (bytes, source) in [
            (header_2(0x21, 0x11, &v4), client("192.0.2.1:56324")),
            (header_2(0x21, 0x11, &with_extension), client("192.0.2.1:56324")),
            (header_2(0x21, 0x21, &v6), client("[::1]:9")),
            (header_2(0x20, 0x11, &v4), Source::Peer),
            (header_2(0x20, 0x00, &[]), Source::Peer),
            (header_2(0x21, 0x00, &[]), Source::Peer),
        ] {
            assert_eq!(parse(&bytes), Ok(Some((source, bytes.len()))), "{bytes:?}");
            for end in 1..bytes.len() {
                assert_eq!(parse(bytes.get(..end).unwrap()), Ok(None));
            }
        }
    }

    #[test]
    fn broken_blocks_are_refused() {
        for bytes in [
            header_2(0x11, 0x11, &[0; 12]),
            header_2(0x22, 0x11, &[0; 12]),
            header_2(0x21, 0x11, &[0; 11]),
            header_2(0x21, 0x21, &[0; 35]),
            header_2(0x21, 0x12, &[0; 12]),
            header_2(0x21, 0x31, &[0; 216]),
            header_2(0x21, 0x11, &[0; MAX_BLOCK + 1]),
        ] {
            assert!(parse(&bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_ask_for_ever(bytes in prop::collection::vec(any::<u8>(), MAX_BYTES..5000)) {
            prop_assert_ne!(parse(&bytes), Ok(None));
            let signed = [SIGNATURE.as_slice(), &bytes].concat();
            prop_assert_ne!(parse(&signed), Ok(None));
        }
    }
}
