//! Which of several upstreams a tenant's requests go to.
//!
//! Weighted rendezvous hashing: each upstream draws a number for the tenant that depends on nothing
//! but route, tenant and upstream, and the best one wins. So every proxy chooses alike, a tenant keeps
//! its upstream, and a changed weight moves only tenants to or from the upstream whose weight it is.
//! Points on a ring were rejected: sixteen weights of up to 65,535 would need a large one per route.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tenantry_model::{RouteId, UpstreamId};

/// Draws for one tenant on one route.
#[derive(Debug, Clone)]
pub(crate) struct Draw(SipHasher13);

impl Draw {
    /// The keys are fixed: a choice must be the same on every proxy and after every restart. Tenants
    /// do not choose their identifiers, so none can aim.
    pub(crate) fn new(route: &RouteId, who: u128) -> Self {
        let mut hasher = SipHasher13::new_with_keys(0x7465_6e61_6e74_7279, 0x7370_6c69_7400_0001);
        hasher.write(route.as_str().as_bytes());
        hasher.write(&who.to_be_bytes());
        Self(hasher)
    }

    /// How well an upstream of this weight does; the highest wins. With `u` spread evenly between 0 and
    /// 1, `weight / -ln(u)` is highest with a probability that is the weight's share of all weights.
    pub(crate) fn score(&self, upstream: &UpstreamId, weight: u16) -> f64 {
        let mut hasher = self.0;
        hasher.write(upstream.as_str().as_bytes());
        #[expect(clippy::cast_precision_loss, reason = "53 bits are kept, which a float holds")]
        let unit = ((hasher.finish() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        f64::from(weight) / -unit.ln()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tenantry_model::TenantId;

    use super::*;

    const TENANTS: u32 = 10_000;

    fn chosen(tenant: u32, weights: &[u16]) -> usize {
        let tenant = TenantId::from_parts(u64::from(tenant), u128::from(tenant) * 0x9e37_79b9);
        let draw = Draw::new(&"all".parse().unwrap(), tenant.to_u128());
        let scores = weights.iter().enumerate().map(|(index, weight)| {
            (index, draw.score(&format!("u{index}").parse().unwrap(), *weight))
        });
        scores.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
    }

    fn counts(weights: &[u16]) -> BTreeMap<usize, u32> {
        (0..TENANTS).fold(BTreeMap::new(), |mut counts, tenant| {
            *counts.entry(chosen(tenant, weights)).or_default() += 1;
            counts
        })
    }

    #[test]
    fn the_choice_never_changes() {
        // Written down once: another value would move tenants on an upgrade of the gateway.
        let chosen: String = (0..24).map(|tenant| chosen(tenant, &[1, 1, 1]).to_string()).collect();
        assert_eq!(chosen, "200021202121112222002222");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn shares_follow_weights(weights in prop::collection::vec(1_u16..200, 1..8)) {
            let counts = counts(&weights);
            let sum: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
            for (index, weight) in weights.iter().enumerate() {
                let expected = f64::from(TENANTS) * f64::from(*weight) / f64::from(sum);
                let got = f64::from(counts.get(&index).copied().unwrap_or_default());
                // Six standard deviations: the inputs vary from run to run, the verdict must not.
                let tolerance = 6.0 * expected.sqrt() + 6.0;
                prop_assert!((got - expected).abs() <= tolerance, "{weights:?} {index}: {got} for {expected}");
            }
        }

        #[test]
        fn a_changed_weight_moves_only_to_or_from_its_upstream(
            weights in prop::collection::vec(1_u16..200, 2..8), index in 0_usize..8, weight in 1_u16..200,
        ) {
            let changed = index % weights.len();
            let mut after = weights.clone();
            after[changed] = weight;
            for tenant in 0..1_000 {
                let (old, new) = (chosen(tenant, &weights), chosen(tenant, &after));
                let (from, to) = if weight >= weights[changed] { (new, old) } else { (old, new) };
                prop_assert!(old == new || from == changed, "tenant {tenant}: {old} -> {new}, {to}");
            }
        }

        #[test]
        fn an_upstream_that_comes_or_goes_moves_only_its_own(weights in prop::collection::vec(1_u16..200, 2..8)) {
            let fewer = &weights[..weights.len() - 1];
            for tenant in 0..1_000 {
                let (all, without) = (chosen(tenant, &weights), chosen(tenant, fewer));
                prop_assert!(all == without || all == weights.len() - 1);
            }
        }
    }
}
