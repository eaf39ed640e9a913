//! Where keys may be fetched from.
//!
//! Whoever administers a tenant writes the URL, and the proxy stands where that person does not: beside
//! databases, admin listeners and the cloud's metadata service. So only addresses of the public internet
//! are connected to, and networks that the operator of the proxy has listed.
//!
//! What is checked is the address itself, after the name was looked up, and the connection is made to that
//! very address: a name that would answer differently the second time is asked only once. Redirects are
//! not followed.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tenantry_engine::NetworkSet;

/// What may be connected to.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<NetworkSet>);

/// There is no address that may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the URL leads to a private address; `allow_private` of [jwks] lists those that may be asked"
)]
pub(super) struct PrivateAddress;

impl Guard {
    /// Public addresses, and those in these networks.
    pub(super) fn new(allowed: &[IpNet]) -> Self {
        Self(Arc::new(NetworkSet::new(allowed)))
    }

    fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.0.contains(address)
    }

    /// Checks an address that stands in the URL itself: no name is looked up for it.
    pub(super) fn check(&self, url: &str) -> Result<(), PrivateAddress> {
        // What is no URL is never sent to.
        let Ok(url) = Url::parse(url) else { return Ok(()) };
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match host.parse::<IpAddr>() {
            Ok(address) if !self.allows(address) => Err(PrivateAddress),
            // A name is checked when it is looked up.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| guard.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(PrivateAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet. An IPv4 address inside an IPv6 one counts as what it
/// is.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// What IANA's registry of special addresses (RFC 6890) does not name, and no multicast.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Global unicast alone (RFC 4291, section 2.4: `2000::/3` is all that is given out), without what is set
/// apart in it; and NAT64 (RFC 6052), by which networks without IPv4 reach it.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocols (Teredo among them), documentation, 6to4, and documentation again.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let private = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 \
            169.254.169.254 169.254.0.1 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 \
            192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 \
            240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 \
            ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 \
            2001:db8::1 2002:7f00:1::1 3fff::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1";
        for address in private.split_whitespace() {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let public = "1.1.1.1 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.1.1.1 \
            172.15.0.1 172.32.0.1 192.0.1.1 192.167.1.1 198.17.0.1 198.20.0.1 223.255.255.255 \
            ::ffff:1.1.1.1 64:ff9b::101:101 2606:4700::1111 2a00:1450::1 2001:4860::8888";
        for address in public.split_whitespace() {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn addresses_in_urls() {
        let guard = Guard::new(&["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (url, allowed) in [
            ("http://10.1.2.3/jwks", true),
            ("http://10.2.2.3/jwks", false),
            ("http://[fd12::1]:8080/jwks", true),
            ("http://[::1]/jwks", false),
            ("http://[::ffff:10.1.2.3]/jwks", true),
            ("http://127.0.0.1:7080/metrics", false),
            // Spellings that URL parsers and resolvers read as 127.0.0.1.
            ("http://2130706433/", false),
            ("http://0x7f.1/", false),
            ("http://0177.0.0.1/", false),
            ("http://127.1/", false),
            ("https://8.8.8.8/jwks", true),
            ("https://id.example/jwks", true),
        ] {
            assert_eq!(guard.check(url).is_ok(), allowed, "{url}");
        }
    }

    #[tokio::test]
    async fn names_that_lead_inside_have_no_address() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = Guard::new(&[]).resolve(name()).await.err().unwrap();
        assert!(refused.is::<PrivateAddress>(), "{refused}");
        let local = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        assert!(Guard::new(&local).resolve(name()).await.is_ok());
    }
}
