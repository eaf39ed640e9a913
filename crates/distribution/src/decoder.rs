//! Bytes in, frames out.

use bytes::{Buf, BytesMut};

use crate::{Frame, MAX_LINE_BYTES};

/// Cuts a byte stream into lines and reads each as a frame.
///
/// Chunks may end anywhere. After an error nothing more comes out: the reader has lost its place in
/// what the other end meant, and only a new stream can say.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line feed, so that a long line which comes in many
    /// chunks is searched once.
    searched: usize,
    consumed: u64,
    failed: bool,
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No line feed within [`MAX_LINE_BYTES`].
    #[error("the line at byte {offset} is longer than {MAX_LINE_BYTES} bytes")]
    TooLong {
        /// Where the line starts in the stream.
        offset: u64,
    },
    /// The line is not a frame.
    #[error("the line at byte {offset} is not a frame")]
    Frame {
        /// Where the line starts in the stream.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The bytes are not what a compressor makes.
    #[error("the stream cannot be decompressed")]
    Compression(#[source] std::io::Error),
}

impl Decoder {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes. Memory is bounded as long as the caller pulls all frames before it
    /// pushes again.
    pub fn push(&mut self, chunk: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// The next frame, or nothing until more bytes come.
    #[expect(clippy::should_implement_trait, reason = "it is no iterator: its end is not the end")]
    pub fn next(&mut self) -> Option<Result<Frame, DecodeError>> {
        if self.failed {
            return None;
        }
        let offset = self.consumed;
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return if self.searched < MAX_LINE_BYTES {
                None
            } else {
                self.fail(DecodeError::TooLong { offset })
            };
        };
        let length = self.searched + found;
        if length >= MAX_LINE_BYTES {
            return self.fail(DecodeError::TooLong { offset });
        }
        let line = self.buffer.split_to(length);
        self.buffer.advance(1);
        self.searched = 0;
        self.consumed = offset.saturating_add(length as u64).saturating_add(1);
        match serde_json::from_slice(&line) {
            Ok(frame) => Some(Ok(frame)),
            Err(source) => self.fail(DecodeError::Frame { offset, source }),
        }
    }

    /// How many bytes the frames that came out took, line feeds included.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Whether an unfinished line is waiting for its end.
    #[must_use]
    pub fn has_partial_line(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn fail(&mut self, error: DecodeError) -> Option<Result<Frame, DecodeError>> {
        self.failed = true;
        self.buffer = BytesMut::new();
        Some(Err(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bounded_whether_or_not_it_ends() {
        for end in ["", "\n"] {
            let mut decoder = Decoder::new();
            decoder.push(&vec![b' '; MAX_LINE_BYTES]);
            decoder.push(end.as_bytes());
            assert!(matches!(decoder.next(), Some(Err(DecodeError::TooLong { offset: 0 }))));
            decoder.push(b"{\"new\":1}\n");
            assert!(decoder.next().is_none(), "nothing comes after an error");
        }
        let mut decoder = Decoder::new();
        let mut longest = vec![b' '; MAX_LINE_BYTES - 1];
        longest.splice(0..9, *b"{\"new\":1}");
        longest.push(b'\n');
        decoder.push(&longest);
        assert!(matches!(decoder.next(), Some(Ok(Frame::Unknown))));
    }

    #[test]
    fn nesting_does_not_exhaust_the_stack() {
        let deep = "[".repeat(1_000_000);
        for line in [
            format!("{{\"put\":{{\"kind\":\"plan\",\"id\":\"x\",\"resource\":{deep}\n"),
            format!("{{\"new\":{deep}\n"),
            format!("{deep}\n"),
        ] {
            let mut decoder = Decoder::new();
            decoder.push(line.as_bytes());
            assert!(decoder.next().unwrap().is_err());
        }
    }
}
