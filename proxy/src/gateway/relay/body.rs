//! The body of an answer on its way to the client.

use bytes::{Buf as _, BytesMut};
use pingora::{Error, ErrorType};
use tenantry_wire::{chunked::Chunks, response::ResponseBody};

use super::{
    Gateway, Passage, Told,
    client::{Client, Part, Payload},
    upstream::{Answering, Deadline, Failed, Line, malformed},
    wait,
};
use crate::upstream::Expired;

/// Room for what is read at once of a body that is known to be long.
const LONG: usize = 64 * 1024;
/// Room for what is read at once of a body that may go on for ever, and say little.
const UNKNOWN: usize = 8 * 1024;

/// How much of a body has come.
enum Coming {
    Length(u64),
    Chunked(Chunks),
    UntilClose { ended: bool },
}

/// What came next of a body.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    /// Bytes of what came that are in it as they stand.
    standing: usize,
    /// Bytes of what came that are used up with it.
    used: usize,
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

    /// Takes what has come. What stands in chunks is gathered: what else stood between it is not for the client.
    fn take(&mut self, bytes: &[u8], gathered: &mut Vec<u8>) -> Result<Piece, &'static str> {
        Ok(match self {
            Self::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                Piece { standing: used, used, is_last: *left == 0 }
            }
            Self::Chunked(chunks) => {
                let used = chunks.advance(bytes, |data| gathered.extend_from_slice(data))?;
                Piece { standing: 0, used, is_last: chunks.is_done() }
            }
            Self::UntilClose { ended } => {
                Piece { standing: bytes.len(), used: bytes.len(), is_last: *ended }
            }
        })
    }

    /// A piece as it is sent.
    fn part<'b>(
        &self,
        piece: Piece,
        buffer: &'b mut BytesMut,
        gathered: &'b mut Vec<u8>,
    ) -> Part<'b> {
        let payload = match self {
            Self::Chunked(_) => Payload::Gathered(gathered),
            _ => Payload::Standing(buffer, piece.standing),
        };
        let has_length = matches!(self, Self::Length(_));
        Part { payload, is_last: piece.is_last, has_length }
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
    /// Passes an answer on, and counts what was sent of its body.
    pub(super) async fn pass_on<C: Client>(
        &self,
        client: &mut C,
        passage: &mut Passage,
        answering: Answering<C::Head>,
        told: &mut Told,
    ) -> Result<(), Failed> {
        let Answering { mut line, answer, .. } = answering;
        let (mut head, mut coming) = (Some(answer.head), Coming::new(answer.body));
        let mut gathered = Vec::new();
        let last = loop {
            let piece = coming.take(&line.buffer, &mut gathered).map_err(malformed)?;
            if piece.is_last {
                break piece;
            }
            let left = line.buffer.len() - piece.used;
            let part = coming.part(piece, &mut line.buffer, &mut gathered);
            self.hand_on(client, passage, &mut head, part, told).await?;
            // What was sent may be gone from it already.
            line.buffer.advance(line.buffer.len() - left);
            gathered.clear();
            line.buffer.reserve(coming.room());
            self.read_part(client, &mut line, passage, &mut coming).await?;
        };
        let Line { stream, destination, mut buffer } = line;
        if answer.is_kept && buffer.len() == last.used {
            // Another request need not wait until this client has taken the end.
            self.connector.shelf().put(destination, stream, answer.at);
        }
        let part = coming.part(last, &mut buffer, &mut gathered);
        self.hand_on(client, passage, &mut head, part, told).await
    }

    /// Sends a part of an answer, unless there is nothing in it.
    async fn hand_on<C: Client>(
        &self,
        client: &mut C,
        passage: &Passage,
        head: &mut Option<C::Head>,
        part: Part<'_>,
        told: &mut Told,
    ) -> Result<(), Failed> {
        let bytes = part.payload.as_slice().len();
        if head.is_some() || bytes > 0 || part.is_last {
            let paced = passage.admission().filter(|admission| admission.is_paced());
            let delay = paced.map(|it| it.sending_delay(bytes, self.clock.monotonic()));
            wait(client, delay).await?;
            told.has_begun = true;
            client.send(head.take(), part, self.bounds.response_timeout()).await?;
        }
        told.payload += bytes as u64;
        Ok(())
    }

    /// Reads the next part of a body, or its end.
    async fn read_part(
        &self,
        client: &mut impl Client,
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

    /// What is handed on of a body that comes in these parts, and whether that is all of it.
    fn passed(body: ResponseBody, parts: &[&str], ends: bool) -> (String, bool) {
        let (mut coming, mut passed) = (Coming::new(body), Vec::new());
        let mut is_last = false;
        for part in parts {
            let mut gathered = Vec::new();
            let piece = coming.take(part.as_bytes(), &mut gathered).unwrap();
            passed.extend_from_slice(&gathered);
            passed.extend_from_slice(&part.as_bytes()[..piece.standing]);
            is_last = piece.is_last;
        }
        if ends && coming.end() {
            is_last = coming.take(b"", &mut Vec::new()).unwrap().is_last;
        }
        (String::from_utf8(passed).unwrap(), is_last)
    }

    #[test]
    fn a_body_comes_out_as_it_was() {
        use ResponseBody::{Chunked, Length, UntilClose};
        let ended = |text: &str| (text.to_owned(), true);
        assert_eq!(passed(Length(0), &[""], false), ended(""));
        assert_eq!(passed(Length(5), &["hel", "loHTTP/1.1"], false), ended("hello"));
        let chunked = ["5;x=y\r\nhel", "lo\r\n0\r\nTrailer: a\r\n", "\r\n"];
        assert_eq!(passed(Chunked, &chunked, false), ended("hello"));
        assert_eq!(passed(UntilClose, &["hel", "lo"], true), ended("hello"));
        assert_eq!(passed(UntilClose, &[], true), ended(""));
    }

    #[test]
    fn a_body_that_was_cut_has_no_end() {
        for (body, part) in [
            (ResponseBody::Length(5), "hell"),
            (ResponseBody::Chunked, "5\r\nhello\r\n"),
            (ResponseBody::UntilClose, "hello"),
        ] {
            let ends = body != ResponseBody::UntilClose;
            assert!(!passed(body, &[part], ends).1, "{body:?}");
        }
    }
}
