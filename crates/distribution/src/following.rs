//! What a proxy does about its stream: what it asks for, what it makes of frames, and what it does when
//! the stream is over.
//!
//! It is the deciding half of a subscription. The other half moves bytes, waits, applies and records.

use std::time::Duration;

use crate::{Assembler, BackoffBounds, ContinuityError, Event, Frame, Position, backoff::Backoff};

/// The longest that a proxy stays away because the control plane asked it to.
const LONGEST_STAY_AWAY: Duration = Duration::from_secs(120);

/// Why a stream is over, as far as it matters for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The connection broke, was closed, or fell silent; or there was none.
    Lost,
    /// Nothing was sent: the control plane asks to come back after so long.
    TurnedAway(Duration),
    /// What came could not be read as frames.
    Unreadable,
    /// A frame broke the rules.
    Breach,
}

/// The deciding half of a subscription.
#[derive(Debug)]
pub struct Following {
    assembler: Assembler,
    backoff: Backoff,
}

impl Following {
    /// Goes on from what an assembler holds.
    #[must_use]
    pub fn new(assembler: Assembler, backoff: BackoffBounds) -> Self {
        Self { assembler, backoff: Backoff::new(backoff) }
    }

    /// A new stream is asked for: the state from which it may go on, or none if it is to be sent whole.
    pub fn ask(&mut self) -> Option<Position> {
        self.assembler.restart();
        self.assembler.resume()
    }

    /// Takes in the next frame. An update is to be applied, then recorded, then reported.
    ///
    /// # Errors
    /// The rule that was broken: the stream is to be [ended](Self::end) with [`End::Breach`].
    pub fn take(&mut self, frame: Frame) -> Result<Event, ContinuityError> {
        let event = self.assembler.push(frame)?;
        if event == Event::Confirmed {
            // Only an agreement that outlives the update proves the stream good. Were a commit
            // enough, a control plane that sends a full state and then a broken delta would be
            // asked for full states without a pause.
            self.backoff.reset();
        }
        Ok(event)
    }

    /// The stream is over: how long to wait before the next one is asked for, for a random number from 0
    /// to 1.
    pub fn end(&mut self, end: End, draw: f64) -> Duration {
        match end {
            // The second that `Retry-After` cannot say keeps those apart who were told the same.
            End::TurnedAway(wait) => {
                wait.min(LONGEST_STAY_AWAY) + Duration::from_secs(1).mul_f64(draw.clamp(0.0, 1.0))
            }
            End::Unreadable => {
                // What cannot be read may have meant anything. An assembler that found a breach knows
                // already; a line that merely broke costs no more than the deltas missed meanwhile.
                self.assembler.distrust();
                self.backoff.next_wait(draw)
            }
            End::Lost | End::Breach => self.backoff.next_wait(draw),
        }
    }

    /// The state held, whether or not a delta may stand on it.
    #[must_use]
    pub fn held(&self) -> Option<Position> {
        self.assembler.held()
    }

    /// How many tenants it has.
    #[must_use]
    pub fn tenants(&self) -> u64 {
        self.assembler.tenants()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Mark, Removal, RemovalBrake, Revision, StateHash, feed::FullState};

    fn following() -> Following {
        let epoch = Epoch::from_u128(1);
        let hash = StateHash::from_u128(0);
        let position = Position { epoch, revision: Revision::new(3), hash };
        let full = FullState { position, read_at: position.revision };
        let assembler = Assembler::new(RemovalBrake::default());
        let mut following = Following::new(assembler, BackoffBounds::default());
        assert_eq!(following.ask(), None);
        for frame in [Frame::hello(epoch), full.begin(Removal::Guarded), full.commit()] {
            following.take(frame).unwrap();
        }
        assert_eq!(following.held(), Some(position));
        following
    }

    #[test]
    fn what_is_asked_for_after_each_end() {
        let turned_away = End::TurnedAway(Duration::from_secs(9));
        for (end, resumes) in [(End::Lost, true), (turned_away, true), (End::Unreadable, false)] {
            let mut following = following();
            following.end(end, 0.5);
            assert_eq!(following.ask().is_some(), resumes, "{end:?}");
            assert!(following.held().is_some(), "{end:?}");
        }
        let mut following = following();
        let mark = Mark { revision: Revision::new(3), hash: StateHash::from_u128(9) };
        assert!(following.take(Frame::Heartbeat(mark)).is_err());
        following.end(End::Breach, 0.5);
        assert_eq!(following.ask(), None);
    }

    #[test]
    fn who_is_turned_away_waits_as_long_as_was_asked_and_not_for_ever() {
        let mut following = following();
        let mut wait =
            |seconds, draw| following.end(End::TurnedAway(Duration::from_secs(seconds)), draw);
        assert_eq!(wait(7, 0.0), Duration::from_secs(7));
        assert_eq!(wait(7, 0.5), Duration::from_millis(7_500));
        assert_eq!(wait(u64::MAX, 0.0), LONGEST_STAY_AWAY);
        // It is no failure: the next one waits as if it were the first.
        assert!(following.end(End::Lost, 1.0) <= BackoffBounds::default().initial);
    }
}
