//! The upstream's end: reaching it, and the conversation until the head of the answer is there.

use std::{future::poll_fn, io, pin::Pin, task::Poll, time::Duration};

use bytes::{Buf as _, BytesMut};
use pingora::{Error, ErrorType, Result as Reached};
use tenantry_wire::response::{self, ResponseBody, ResponseHead};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::Instant};
use tokio_util::io::poll_read_buf;

use super::{
    Alarm, Gateway, Passage,
    client::{Client, Part, Payload},
    heads::Added,
};
use crate::{
    clock::Clock,
    respond::RateLimitHeaders,
    upstream::{Answer, Destination, Expired, Patience},
};

/// Room for what is read at once.
const ROOM: usize = 4 * 1024;
/// Bytes that the head of an answer may have.
const MAX_HEAD_BYTES: usize = 256 * 1024;

/// Who broke a request off.
pub(crate) enum Failed {
    Upstream(Box<Error>),
    Client(Box<Error>),
}

impl Failed {
    /// There is nobody left to be answered.
    pub(super) fn gone() -> Self {
        Self::Client(Error::new_down(ErrorType::ConnectionClosed))
    }
}

impl From<Box<Error>> for Failed {
    fn from(error: Box<Error>) -> Self {
        Self::Upstream(error)
    }
}

/// A connection to an upstream.
pub(super) struct Line {
    pub(super) stream: TcpStream,
    pub(super) destination: Destination,
    /// What was read and not yet used.
    pub(super) buffer: BytesMut,
}

/// What the upstream was sent.
pub(super) struct Sent<'s> {
    pub(super) bytes: &'s [u8],
    /// Whether only the head of an answer was asked for.
    pub(super) is_head: bool,
    /// Whether it may be sent to another endpoint.
    pub(super) again: bool,
}

/// The head of an answer, or of one before that (1xx), of which the client may not be told.
enum Head<H> {
    Interim(Option<H>),
    Last(Begun<H>),
}

/// An answer whose head is there.
pub(super) struct Answering<H> {
    pub(super) line: Line,
    pub(super) was_reused: bool,
    pub(super) answer: Begun<H>,
}

/// What the head of an answer said.
pub(super) struct Begun<H> {
    pub(super) status: u16,
    pub(super) body: ResponseBody,
    /// Whether the upstream takes another request afterwards.
    pub(super) is_kept: bool,
    /// Whether the client was told that its connection ends.
    pub(super) closes: bool,
    /// The head for the client, not yet sent.
    pub(super) head: H,
    /// When it came, on the monotonic clock.
    pub(super) at: Duration,
}

