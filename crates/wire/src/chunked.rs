//! The chunked coding (RFC 9112, section 7.1), taken apart as its bytes arrive.
//!
//! Extensions and trailers are passed over: whoever sends the data on frames it anew.

/// Bytes of extensions behind one size. Nobody uses them but to hide something.
const MAX_EXTENSION_BYTES: usize = 4096;
/// Bytes of all trailers.
const MAX_TRAILER_BYTES: usize = 64 * 1024;
/// Hexadecimal digits of a size that fits 60 bits.
const MAX_SIZE_DIGITS: u8 = 15;

/// Takes chunks apart.
#[derive(Debug, Default)]
pub struct Chunks {
    at: At,
    /// Bytes of extensions or trailers so far.
    passed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a size of so many digits.
    Size {
        digits: u8,
        size: u64,
    },
    Extension {
        size: u64,
    },
    /// Before the line feed that ends a size.
    SizeEnds {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// Before the carriage return behind the data.
    DataReturns,
    DataEnds,
    /// At the beginning of a trailer, or of the blank line at the end.
    Trailer,
    InTrailer,
    TrailerEnds,
    /// Before the line feed of the blank line.
    LastEnds,
    Done,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

impl Chunks {
    /// Whether the last chunk and what follows it have come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Goes on with the next bytes and hands out the data among them, piece by piece. Returns how many of the bytes
    /// belong to the body: all of them, or fewer if it ends among them.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn advance<'b>(
        &mut self,
        bytes: &'b [u8],
        mut data: impl FnMut(&'b [u8]),
    ) -> Result<usize, &'static str> {
        let mut rest = bytes;
        while !self.is_done() {
            if let At::Data { left } = self.at {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (piece, behind) = rest.split_at(taken);
                if taken > 0 {
                    data(piece);
                }
                rest = behind;
                let left = left - taken as u64;
                self.at = if left > 0 { At::Data { left } } else { At::DataReturns };
                if left > 0 {
                    break;
                }
            }
            let Some((byte, behind)) = rest.split_first() else { break };
            self.at = self.after(*byte)?;
            rest = behind;
        }
        Ok(bytes.len() - rest.len())
    }

    fn after(&mut self, byte: u8) -> Result<At, &'static str> {
        Ok(match (self.at, byte) {
            (At::Size { digits: 1.., size }, b'\r') => At::SizeEnds { size },
            (At::Size { digits: 1.., size }, b';' | b' ' | b'\t') => {
                self.passed = 0;
                At::Extension { size }
            }
            (At::Size { digits, size }, digit) => {
                let value = char::from(digit).to_digit(16).ok_or("a chunk's size is no number")?;
                if digits >= MAX_SIZE_DIGITS {
                    return Err("a chunk's size has too many digits");
                }
                At::Size { digits: digits + 1, size: size << 4 | u64::from(value) }
            }
            (At::Extension { size }, b'\r') => At::SizeEnds { size },
            (At::Extension { .. }, b'\n') => {
                return Err("a chunk's size ends without a carriage return");
            }
            (At::Extension { size }, _) => {
                self.pass(MAX_EXTENSION_BYTES, "a chunk's extension is too long")?;
                At::Extension { size }
            }
            (At::SizeEnds { size: 0 }, b'\n') => {
                self.passed = 0;
                At::Trailer
            }
            (At::SizeEnds { size }, b'\n') => At::Data { left: size },
            (At::DataReturns, b'\r') => At::DataEnds,
            (At::DataEnds, b'\n') => At::default(),
            (At::Trailer, b'\r') => At::LastEnds,
            (At::InTrailer, b'\r') => At::TrailerEnds,
            (At::TrailerEnds, b'\n') => At::Trailer,
            (At::Trailer | At::InTrailer, byte) if byte != b'\n' => {
                self.pass(MAX_TRAILER_BYTES, "the trailers are too long")?;
                At::InTrailer
            }
            (At::LastEnds, b'\n') => At::Done,
            _ => return Err("a chunk does not end where it should"),
        })
    }

    fn pass(&mut self, most: usize, too_long: &'static str) -> Result<(), &'static str> {
        self.passed += 1;
        if self.passed > most { Err(too_long) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(parts: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let (mut chunks, mut data, mut consumed) = (Chunks::default(), Vec::new(), 0);
        for part in parts {
            consumed += chunks.advance(part, |piece| data.extend_from_slice(piece))?;
        }
        Ok((data, consumed, chunks.is_done()))
    }

    #[test]
    fn data_comes_out_and_nothing_else() {
        for (body, data, is_done) in [
            ("0\r\n\r\n", "", true),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", true),
            ("5;a=b\r\nhello\r\n00;x\r\nTrailer: a\r\nAnother: b\r\n\r\n", "hello", true),
            ("A\r\n0123456789\r\n1 \r\n!\r\n0\r\n\r\n", "0123456789!", true),
            ("5\r\nhello\r\n0\r\n", "hello", false),
            ("5\r\nhel", "hel", false),
            ("", "", false),
        ] {
            let expected = Ok((data.as_bytes().to_vec(), body.len(), is_done));
            assert_eq!(take(&[body.as_bytes()]), expected, "{body:?}");
        }
        let (_, consumed, is_done) = take(&[b"0\r\n\r\nHTTP/1.1 200"]).unwrap();
        assert_eq!((consumed, is_done), (5, true));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for body in [
            "\r\n",
            "x\r\n",
            "+5\r\n",
            "5\nhello",
            "5;a\nhello",
            "5\r\nhello0\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\na\n\r\n",
            "1000000000000000\r\n",
            "5\r\r\nhello",
        ] {
            assert!(take(&[body.as_bytes()]).is_err(), "{body:?}");
        }
        let endless = [b"5;".as_slice(), &[b'a'; MAX_EXTENSION_BYTES + 1]].concat();
        assert!(take(&[&endless]).is_err());
        let endless =
            [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(MAX_TRAILER_BYTES / 4 + 1)].concat();
        assert!(take(&[&endless]).is_err());
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_in_which_pieces_a_body_comes(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cut in 1_usize..30,
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            let parts: Vec<&[u8]> = body.chunks(cut).collect();
            prop_assert_eq!(take(&parts), Ok((chunks.concat(), body.len(), true)));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = take(&[&bytes]);
        }
    }
}
