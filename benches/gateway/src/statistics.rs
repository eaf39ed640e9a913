//! Figures out of figures.

use std::time::Duration;

use serde::Serialize;

/// What several rounds gave for one thing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Half of the rounds gave less.
    pub(crate) median: f64,
    /// The least and the most that a round gave.
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// The spread of what rounds gave; nothing, if there was none.
pub(crate) fn spread(rounds: &[f64]) -> Option<Spread> {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(Spread { median: f64::midpoint(lower, upper), least, most })
}

/// Each round's figure over that of the same round of another, because what disturbs a round disturbs both.
pub(crate) fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).filter(|(_, to)| **to > 0.0).map(|(of, to)| of / to).collect()
}

/// How long answers took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Latency {
    /// Of all answers of a round; nothing, if there was none.
    pub(crate) fn of(times: &mut [Duration]) -> Option<Self> {
        times.sort_unstable();
        let at = |share: usize| {
            let index = (times.len() * share).div_ceil(1000).saturating_sub(1);
            times.get(index).map(|time| time.as_secs_f64() * 1e6)
        };
        Some(Self { p50: at(500)?, p99: at(990)?, p999: at(999)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let check = |rounds: &[f64], median, least, most| {
            assert_eq!(spread(rounds), Some(Spread { median, least, most }), "{rounds:?}");
        };
        check(&[3.0], 3.0, 3.0, 3.0);
        check(&[9.0, 1.0, 2.0], 2.0, 1.0, 9.0);
        check(&[4.0, 1.0, 2.0, 9.0], 3.0, 1.0, 9.0);
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        assert_eq!(ratios(&[10.0, 30.0], &[5.0, 10.0]), [2.0, 3.0]);
        assert_eq!(ratios(&[10.0, 30.0], &[0.0, 10.0]), [3.0], "a round without a figure");
    }

    #[test]
    fn percentiles_are_answers_that_were_given() {
        let mut times: Vec<_> = (1..=1000).rev().map(Duration::from_micros).collect();
        let latency = Latency::of(&mut times).unwrap();
        let expected = Latency { p50: 500.0, p99: 990.0, p999: 999.0 };
        assert!((latency.p50 - expected.p50).abs() < 1e-6, "{latency:?}");
        assert!((latency.p99 - expected.p99).abs() < 1e-6, "{latency:?}");
        assert!((latency.p999 - expected.p999).abs() < 1e-6, "{latency:?}");
        assert_eq!(Latency::of(&mut []), None);
    }
}
