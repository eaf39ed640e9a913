//! Upstreams: which endpoint is next.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tenantry_model::{Endpoint, Upstream};

/// Entries of the longest rotation. Weights are reduced by their greatest common divisor, and past
/// this they are rounded, so that no weight makes a table large.
const MAX_ROTATION: usize = 4096;

/// An upstream with its rotation worked out.
#[derive(Debug)]
pub struct CompiledUpstream {
    spec: Upstream,
    /// Indexes of endpoints, each as often as its weight says, spread out.
    rotation: Vec<usize>,
    /// Where the rotation stands; handed on from snapshot to snapshot.
    next: Arc<AtomicUsize>,
}

impl CompiledUpstream {
    pub(crate) fn new(spec: Upstream, previous: Option<&Self>) -> Self {
        let weights: Vec<usize> = spec
            .endpoints
            .as_slice()
            .iter()
            .map(|endpoint| usize::from(endpoint.weight.get()))
            .collect();
        let next = previous.map(|previous| Arc::clone(&previous.next)).unwrap_or_default();
        Self { rotation: rotation(&weights), spec, next }
    }

    /// The upstream as it was written.
    #[must_use]
    pub fn spec(&self) -> &Upstream {
        &self.spec
    }

    /// The endpoint whose turn it is.
    pub fn next_endpoint(&self) -> Option<&Endpoint> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.rotation.len().max(1);
        self.rotation.get(turn).and_then(|index| self.spec.endpoints.as_slice().get(*index))
    }
}

/// Smooth weighted round robin: at each turn the one that is furthest behind its share.
fn rotation(weights: &[usize]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let sum: usize = weights.iter().map(|weight| weight / divisor).sum();
    let shrink = sum.div_ceil(MAX_ROTATION).max(1);
    let weights: Vec<i64> = weights
        .iter()
        .map(|weight| i64::try_from((weight / divisor).div_ceil(shrink)).unwrap_or(1))
        .collect();
    let total: i64 = weights.iter().sum();
    let mut behind = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            behind.iter_mut().zip(&weights).for_each(|(behind, weight)| *behind += weight);
            let (index, most) =
                behind.iter_mut().enumerate().rev().max_by_key(|(_, behind)| **behind)?;
            *most -= total;
            Some(index)
        })
        .map_while(|index| index)
        .collect()
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_weights_and_are_spread() {
        assert_eq!(rotation(&[1]), [0]);
        assert_eq!(rotation(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(rotation(&[200, 100]), [0, 1, 0]);
        assert_eq!(rotation(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        let large = rotation(&[65_535, 65_534, 1]);
        assert!(large.len() <= MAX_ROTATION + 3 && large.contains(&2));
    }
}
