//! What one stream is sent next.
//!
//! A stream keeps nothing but its position. Whenever its proxy has taken the last, it takes what is newer
//! from the window, a bounded portion at a time, so a slow proxy costs no memory. One that the window has
//! overtaken is ended: it comes back and is caught up with from the log.

use crate::{
    Delta, EncodeError, Encoded, Epoch, Frame, Mark, Position, Removal, Revision, Since,
    UpdateKind, Window, frame::Begin,
};

/// How a stream has to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Where the proxy stands is known: it gets what is newer, perhaps nothing.
    Follow(Position),
    /// Where it stands is older than what is kept in memory.
    CatchUp(Position),
    /// It gets the whole state.
    Full,
}

impl Opening {
    /// Of a proxy that holds this state, or none. It takes no longer with a million tenants than with one.
    #[must_use]
    pub fn of(asked: Option<Position>, window: &Window) -> Self {
        let Some(asked) = asked else { return Self::Full };
        match window.since(asked) {
            Since::Deltas(..) | Since::Renamed(_) => Self::Follow(asked),
            Since::Older => Self::CatchUp(asked),
            Since::Unknown => Self::Full,
        }
    }

    /// Whether it takes more than a look at the window, so that only a few may go on at once.
    #[must_use]
    pub fn is_expensive(self) -> bool {
        !matches!(self, Self::Follow(_))
    }
}

/// A stream whose proxy will stand at a known position once it has taken everything that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    position: Position,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Send(Vec<Encoded>),
    /// Wait until there is more.
    Wait,
    /// End the stream: what it needs is not in the window any more.
    Overtaken,
}

impl Feed {
    /// Of a proxy that stands here.
    #[must_use]
    pub fn at(position: Position) -> Self {
        Self { position }
    }

    /// Where the proxy stands once it has everything.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// What the stream is sent next. What is answered counts as sent.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn next(&mut self, window: Option<&Window>) -> Result<Next, EncodeError> {
        let Some(window) = window else { return Ok(Next::Overtaken) };
        let next = match window.since(self.position) {
            Since::Deltas(lines, to) => {
                self.position = to;
                if lines.is_empty() { Next::Wait } else { Next::Send(lines) }
            }
            Since::Renamed(to) => {
                let from = std::mem::replace(&mut self.position, to);
                let delta = Delta::new(from, to, window.resources(), Vec::new())?;
                Next::Send(vec![delta.lines])
            }
            Since::Older | Since::Unknown => Next::Overtaken,
        };
        Ok(next)
    }

    /// The sign of life of a stream that has nothing else to say.
    #[must_use]
    pub fn heartbeat(&self) -> Frame {
        Frame::Heartbeat(mark(self.position))
    }
}

/// What stands around the resources of a whole state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullState {
    /// The state.
    pub position: Position,
    /// Which revision of the store it is read at.
    pub read_at: Revision,
}

impl FullState {
    /// The newest state of a window.
    #[must_use]
    pub fn newest(window: &Window) -> Self {
        Self { position: window.head(), read_at: window.settled() }
    }

    /// The history it belongs to.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.position.epoch
    }

    /// What stands before its resources.
    #[must_use]
    pub fn begin(&self, removal: Removal) -> Frame {
        let to = self.position.revision;
        let kind = UpdateKind::Full;
        Frame::Begin(Begin { kind, from: to, to, removal })
    }

    /// What stands after them.
    #[must_use]
    pub fn commit(&self) -> Frame {
        Frame::Commit(mark(self.position))
    }
}

fn mark(position: Position) -> Mark {
    Mark { revision: position.revision, hash: position.hash }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoding, StateHash};

    fn at(revision: u64) -> Position {
        let hash = StateHash::from_u128(u128::from(revision));
        Position { epoch: Epoch::from_u128(1), revision: Revision::new(revision), hash }
    }

    fn delta(from: u64, to: u64) -> Delta {
        Delta::new(at(from), at(to), 1, Vec::new()).unwrap()
    }

    #[test]
    fn only_what_the_window_does_not_know_is_expensive() {
        let mut window = Window::new(at(5), 1);
        window.push(delta(5, 7));
        let opening = |asked| Opening::of(asked, &window);
        assert_eq!(opening(None), Opening::Full);
        assert_eq!(opening(Some(at(7))), Opening::Follow(at(7)));
        assert_eq!(opening(Some(at(5))), Opening::Follow(at(5)));
        assert_eq!(opening(Some(at(6))), Opening::CatchUp(at(6)));
        assert_eq!(opening(Some(at(8))), Opening::Full);
        assert!(!opening(Some(at(7))).is_expensive());
        assert!(opening(Some(at(6))).is_expensive() && opening(None).is_expensive());
    }

    #[test]
    fn a_stream_takes_what_is_newer_and_is_ended_when_it_is_overtaken() {
        let mut window = Window::new(at(5), 1);
        let mut feed = Feed::at(at(5));
        assert_eq!(feed.next(Some(&window)).unwrap(), Next::Wait);
        window.push(delta(5, 7));
        assert_eq!(feed.next(Some(&window)).unwrap(), Next::Send(vec![delta(5, 7).lines]));
        assert_eq!((feed.position(), feed.next(Some(&window)).unwrap()), (at(7), Next::Wait));
        // The state was read again: the same under another number, then another one.
        let renamed = Position { revision: Revision::new(9), ..at(7) };
        let Next::Send(lines) = feed.next(Some(&Window::new(renamed, 1))).unwrap() else {
            panic!("it is told the new number");
        };
        assert!(lines[0].bytes(Encoding::Plain).starts_with(b"{\"begin\""));
        assert_eq!(feed.position(), renamed);
        assert_eq!(feed.next(Some(&Window::new(at(12), 1))).unwrap(), Next::Overtaken);
        assert_eq!(feed.next(None).unwrap(), Next::Overtaken);
    }
}
