//! The body of an answer on its way to the client.

use std::io::Write as _;

use bytes::Buf as _;
use pingora::{Error, ErrorType};
use tenantry_wire::{chunked::Chunks, response::ResponseBody};

use super::{
    Client, Gateway, Passage, Told,
    upstream::{Answering, Deadline, Failed, Line, malformed},
    wait,
};
use crate::upstream::Expired;

/// Room for what is read at once of a body that is known to be long.
const LONG: usize = 64 * 1024;
/// Room for what is read at once of a body that may go on for ever, and say little.
const UNKNOWN: usize = 8 * 1024;

/// What is no longer than this is copied behind the head: that is cheaper than to write both from where they are.
const SMALL: usize = 2048;

/// How much of a body has come.
enum Coming {
    Length(u64),
    Chunked(Chunks),
    UntilClose { ended: bool },
}

/// What goes to the client next: first what was framed, then so many bytes as they came.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    plain: usize,
    /// Bytes of what came that are in it.
    used: usize,
    /// Bytes of the body in it.
    payload: usize,
    is_last: bool,
}

impl Coming {
    fn new(body: ResponseBody) -> Self {
        match body {
            ResponseBody::Length(length) => Self::Length(length),
            ResponseBody::Chunked => Self::Chunked(Chunks::default()),
            ResponseBody::UntilClose => Self::UntilClose { ended: false },
        }
    }

    /// Takes what has come. A body without a length goes on in chunks, made anew: what else stood between them is not
    /// for the client.
    fn take(&mut self, bytes: &[u8], framed: &mut Vec<u8>) -> Result<Piece, &'static str> {
        let mut payload = 0;
        let mut frame = |data: &[u8]| {
            payload += data.len();
            // Writing to memory cannot fail.
            let _ = write!(framed, "{:x}\r\n", data.len());
            framed.extend_from_slice(data);
            framed.extend_from_slice(b"\r\n");
        };
        let (used, is_last) = match self {
            Self::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                return Ok(Piece { plain: used, used, payload: used, is_last: *left == 0 });
            }
            Self::Chunked(chunks) => (chunks.advance(bytes, frame)?, chunks.is_done()),
            Self::UntilClose { ended } => {
                if !bytes.is_empty() {
                    frame(bytes);
                }
                (bytes.len(), *ended)
            }
        };
        if is_last {
            framed.extend_from_slice(b"0\r\n\r\n");
        }
        Ok(Piece { plain: 0, used, payload, is_last })
    }

    /// Room for what comes next.
    fn room(&self) -> usize {
        match self {
            Self::Length(left) => usize::try_from(*left).unwrap_or(LONG).min(LONG),
            Self::Chunked(_) | Self::UntilClose { .. } => UNKNOWN,
        }
    }

    /// The connection has ended. Returns whether the body may end with it.
    fn end(&mut self) -> bool {
        match self {
            Self::UntilClose { ended } => {
                *ended = true;
                true
            }
            Self::Length(_) | Self::Chunked(_) => false,
        }
    }
}

impl Gateway {
    /// Passes a body on, and counts what was sent of it.
    pub(super) async fn pass_on(
        &self,
        client: &mut Client<'_>,
        passage: &mut Passage,
        answering: Answering,
        told: &mut Told,
    ) -> Result<(), Failed> {
        let Answering { mut line, answer, .. } = answering;
        let (mut framed, mut coming) = (answer.head, Coming::new(answer.body));
        loop {
            let piece = coming.take(&line.buffer, &mut framed).map_err(malformed)?;
            let mut plain = line.buffer.get(..piece.plain).unwrap_or_default();
            if !framed.is_empty() && plain.len() <= SMALL {
                framed.extend_from_slice(std::mem::take(&mut plain));
            }
            if !framed.is_empty() || !plain.is_empty() {
                let paced = passage.admission().filter(|admission| admission.is_paced());
                let delay = paced.map(|it| it.sending_delay(piece.payload, self.clock.monotonic()));
                wait(delay).await;
                told.has_begun = true;
                self.write(client, &framed, plain).await?;
            }
            told.payload += piece.payload as u64;
            line.buffer.advance(piece.used);
            if piece.is_last {
                break;
            }
            framed.clear();
            line.buffer.reserve(coming.room());
            self.read_part(client, &mut line, passage, &mut coming).await?;
        }
        if answer.is_kept && line.buffer.is_empty() {
            self.connector.shelf().put(line.destination, line.stream, answer.at);
        }
        Ok(())
    }

    /// Reads the next part of a body, or its end.
    async fn read_part(
        &self,
        client: &mut Client<'_>,
        line: &mut Line,
        passage: &mut Passage,
        coming: &mut Coming,
    ) -> Result<(), Failed> {
        let Some(attempts) = &mut passage.attempts else {
            return Err(malformed("nobody was asked"));
        };
        let mut deadline = Deadline::of_next_part(attempts.patience, self.clock);
        // What can be read at once is not waited for, and would go on for ever.
        if deadline.is_over() {
            attempts.expire(Expired::Total);
            return Err(Error::new_up(ErrorType::ReadTimedout).into());
        }
        match self.read(client, line, passage, &mut deadline).await {
            Err(Failed::Upstream(error))
                if error.etype() == &ErrorType::ConnectionClosed && coming.end() =>
            {
                Ok(())
            }
            read => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the client gets of a body that comes in these parts, and how much of it was payload.
    fn passed(body: ResponseBody, parts: &[&str], ends: bool) -> (String, usize, bool) {
        let (mut coming, mut passed, mut payload) = (Coming::new(body), Vec::new(), 0);
        let mut is_last = false;
        for part in parts {
            let piece = coming.take(part.as_bytes(), &mut passed).unwrap();
            passed.extend_from_slice(&part.as_bytes()[..piece.plain]);
            payload += piece.payload;
            is_last = piece.is_last;
        }
        if ends && coming.end() {
            is_last = coming.take(b"", &mut passed).unwrap().is_last;
        }
        (String::from_utf8(passed).unwrap(), payload, is_last)
    }

    #[test]
    fn a_body_comes_out_as_it_was() {
        use ResponseBody::{Chunked, Length, UntilClose};
        let ended = |text: &str, payload| (text.to_owned(), payload, true);
        assert_eq!(passed(Length(0), &[""], false), ended("", 0));
        assert_eq!(passed(Length(5), &["hel", "loHTTP/1.1"], false), ended("hello", 5));
        let chunked = ["5;x=y\r\nhel", "lo\r\n0\r\nTrailer: a\r\n", "\r\n"];
        let framed = "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        assert_eq!(passed(Chunked, &chunked, false), ended(framed, 5));
        assert_eq!(passed(UntilClose, &["hel", "lo"], true), ended(framed, 5));
        assert_eq!(passed(UntilClose, &[], true), ended("0\r\n\r\n", 0));
    }

    #[test]
    fn a_body_that_was_cut_has_no_end() {
        for (body, part) in [
            (ResponseBody::Length(5), "hell"),
            (ResponseBody::Chunked, "5\r\nhello\r\n"),
            (ResponseBody::UntilClose, "hello"),
        ] {
            let ends = body != ResponseBody::UntilClose;
            assert!(!passed(body, &[part], ends).2, "{body:?}");
        }
    }
}
