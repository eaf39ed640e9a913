//! Consistent hashing: endpoints on a ring, each at many points (ketama).
//!
//! A caller belongs to the endpoint of the first point at or after its hash. If an endpoint comes or
//! goes, only the callers next to its points move. The hash has no secret seed: all proxies must put
//! the same caller on the same endpoint, before and after a restart.

use siphasher::sip::SipHasher13;
use tenantry_model::Endpoint;

/// Points per endpoint of average weight: enough that shares are within a few percent. With the bound
/// on endpoints it bounds the ring.
const POINTS: u64 = 160;

/// Points on a ring, and whose they are.
#[derive(Debug)]
pub(super) struct Ring(Vec<(u64, u16)>);

impl Ring {
    pub(super) fn new(endpoints: &[Endpoint]) -> Self {
        let weight = |endpoint: &Endpoint| u64::from(endpoint.weight.get());
        let total = endpoints.iter().map(weight).sum::<u64>().max(1);
        let all = POINTS * endpoints.len() as u64;
        let mut points: Vec<_> = endpoints
            .iter()
            .enumerate()
            .flat_map(|(index, endpoint)| {
                let count = (all * weight(endpoint) / total).max(1);
                let address = endpoint.address.to_string();
                let index = u16::try_from(index).unwrap_or(u16::MAX);
                (0..count).map(move |point| (hash(format!("{address}#{point}").as_bytes()), index))
            })
            .collect();
        points.sort_unstable();
        Self(points)
    }

    /// The endpoints from a hash on, once around.
    pub(super) fn walk(&self, hash: u64) -> impl Iterator<Item = usize> {
        let start = self.0.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.0.split_at_checked(start).unwrap_or_default();
        after.iter().chain(before).map(|(_, index)| usize::from(*index))
    }
}

/// The place of something on the ring.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    SipHasher13::new_with_keys(0x7465_6e61_6e74_7279, 0x7570_7374_7265_616d).hash(bytes)
}
