//! A compiled list of networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Disjoint networks in ascending order, so that one binary search answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NetworkSet {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl NetworkSet {
    /// Compiles a list; order, duplicates and overlaps do not matter.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for network in networks {
            match network {
                IpNet::V4(network) => v4.push(*network),
                IpNet::V6(network) => match mapped(*network) {
                    Some(network) => v4.push(network),
                    None => v6.push(*network),
                },
            }
        }
        let mut v4 = Ipv4Net::aggregate(&v4);
        let mut v6 = Ipv6Net::aggregate(&v6);
        v4.sort_unstable_by_key(Ipv4Net::network);
        v6.sort_unstable_by_key(Ipv6Net::network);
        Self { v4, v6 }
    }

    /// Whether an address lies in one of the networks. An IPv4 address written as IPv6
    /// (`::ffff:192.0.2.1`) is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => contains_v4(&self.v4, address),
            IpAddr::V6(address) => contains_v6(&self.v6, address),
        }
    }
}

/// The IPv4 network behind a network of IPv4-mapped addresses (RFC 4291, section 2.5.5.2).
fn mapped(network: Ipv6Net) -> Option<Ipv4Net> {
    let prefix = network.prefix_len().checked_sub(96)?;
    Ipv4Net::new(network.network().to_ipv4_mapped()?, prefix).ok()
}

fn contains_v4(networks: &[Ipv4Net], address: Ipv4Addr) -> bool {
    let after = networks.partition_point(|network| network.network() <= address);
    after
        .checked_sub(1)
        .and_then(|index| networks.get(index))
        .is_some_and(|network| network.contains(&address))
}

fn contains_v6(networks: &[Ipv6Net], address: Ipv6Addr) -> bool {
    let after = networks.partition_point(|network| network.network() <= address);
    after
        .checked_sub(1)
        .and_then(|index| networks.get(index))
        .is_some_and(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(networks: &[&str], address: &str, expected: bool) {
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(
            NetworkSet::new(&networks).contains(address.parse().unwrap()),
            expected,
            "{networks:?} {address}"
        );
    }

    #[test]
    fn addresses_of_both_families() {
        check(&[], "10.0.0.1", false);
        check(&["10.0.0.0/8"], "10.255.0.1", true);
        check(&["10.0.0.0/8"], "11.0.0.1", false);
        check(&["10.0.0.0/8"], "::ffff:10.0.0.1", true);
        check(&["::ffff:10.0.0.0/104"], "10.0.0.1", true);
        check(&["0.0.0.0/0"], "2001:db8::1", false);
        check(&["::/0"], "10.0.0.1", false);
        check(&["2001:db8::/32", "2001:db8:1::/48"], "2001:db8:1::7", true);
        check(&["10.1.0.0/16", "10.0.0.0/8"], "10.2.0.1", true);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_linear_search(
            nets in proptest::collection::vec((any::<u16>(), 16_u8..=32), 0..40), probes in proptest::collection::vec(any::<u16>(), 40),
        ) {
            // Addresses from a narrow range, so that networks meet and overlap.
            let address = |bits: u16| Ipv4Addr::from(0x0a00_0000 | u32::from(bits));
            let nets: Vec<IpNet> = nets.into_iter().map(|(bits, prefix)| Ipv4Net::new(address(bits), prefix).unwrap().trunc().into()).collect();
            let set = NetworkSet::new(&nets);
            for probe in probes {
                let probe = IpAddr::V4(address(probe));
                prop_assert_eq!(set.contains(probe), nets.iter().any(|net| net.contains(&probe)));
            }
        }
    }
}