impl Gateway {
    /// A connection to the next endpoint, and whether it was used before. An error says whether to try again.
    pub(super) async fn reach(
        &self,
        alarm: &mut Alarm,
        passage: &mut Passage,
    ) -> Reached<(Line, bool)> {
        let Some(attempts) = &mut passage.attempts else {
            return Error::e_explain(ErrorType::ConnectNoRoute, "nothing to be sent");
        };
        let address = self.connector.endpoint(attempts).await?;
        let (pool, worker) = (attempts.upstream.pool(), attempts.worker);
        let (destination, patience) = (Destination { address, pool, worker }, attempts.patience);
        let since = self.since(passage);
        passage.seen.asking(address, since);
        let buffer = BytesMut::with_capacity(ROOM);
        if let Some(stream) = self.connector.shelf().take(&destination) {
            passage.seen.connected(since);
            return Ok((Line { stream, destination, buffer }, true));
        }
        let left = left(patience, self.clock);
        let within = left.map_or(patience.connect, |left| left.min(patience.connect));
        let connected = alarm.within(within, TcpStream::connect(address)).await;
        passage.seen.connected(self.since(passage));
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                // What is small is not held back to be sent with more; fails only if the connection has ended.
                let _ = stream.set_nodelay(true);
                Ok((Line { stream, destination, buffer }, false))
            }
            Err(error) => {
                let mut error = Error::because(kind(&error), "no connection", error).into_up();
                let now = self.clock.monotonic();
                let attempts = passage.attempts.as_mut();
                error.set_retry(attempts.is_some_and(|attempts| attempts.not_connected(now)));
                Err(error)
            }
        }
    }

    /// Sends the request, and reads on until the head of the answer is there.
    pub(super) async fn converse<C: Client>(
        &self,
        client: &mut C,
        passage: &mut Passage,
        line: &mut Line,
        sent: &mut Sent<'_>,
    ) -> Result<Begun<C::Head>, Failed> {
        let written = line.stream.write_all(sent.bytes);
        match client.alarm().within(self.connector.write_timeout(), written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(broken(ErrorType::WriteError, error)),
            Err(_) => return Err(Error::new_up(ErrorType::WriteTimedout).into()),
        }
        let Some(attempts) = &mut passage.attempts else {
            return Err(malformed("nobody was asked"));
        };
        // Nobody but the relay looks after the times of its requests.
        attempts.sent(true, passage.started);
        // Answers before the answer are not it.
        let mut deadline = Deadline::of_first_byte(attempts.patience, self.clock);
        loop {
            self.read(client, line, passage, &mut deadline).await?;
            while let Some(heard) = self.heard(client, passage, line, sent)? {
                match heard {
                    Head::Last(begun) => return Ok(begun),
                    Head::Interim(None) => {}
                    Head::Interim(head) => {
                        let payload = Payload::Standing(&mut line.buffer, 0);
                        let part = Part { payload, is_last: false, has_length: true };
                        client.send(head, part, self.bounds.response_timeout()).await?;
                        // The client has heard of it.
                        sent.again = false;
                    }
                }
            }
            if line.buffer.len() > MAX_HEAD_BYTES {
                return Err(malformed("the head of the answer is too long"));
            }
        }
    }

    /// The head that has come, if it has come whole.
    fn heard<C: Client>(
        &self,
        client: &C,
        passage: &mut Passage,
        line: &mut Line,
        sent: &Sent<'_>,
    ) -> Result<Option<Head<C::Head>>, Failed> {
        let mut room = response::room();
        let parsed = response::parse(&line.buffer, sent.is_head, &mut room);
        let Some(head) = parsed.map_err(malformed)? else { return Ok(None) };
        let heard = self.understood(client, passage, &head, sent.again)?;
        let end = head.end;
        line.buffer.advance(end);
        Ok(Some(heard))
    }

    fn understood<C: Client>(
        &self,
        client: &C,
        passage: &mut Passage,
        head: &ResponseHead<'_, '_>,
        again: bool,
    ) -> Result<Head<C::Head>, Failed> {
        let now = self.clock.monotonic();
        let until_close = head.body == ResponseBody::UntilClose;
        let answer = Answer { status: head.status, until_close };
        if let Some(attempts) = &mut passage.attempts {
            attempts.answered(answer, again, now)?;
        }
        if head.status < 200 {
            return Ok(Head::Interim(client.interim(head)));
        }
        let Some(forward) = &passage.forward else { return Err(malformed("nobody was asked")) };
        passage.seen.answered(now.saturating_sub(passage.started));
        let closes = client.is_last(self.lifecycle.is_closing());
        let added = Added {
            route: &forward.route,
            request_id: passage.request_id,
            rate_limit: RateLimitHeaders::new(forward.limits()),
            closes,
        };
        let told = client.head(head, &added).map_err(Error::into_up)?;
        let ResponseHead { status, body, is_kept, .. } = *head;
        Ok(Head::Last(Begun { status, body, is_kept, closes, head: told, at: now }))
    }

    /// Reads more of what the upstream says, as long as the client is there.
    pub(super) async fn read(
        &self,
        client: &mut impl Client,
        line: &mut Line,
        passage: &mut Passage,
        deadline: &mut Deadline,
    ) -> Result<(), Failed> {
        let heard = poll_fn(|context| {
            if let Poll::Ready(read) =
                poll_read_buf(Pin::new(&mut line.stream), context, &mut line.buffer)
            {
                return Poll::Ready(Heard::Read(read));
            }
            if client.poll_gone(context).is_ready() {
                return Poll::Ready(Heard::ClientGone);
            }
            client.alarm().poll(context, deadline.at()).map(|()| Heard::Nothing)
        });
        match heard.await {
            Heard::Read(Ok(1..)) => Ok(()),
            Heard::Read(Ok(0)) => Err(Error::new_up(ErrorType::ConnectionClosed).into()),
            Heard::Read(Err(error)) => Err(broken(ErrorType::ReadError, error)),
            Heard::ClientGone => Err(Failed::gone()),
            Heard::Nothing => {
                if let Some(attempts) = &mut passage.attempts {
                    attempts.expire(deadline.expires);
                }
                Err(Error::new_up(ErrorType::ReadTimedout).into())
            }
        }
    }
}

enum Heard {
    Read(io::Result<usize>),
    ClientGone,
    Nothing,
}

/// Until when something has to come. The clock is only looked at if it has to be waited for.
pub(super) struct Deadline {
    patience: Duration,
    expires: Expired,
    at: Option<Instant>,
}

impl Deadline {
    /// For the first byte of an answer.
    fn of_first_byte(patience: Patience, clock: Clock) -> Self {
        Self::new(patience.first_byte, Expired::FirstByte, left(patience, clock))
    }

    /// For its next part.
    pub(super) fn of_next_part(patience: Patience, clock: Clock) -> Self {
        Self::new(patience.idle, Expired::Idle, left(patience, clock))
    }

    fn new(patience: Duration, expires: Expired, left: Option<Duration>) -> Self {
        match left {
            Some(left) if left <= patience => {
                Self { patience: left, expires: Expired::Total, at: None }
            }
            _ => Self { patience, expires, at: None },
        }
    }

    /// Whether nothing is left of the time for the whole request.
    pub(super) fn is_over(&self) -> bool {
        self.expires == Expired::Total && self.patience.is_zero()
    }

    fn at(&mut self) -> Instant {
        *self.at.get_or_insert_with(|| Instant::now() + self.patience)
    }
}

/// What is left of the time for the whole request.
fn left(patience: Patience, clock: Clock) -> Option<Duration> {
    patience.deadline.map(|deadline| deadline.saturating_sub(clock.monotonic()))
}

fn kind(error: &io::Error) -> ErrorType {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ErrorType::ConnectNoRoute
        }
        _ => ErrorType::ConnectError,
    }
}

fn broken(etype: ErrorType, error: io::Error) -> Failed {
    Error::because(etype, "the connection to the upstream broke", error).into_up().into()
}

pub(super) fn malformed(what: &'static str) -> Failed {
    Error::explain(ErrorType::InvalidHTTPHeader, what).into_up().into()
}
