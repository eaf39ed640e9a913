//! Bytes as they travel in, frames out.

use bytes::Bytes;

use crate::{DecodeError, Decoder, Encoding, Frame, compression::Inflater};

/// Reads the frames of one stream, compressed or not.
///
/// Memory is bounded whatever a sender claims: compressed bytes are taken apart a piece at a time, and the
/// next piece is asked for only when the one before held no whole line.
pub struct FrameReader {
    decoder: Decoder,
    inflater: Option<Inflater>,
    has_failed: bool,
}

impl FrameReader {
    /// At the start of a stream.
    ///
    /// # Errors
    /// If there is no memory for the decompressor.
    pub fn new(encoding: Encoding) -> Result<Self, DecodeError> {
        let inflater = match encoding {
            Encoding::Plain => None,
            Encoding::Zstd => Some(Inflater::new().map_err(DecodeError::Compression)?),
        };
        Ok(Self { decoder: Decoder::new(), inflater, has_failed: false })
    }

    /// Takes in the next bytes. The caller pulls all frames before it pushes again.
    pub fn push(&mut self, chunk: Bytes) {
        match &mut self.inflater {
            None => self.decoder.push(&chunk),
            Some(inflater) => inflater.push(chunk),
        }
    }

    /// The next frame, or nothing until more bytes come. After an error nothing more comes out.
    #[expect(clippy::should_implement_trait, reason = "it is no iterator: its end is not the end")]
    pub fn next(&mut self) -> Option<Result<Frame, DecodeError>> {
        while !self.has_failed {
            if let Some(frame) = self.decoder.next() {
                self.has_failed = frame.is_err();
                return Some(frame);
            }
            match self.inflater.as_mut()?.inflate() {
                Ok(Some(piece)) => self.decoder.push(piece),
                Ok(None) => return None,
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(DecodeError::Compression(error)));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_LINE_BYTES, Mark, StateHash};
    use tenantry_model::Revision;

    fn heartbeat() -> Bytes {
        let mark = Mark { revision: Revision::new(7), hash: StateHash::from_u128(7) };
        Frame::Heartbeat(mark).encode().unwrap()
    }

    #[test]
    fn frames_come_out_of_either_encoding_byte_by_byte() {
        for encoding in [Encoding::Plain, Encoding::Zstd] {
            let mut reader = FrameReader::new(encoding).unwrap();
            let mut frames = 0;
            for _ in 0..3 {
                for byte in encoding.encode(heartbeat()).unwrap() {
                    reader.push(Bytes::copy_from_slice(&[byte]));
                    while let Some(frame) = reader.next() {
                        assert_eq!(frame.unwrap().encode().unwrap(), heartbeat());
                        frames += 1;
                    }
                }
            }
            assert_eq!(frames, 3);
        }
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_is_whole_in_memory() {
        let endless = Encoding::Zstd.encode(Bytes::from(vec![b' '; 4 * MAX_LINE_BYTES])).unwrap();
        let mut reader = FrameReader::new(Encoding::Zstd).unwrap();
        reader.push(endless);
        assert!(matches!(reader.next(), Some(Err(DecodeError::TooLong { .. }))));
        assert!(reader.next().is_none());
    }

    #[test]
    fn what_is_not_compressed_is_an_error_once() {
        let mut reader = FrameReader::new(Encoding::Zstd).unwrap();
        reader.push(heartbeat());
        assert!(matches!(reader.next(), Some(Err(DecodeError::Compression(_)))));
        reader.push(Encoding::Zstd.encode(heartbeat()).unwrap());
        assert!(reader.next().is_none());
    }
}
