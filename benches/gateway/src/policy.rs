//! The policy that every proxy is given: who the tenants are, and what holds for each.
//!
//! A host names a tenant, a key (or a token) proves one, and both must be the same. A tenant may be reached from
//! its own networks only, has a rate limit, and is told to the origin in `X-Tenant-Slug`.

use std::net::Ipv4Addr;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tenantry_credentials::api_key::ApiKeySecret;

/// The network that load comes from; every tenant may be reached from it.
pub(crate) const LOCAL: &str = "127.0.0.1/32";
/// An address that no tenant may be reached from.
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The domain that all tenants' hosts are in.
pub(crate) const DOMAIN: &str = "bench.test";
/// What a tenant may do: so many requests a second that no load here comes near, and as many at once.
pub(crate) const STANDARD_RATE: u32 = 1_000_000;
/// What the limited tenant may do: so many requests a minute, and as many at once.
pub(crate) const LIMITED_RATE: u32 = 5;
/// As many tenants can be loaded as there are networks for, and some beside.
pub(crate) const MOST: u32 = (1 << 20) - 3;
const SEED: u64 = 20;

/// What is enforced.
#[derive(Debug)]
pub(crate) struct Policy {
    /// All of them: those that are loaded, and three beside.
    pub(crate) tenants: Vec<Tenant>,
    another: Tenant,
    changing: Tenant,
    limited: Tenant,
}

/// One customer.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    /// Its name.
    pub(crate) slug: String,
    /// Its domain.
    pub(crate) host: String,
    /// Its API key.
    pub(crate) key: String,
    /// A name of its own network, for those that name networks.
    pub(crate) network_name: String,
    /// Its own network, beside [`LOCAL`].
    pub(crate) network: String,
    /// Whether its rate limit is the small one.
    pub(crate) is_limited: bool,
}

impl Policy {
    /// So many tenants that are loaded, always the same ones, and three that have something else to show.
    pub(crate) fn new(loaded: u32) -> Self {
        let mut random = StdRng::seed_from_u64(SEED);
        let mut tenants: Vec<_> = (0..loaded).map(|number| tenant(number, &mut random)).collect();
        let another = tenant(loaded, &mut random);
        let changing = tenant(loaded + 1, &mut random);
        let mut limited = tenant(loaded + 2, &mut random);
        limited.is_limited = true;
        tenants.extend([&another, &changing, &limited].map(Clone::clone));
        Self { tenants, another, changing, limited }
    }

    /// Those that load is sent for.
    pub(crate) fn loaded(&self) -> &[Tenant] {
        self.tenants.get(..self.tenants.len().saturating_sub(3)).unwrap_or_default()
    }

    /// The one whose key is shown where it does not belong.
    pub(crate) fn another(&self) -> &Tenant {
        &self.another
    }

    /// The one whose policy is changed while it is asked.
    pub(crate) fn changing(&self) -> &Tenant {
        &self.changing
    }

    /// The one whose rate limit is so small that it can be seen.
    pub(crate) fn limited(&self) -> &Tenant {
        &self.limited
    }
}

fn tenant(number: u32, random: &mut StdRng) -> Tenant {
    let key = ApiKeySecret::generate(|| random.random());
    Tenant {
        slug: format!("t{number}"),
        host: format!("t{number}.{DOMAIN}"),
        key: key.expose().to_owned(),
        network_name: format!("n{number}"),
        // Sixteen addresses each, out of 10.0.0.0/8.
        network: format!("{}/28", Ipv4Addr::from_bits((10 << 24) | (number << 4))),
        is_limited: false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_tenants_share_anything() {
        let policy = Policy::new(997);
        assert_eq!(policy.tenants.len(), 1000);
        let of = |part: fn(&Tenant) -> &String| {
            policy.tenants.iter().map(part).collect::<HashSet<_>>().len()
        };
        assert_eq!(of(|tenant| &tenant.host), 1000);
        assert_eq!(of(|tenant| &tenant.key), 1000);
        assert_eq!(of(|tenant| &tenant.network), 1000);
        assert_eq!(policy.tenants[999].network, "10.0.62.112/28");
    }

    #[test]
    fn as_many_are_loaded_as_were_asked_for_and_none_that_is_special() {
        for count in [1, 100] {
            let policy = Policy::new(count);
            let loaded: Vec<_> = policy.loaded().iter().map(|tenant| &tenant.slug).collect();
            assert_eq!(loaded.len(), usize::try_from(count).unwrap());
            for special in [policy.another(), policy.changing(), policy.limited()] {
                assert!(!loaded.contains(&&special.slug));
                assert!(policy.tenants.iter().any(|tenant| tenant.slug == special.slug));
            }
            assert!(policy.limited().is_limited && !policy.changing().is_limited);
        }
    }
}
