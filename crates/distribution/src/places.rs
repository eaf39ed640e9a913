//! Room for a few expensive sends at once, and when to come back for who finds none.
//!
//! A thousand proxies that lost the control plane together all want the whole state. Served at once they
//! end the process, and come back; served a few at a time they are all well soon. Who finds no place is
//! told to come back after a while that grows with the number of those turned away, at a moment of their
//! own within it.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The most of those turned away that are counted.
const MAX_TURNED_AWAY: u32 = 100_000;

/// The places.
#[derive(Debug)]
pub struct Places {
    total: u32,
    taken: u32,
    /// How many were turned away and have not come back yet, as far as that can be known.
    turned_away: u32,
    /// How long a place is taken.
    typical: Duration,
}

/// There is no place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnedAway {
    /// Until all who wait should have been served.
    pub spread: Duration,
}

impl TurnedAway {
    /// In how many seconds to come back, for a random number from 0 to 1.
    #[must_use]
    pub fn retry_after_seconds(self, draw: f64) -> u64 {
        let after = SHORTEST + self.spread.saturating_sub(SHORTEST).mul_f64(draw.clamp(0.0, 1.0));
        after.as_secs()
    }
}

impl Places {
    /// So many, at least one.
    #[must_use]
    pub fn new(total: u32) -> Self {
        Self { total: total.max(1), taken: 0, turned_away: 0, typical: SHORTEST }
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// Takes a place.
    ///
    /// # Errors
    /// If there is none.
    pub fn take(&mut self) -> Result<(), TurnedAway> {
        if self.taken < self.total {
            self.taken += 1;
            self.turned_away = self.turned_away.saturating_sub(1);
            return Ok(());
        }
        self.turned_away = self.turned_away.saturating_add(1).min(MAX_TURNED_AWAY);
        let spread = self.typical.saturating_mul(self.turned_away) / self.total;
        Err(TurnedAway { spread: spread.clamp(SHORTEST, LONGEST) })
    }

    /// Gives a place back that was taken for so long.
    pub fn give_back(&mut self, taken_for: Duration) {
        self.taken = self.taken.saturating_sub(1);
        self.typical = (self.typical * 3 + taken_for.min(LONGEST)) / 4;
        if self.taken == 0 {
            self.turned_away = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are_and_all_come_back_in_time() {
        let mut places = Places::new(2);
        assert_eq!((places.take(), places.take()), (Ok(()), Ok(())));
        let first = places.take().unwrap_err();
        assert_eq!(first.spread, SHORTEST);
        let mut last = first;
        for _ in 0..1_000 {
            last = places.take().unwrap_err();
        }
        assert_eq!((places.taken(), last.spread), (2, LONGEST));
        assert_eq!(
            [0.0, 0.5, 1.0, 7.0].map(|draw| last.retry_after_seconds(draw)),
            [1, 30, 60, 60]
        );
        assert_eq!(first.retry_after_seconds(0.9), 1, "never at once");
        places.give_back(Duration::from_millis(1));
        assert_eq!(places.take(), Ok(()));
        places.give_back(Duration::from_millis(1));
        places.give_back(Duration::from_millis(1));
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn what_takes_long_spreads_them_further() {
        let spread = |taken_for| {
            let mut places = Places::new(1);
            for _ in 0..20 {
                places.take().unwrap();
                places.give_back(taken_for);
            }
            places.take().unwrap();
            (0..10).map(|_| places.take().unwrap_err()).last().unwrap().spread
        };
        assert!(spread(Duration::from_secs(4)) > Duration::from_secs(30));
        assert_eq!(spread(Duration::from_millis(1)), SHORTEST);
        assert_eq!(Places::new(0).take(), Ok(()));
    }
}
