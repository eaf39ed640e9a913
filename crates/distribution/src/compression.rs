//! Bytes of a stream as they travel: plain, or compressed with zstd.
//!
//! What is sent to many is compressed once, as a zstd frame of its own: frames one after the other are a
//! valid stream (RFC 8878, section 3), so each proxy gets the same bytes however far it has come. Each
//! frame carries a checksum, because a damaged one must end the stream and not come out as other text.

use std::io;

use bytes::{Buf as _, Bytes};
use zstd::{
    bulk::Compressor,
    stream::raw::{CParameter, DParameter, Decoder as Zstd, Operation as _},
};

use crate::EncodeError;

/// zstd's own default: several times faster than a network, and past it little more is gained.
const LEVEL: i32 = 3;
/// The largest window that a sender may ask for, as a power of two: 8 MiB, which is what RFC 9659 grants
/// the content coding.
const WINDOW_LOG: u32 = 23;
/// How much comes out of [`Inflater::inflate`] at a time.
const OUT_BYTES: usize = 64 * 1024;

/// How the bytes of a stream travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As they are.
    #[default]
    Plain,
    /// As zstd frames.
    Zstd,
}

impl Encoding {
    /// The name of zstd as a content coding.
    pub const ZSTD: &str = "zstd";

    /// What a client that says this in `Accept-Encoding` is sent: plain text unless it names zstd.
    #[must_use]
    pub fn accepted(header: Option<&str>) -> Self {
        let names_zstd = |part: &str| {
            let (name, weight) = part.split_once(';').unwrap_or((part, ""));
            let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
            name.trim().eq_ignore_ascii_case(Self::ZSTD)
                && weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0)
        };
        match header {
            Some(header) if header.split(',').any(names_zstd) => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// These lines as they travel.
    ///
    /// # Errors
    /// If the compressor fails, which it does for want of memory only.
    pub fn encode(self, plain: Bytes) -> Result<Bytes, EncodeError> {
        match self {
            Self::Plain => Ok(plain),
            Self::Zstd => compress(&plain).map_err(EncodeError::Compression),
        }
    }
}

/// Lines for many streams: encoded once in each way, and shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    plain: Bytes,
    zstd: Bytes,
}

impl Encoded {
    /// Of these lines.
    ///
    /// # Errors
    /// If the compressor fails.
    pub fn new(plain: Bytes) -> Result<Self, EncodeError> {
        let zstd = Encoding::Zstd.encode(plain.clone())?;
        Ok(Self { plain, zstd })
    }

    /// The bytes that travel.
    #[must_use]
    pub fn bytes(&self, encoding: Encoding) -> Bytes {
        match encoding {
            Encoding::Plain => self.plain.clone(),
            Encoding::Zstd => self.zstd.clone(),
        }
    }

    /// How much memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.plain.len().saturating_add(self.zstd.len())
    }
}

fn compress(plain: &[u8]) -> io::Result<Bytes> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.compress(plain).map(Bytes::from)
}

/// Takes zstd frames apart, a bounded piece at a time, however much they say is in them.
pub(crate) struct Inflater {
    zstd: Zstd<'static>,
    input: Bytes,
    output: Vec<u8>,
    /// The last piece filled the output, so there may be more of what was taken in already.
    is_full: bool,
}

impl Inflater {
    pub(crate) fn new() -> io::Result<Self> {
        let mut zstd = Zstd::new()?;
        zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(Self { zstd, input: Bytes::new(), output: vec![0; OUT_BYTES], is_full: false })
    }

    /// Takes in what comes next. What came before must have been inflated.
    pub(crate) fn push(&mut self, input: Bytes) {
        if self.input.is_empty() {
            self.input = input;
        } else {
            self.input = [self.input.as_ref(), &input].concat().into();
        }
    }

    /// The next piece of plain text; none until more comes in.
    pub(crate) fn inflate(&mut self) -> io::Result<Option<&[u8]>> {
        while self.is_full || !self.input.is_empty() {
            let status = self.zstd.run_on_buffers(&self.input, &mut self.output)?;
            let is_stuck = status.bytes_read == 0 && status.bytes_written == 0;
            self.input.advance(status.bytes_read.min(self.input.len()));
            self.is_full = status.bytes_written == self.output.len();
            if is_stuck && !self.input.is_empty() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not go on"));
            }
            if status.bytes_written > 0 {
                return Ok(self.output.get(..status.bytes_written));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inflated(chunks: impl IntoIterator<Item = Bytes>) -> io::Result<Vec<u8>> {
        let (mut inflater, mut plain) = (Inflater::new().unwrap(), Vec::new());
        for chunk in chunks {
            inflater.push(chunk);
            while let Some(piece) = inflater.inflate()? {
                plain.extend_from_slice(piece);
            }
        }
        Ok(plain)
    }

    #[test]
    fn only_who_asks_for_zstd_gets_it() {
        let zstd = ["zstd", "gzip, zstd;q=0.5", " ZSTD ", "br;q=1.0, zstd ; q=1"];
        let plain = ["", "gzip", "zstd;q=0", "zstd;q=x", "*", "zstdx"];
        for (headers, expected) in [(&zstd[..], Encoding::Zstd), (&plain[..], Encoding::Plain)] {
            for header in headers {
                assert_eq!(Encoding::accepted(Some(header)), expected, "{header}");
            }
        }
        assert_eq!(Encoding::accepted(None), Encoding::Plain);
    }

    #[test]
    fn a_small_frame_that_holds_much_comes_out_in_pieces() {
        let much = Bytes::from(vec![b' '; 64 << 20]);
        let small = Encoding::Zstd.encode(much.clone()).unwrap();
        assert!(small.len() < 64 << 10);
        let mut inflater = Inflater::new().unwrap();
        inflater.push(small);
        let mut total = 0;
        while let Some(piece) = inflater.inflate().unwrap() {
            assert!(piece.len() <= OUT_BYTES);
            total += piece.len();
        }
        assert_eq!(total, much.len());
    }

    proptest! {
        #[test]
        fn frames_in_a_row_come_out_wherever_they_are_cut(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            cut in 1_usize..50,
        ) {
            let frames: Vec<u8> = texts
                .iter()
                .flat_map(|text| Encoding::Zstd.encode(Bytes::from(text.clone())).unwrap())
                .collect();
            let chunks = frames.chunks(cut).map(Bytes::copy_from_slice);
            prop_assert_eq!(inflated(chunks).unwrap(), texts.concat());
        }

        #[test]
        fn a_changed_byte_is_found_at_the_latest_at_the_end_of_its_frame(
            text in prop::collection::vec(any::<u8>(), 1..300),
            place: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let mut frame = Encoding::Zstd.encode(Bytes::from(text.clone())).unwrap().to_vec();
            let place = place.index(frame.len());
            frame[place] ^= flip;
            // An error, an early end, or the same text (some bits of a frame's head mean nothing).
            if let Ok(plain) = inflated([Bytes::from(frame)]) {
                prop_assert!(text.starts_with(&plain));
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = inflated([Bytes::from(bytes)]);
        }
    }
}
