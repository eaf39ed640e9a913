//! Choosing by weight: in turn, or by lot.

/// Entries of the longest rotation. Weights are reduced by their greatest common divisor, and past
/// this they are rounded, so that no weight makes a table large.
const MAX_ROTATION: usize = 4096;
/// Lots that are drawn before all endpoints are looked through.
const DRAWS: u32 = 4;

/// Smooth weighted round robin: at each turn the one that is furthest behind its share.
pub(super) fn rotation(weights: &[usize]) -> Vec<usize> {
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

/// Draws endpoints by lot, each as likely as its weight says.
#[derive(Debug)]
pub(super) struct Draw {
    /// The sum of the weights up to and with each endpoint.
    sums: Vec<u64>,
}

impl Draw {
    pub(super) fn new(weights: &[usize]) -> Self {
        let sums = weights.iter().scan(0_u64, |sum, weight| {
            *sum += *weight as u64;
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    /// Two endpoints that can be used, different ones if there are two; none if there is none.
    pub(super) fn two(
        &self,
        random: u64,
        usable: impl Fn(usize) -> bool,
    ) -> Option<(usize, usize)> {
        let mut random = random;
        let first = self.one(&mut random, &usable)?;
        let second = self.one(&mut random, |index| index != first && usable(index));
        Some((first, second.unwrap_or(first)))
    }

    fn one(&self, random: &mut u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let total = *self.sums.last()?;
        for _ in 0..DRAWS {
            *random = next(*random);
            // The upper half times the total, over 2^32: a number below the total.
            let lot = ((*random >> 32) * total) >> 32;
            let index = self.sums.partition_point(|sum| *sum <= lot);
            if usable(index) {
                return Some(index);
            }
        }
        // Few can be used, so they are drawn from alone.
        let weight = |index: usize| {
            let before = index.checked_sub(1).and_then(|before| self.sums.get(before));
            self.sums.get(index).map_or(0, |sum| sum - before.copied().unwrap_or(0))
        };
        let left = || (0..self.sums.len()).filter(|index| usable(*index));
        let total: u64 = left().map(weight).sum();
        *random = next(*random);
        let mut lot = ((*random >> 32) * total) >> 32;
        left().find(|index| match lot.checked_sub(weight(*index)) {
            Some(rest) => {
                lot = rest;
                false
            }
            None => true,
        })
    }
}

/// The next of a row of numbers without a pattern (`SplitMix64`).
fn next(random: u64) -> u64 {
    let mixed = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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

    #[test]
    fn lots_follow_weights() {
        let draw = Draw::new(&[5, 3, 2]);
        let mut drawn = [0_u32; 3];
        for random in 0..10_000 {
            drawn[draw.two(random, |_| true).unwrap().0] += 1;
        }
        for (count, expected) in drawn.into_iter().zip([5_000, 3_000, 2_000]) {
            assert!(count.abs_diff(expected) < 200, "{drawn:?}");
        }
    }

    #[test]
    fn only_the_usable_are_drawn() {
        let draw = Draw::new(&[60_000, 1, 3]);
        let mut drawn = [0_u32; 3];
        for random in 0..4_000 {
            let (first, second) = draw.two(random, |index| index != 0).unwrap();
            assert_ne!(first, second);
            drawn[first] += 1;
        }
        assert!(drawn[0] == 0 && drawn[1].abs_diff(1_000) < 150, "{drawn:?}");
        assert_eq!(draw.two(1, |index| index == 1), Some((1, 1)));
        assert_eq!(draw.two(1, |_| false), None);
    }
}
