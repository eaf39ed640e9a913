//! `X-Forwarded-For`: proxies in front say whose request they pass on.
//!
//! Each proxy adds the address it saw at the end, so what stands at the end is what the nearest one
//! says, and everything before the first address that is not a trusted proxy's may be invented.

use std::net::{IpAddr, SocketAddr};

/// The client's address: read from the right, the first that is not a trusted proxy's.
///
/// `peer` is who connected, `values` are the header's lines in the order in which they stand. The
/// header is looked at only if the peer itself is trusted. What cannot be read as an address ends the
/// search: the last trusted proxy is then the client.
pub fn client<'a>(
    peer: IpAddr,
    values: impl DoubleEndedIterator<Item = &'a [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if !is_trusted(nearest) {
        return nearest;
    }
    for value in values.rev() {
        for element in value.rsplit(|byte| *byte == b',') {
            let Some(address) = address(element.trim_ascii()) else { return nearest };
            nearest = address;
            if !is_trusted(nearest) {
                return nearest;
            }
        }
    }
    nearest
}

/// An address as proxies write it: bare, or with a port and an IPv6 address in brackets.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = text.parse().ok().or_else(bracketed);
    let address = address.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(peer: &str, values: &[&str], expected: &str) {
        let is_trusted = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().first() == Some(&10),
            IpAddr::V6(address) => address.segments().first() == Some(&0xfd00),
        };
        let found =
            client(peer.parse().unwrap(), values.iter().map(|value| value.as_bytes()), is_trusted);
        assert_eq!(found.to_string(), expected, "{peer} {values:?}");
    }

    #[test]
    fn addresses_are_read_from_the_right() {
        check("192.0.2.9", &["198.51.100.1"], "192.0.2.9");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["203.0.113.5, 198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["203.0.113.5, 198.51.100.1, 10.0.0.2"], "198.51.100.1");
        check("10.0.0.1", &["203.0.113.5", "198.51.100.1,10.0.0.2"], "198.51.100.1");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1");
        check("fd00::1", &["2001:db8::1"], "2001:db8::1");
        check("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1");
        check("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1");
        check("10.0.0.1", &["198.51.100.1:8080"], "198.51.100.1");
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        check("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["198.51.100.1,"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1, 010.0.0.2"], "10.0.0.1");
        check("10.0.0.1", &[""], "10.0.0.1");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = client([10, 0, 0, 1].into(), std::iter::once(bytes.as_slice()), |_| true);
        }
    }
}
