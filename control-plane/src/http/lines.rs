//! A body that is read line by line and never held whole.
//!
//! Lines wait in a short channel, so a sender who is faster than what is done with them is held up by TCP.
//! How many bytes of lines there are at once is bounded for each body, wherever they are: each line holds
//! its share until it is dropped.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

/// Lines that wait to be taken.
const WAITING: usize = 16;
/// The most bytes of lines at once; more than the longest line.
const BUDGET: u32 = 8 << 20;
/// How much is still read of a body that nobody wants any more, so that whoever sends it gets to read why.
const DRAINED: usize = 64 << 20;

/// One line, without its end.
#[derive(Debug)]
pub struct Line {
    /// Which, counted from 1.
    pub number: u64,
    /// What it says; nothing, if it is longer than a line may be.
    pub text: Option<Bytes>,
    _share: Option<OwnedSemaphorePermit>,
}

/// What comes of a body.
#[derive(Debug)]
pub enum Piece {
    /// A line.
    Line(Line),
    /// It is not whole, and nothing more comes; why.
    Cut(&'static str),
}

/// Reads the lines of a body, the empty ones left out, until they are no longer taken. Each piece of it
/// has to arrive within `patience`. The channel ends with the body; the task ends when nothing more is
/// read.
pub fn lines(
    body: Body,
    longest: usize,
    patience: Duration,
) -> (mpsc::Receiver<Piece>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let reader = tokio::spawn(async move {
        let mut body = body.into_data_stream();
        let budget = Arc::new(Semaphore::new(usize::try_from(BUDGET).unwrap_or(usize::MAX)));
        let mut splitter = Splitter::new(longest);
        let mut is_wanted = true;
        let mut drained = 0_usize;
        let end = loop {
            let piece = match tokio::time::timeout(patience, body.next()).await {
                Err(_) => break Some("no more of the body has arrived for too long"),
                Ok(None) => break None,
                Ok(Some(Err(_))) => break Some("the body did not arrive whole"),
                Ok(Some(Ok(piece))) => piece,
            };
            if !is_wanted {
                drained = drained.saturating_add(piece.len());
                if drained > DRAINED {
                    return;
                }
                continue;
            }
            splitter.push(&piece);
            while let Some(line) = splitter.next() {
                is_wanted = is_wanted && send(&sender, &budget, line).await;
            }
        };
        match end {
            // Half a line of a body that was cut off is none.
            Some(why) => drop(sender.send(Piece::Cut(why)).await),
            None => {
                if let Some(line) = splitter.last() {
                    send(&sender, &budget, line).await;
                }
            }
        }
    });
    (receiver, reader)
}

/// Whether it was taken.
async fn send(
    sender: &mpsc::Sender<Piece>,
    budget: &Arc<Semaphore>,
    (number, text): (u64, Option<Bytes>),
) -> bool {
    let bytes = text.as_ref().map_or(0, Bytes::len);
    let bytes = u32::try_from(bytes).unwrap_or(BUDGET).min(BUDGET);
    let share = tokio::select! {
        // If nobody takes lines, nobody gives their shares back either.
        () = sender.closed() => return false,
        share = Arc::clone(budget).acquire_many_owned(bytes) => share.ok(),
    };
    sender.send(Piece::Line(Line { number, text, _share: share })).await.is_ok()
}

/// Cuts bytes into lines, whatever pieces they come in.
struct Splitter {
    longest: usize,
    held: BytesMut,
    /// How much of what is held has no end of a line in it.
    searched: usize,
    /// Whether the beginning of the current line was thrown away.
    is_too_long: bool,
    number: u64,
}

impl Splitter {
    fn new(longest: usize) -> Self {
        Self { longest, held: BytesMut::new(), searched: 0, is_too_long: false, number: 0 }
    }

    fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// The next line that is not empty, if all of it is there; no text, if it is too long.
    fn next(&mut self) -> Option<(u64, Option<Bytes>)> {
        loop {
            let unread = self.held.get(self.searched..).unwrap_or_default();
            let Some(end) = unread.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.held.len();
                if self.searched > self.longest {
                    self.held.clear();
                    (self.searched, self.is_too_long) = (0, true);
                }
                return None;
            };
            let mut line = self.held.split_to(self.searched + end + 1);
            line.truncate(line.len() - 1);
            self.searched = 0;
            if let Some(line) = self.line(line.freeze()) {
                return Some(line);
            }
        }
    }

    /// What stands behind the last end of a line.
    fn last(mut self) -> Option<(u64, Option<Bytes>)> {
        let line = self.held.split().freeze();
        self.line(line)
    }

    fn line(&mut self, line: Bytes) -> Option<(u64, Option<Bytes>)> {
        self.number += 1;
        if std::mem::take(&mut self.is_too_long) || line.len() > self.longest {
            return Some((self.number, None));
        }
        (!line.trim_ascii().is_empty()).then_some((self.number, Some(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> Vec<(u64, Option<String>)> {
        let mut splitter = Splitter::new(5);
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(piece.as_bytes());
            while let Some(line) = splitter.next() {
                lines.push(line);
            }
            assert!(splitter.held.len() <= 5 + piece.len(), "no more is held than a line");
        }
        lines.extend(splitter.last());
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        lines.into_iter().map(|(number, line)| (number, line.map(text))).collect()
    }

    #[test]
    fn lines_are_found_in_any_pieces() {
        let whole = "ab\n\r\n \ncde\n12345\n123456\nf";
        let expected: Vec<_> =
            [(1, Some("ab")), (4, Some("cde")), (5, Some("12345")), (6, None), (7, Some("f"))]
                .map(|(number, line)| (number, line.map(str::to_owned)))
                .into();
        for size in 1..=whole.len() {
            let pieces: Vec<_> = whole.as_bytes().chunks(size).collect();
            let pieces: Vec<_> = pieces.iter().map(|it| std::str::from_utf8(it).unwrap()).collect();
            assert_eq!(split(&pieces), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        assert_eq!(split(&["xxxx"; 1000]), [(1, None)]);
        assert_eq!(split(&["xxxxxxx", "x\n", "a\n"]), [(1, None), (2, Some("a".to_owned()))]);
        assert_eq!(split(&[""]), []);
    }
}
