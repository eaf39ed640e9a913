//! The short way of a request: HTTP/1.1 in, HTTP/1.1 out.
//!
//! What pingora does for a request of any kind (two tasks with channels between them, headers as maps, a peer, a
//! timer for each read) costs several times what a plain request needs. A request that is [`Plain`] and goes to an
//! upstream that is spoken to in HTTP/1.1 without TLS is passed on here: one task, bytes as they are. It is decided,
//! counted and told of by the same functions, and may be handed over to pingora until the first byte of its answer
//! has come; so whatever is refused or redirected is answered there.

mod alarm;
mod body;
mod heads;
mod request;
mod upstream;

use std::{sync::Arc, time::Duration};

use bytes::Buf as _;
use pingora::{Error, ErrorType};
use tenantry_engine::Reason;
use tokio::io::AsyncWriteExt as _;

use super::{Ended, Gateway, Passage, Settled};
use crate::{
    connection::{Connection, conduit::Conduit},
    facts::Asked,
    respond::Refusal,
    upstream::{Connector, is_idempotent},
};
pub(crate) use alarm::Alarm;
pub(crate) use request::Plain;
use upstream::{Answering, Failed};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relayed {
    /// It is over, and the client may ask the next.
    Next,
    /// It is over, and so is the connection.
    Last,
    /// Pingora is to go on with it.
    HandedOver,
}

/// The client's end.
pub(crate) struct Client<'c> {
    pub(crate) conduit: &'c mut Conduit,
    pub(crate) alarm: &'c mut Alarm,
    /// Whether the connection ends after this request.
    pub(crate) is_last: bool,
}

impl Gateway {
    /// Passes a request on, and its answer back.
    pub(crate) async fn relay(&self, client: &mut Client<'_>, plain: &Plain<'_>) -> Relayed {
        let connection = Arc::clone(client.conduit.connection());
        let asked = plain.asked(&connection);
        let mut passage = self.begin(&asked);
        let settled = self.settle(&asked, &mut passage).await;
        if !matches!(settled, Settled::Forward) || !passage.is_relayed() {
            return passage.hand_over(settled, &connection);
        }
        self.receive(plain, &mut passage).await;
        match self.ask(client, plain, &asked, &mut passage).await {
            Ok(answering) => {
                let answered = self.answer(client, &asked, &mut passage, answering).await;
                answered.unwrap_or_else(|error| passage.hand_over_failed(error, &connection))
            }
            Err(Failed::Upstream(error)) => passage.hand_over_failed(error, &connection),
            Err(Failed::Client(error)) => {
                let ended = Ended { status: 0, response_bytes: 0, error: Some(&error) };
                self.finish(&asked, &mut passage, &ended);
                Relayed::Last
            }
        }
    }

    /// The body has come whole; it waits as long as the tenant's bandwidth asks for.
    async fn receive(&self, plain: &Plain<'_>, passage: &mut Passage) {
        let bytes = passage.received.add(plain.body.len());
        let delay = passage.admission().map(|it| it.receiving_delay(bytes, passage.started));
        wait(delay).await;
    }

    /// Asks one endpoint after the other, as far as may be, until one answers.
    async fn ask(
        &self,
        client: &mut Client<'_>,
        plain: &Plain<'_>,
        asked: &Asked<'_>,
        passage: &mut Passage,
    ) -> Result<Answering, Failed> {
        let outgoing = self.outgoing(asked, passage);
        let nothing = || Error::explain(ErrorType::InternalError, "nothing to be sent");
        let request = heads::request(plain, &outgoing.ok_or_else(nothing)?)?;
        let mut again = is_idempotent(plain.method);
        loop {
            let reached = self.reach(client.alarm, passage).await;
            let (mut line, was_reused) = match reached {
                Ok(reached) => reached,
                Err(error) if error.retry() => continue,
                Err(error) => return Err(Failed::Upstream(error)),
            };
            match self.converse(client, plain, passage, &mut line, &request, &mut again).await {
                Ok(answer) => return Ok(Answering { line, was_reused, answer }),
                Err(Failed::Upstream(error)) => {
                    let now = self.clock.monotonic();
                    let attempts = passage.attempts.as_mut();
                    let is_tried_again = attempts
                        .is_some_and(|attempts| attempts.broke(again, &error, was_reused, now));
                    if !is_tried_again {
                        return Err(Failed::Upstream(error));
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
    }

    /// Passes the answer on, whose head is there. An error is the upstream's, before the client was told anything.
    async fn answer(
        &self,
        client: &mut Client<'_>,
        asked: &Asked<'_>,
        passage: &mut Passage,
        answering: Answering,
    ) -> Result<Relayed, Box<Error>> {
        let (status, was_reused) = (answering.answer.status, answering.was_reused);
        let closes = answering.answer.closes;
        let mut told = Told::default();
        let passed = self.pass_on(client, passage, answering, &mut told).await;
        let error = match passed {
            Ok(()) => None,
            Err(Failed::Upstream(error)) => {
                let now = self.clock.monotonic();
                if let Some(attempts) = &mut passage.attempts {
                    attempts.broke(false, &error, was_reused, now);
                }
                if !told.has_begun {
                    return Err(error);
                }
                passage.blame(&error);
                Some(error)
            }
            Err(Failed::Client(error)) => Some(error),
        };
        let status = if told.has_begun { status } else { 0 };
        let ended = Ended { status, response_bytes: told.payload, error: error.as_deref() };
        self.finish(asked, passage, &ended);
        match (error, closes) {
            (None, false) => Ok(Relayed::Next),
            (None, true) => {
                // The client may have gone already.
                let _ = client.alarm.within(LAST_WORDS, client.conduit.shutdown()).await;
                Ok(Relayed::Last)
            }
            (Some(_), _) => Ok(Relayed::Last),
        }
    }

    /// Writes to the client.
    async fn write(&self, client: &mut Client<'_>, head: &[u8], body: &[u8]) -> Result<(), Failed> {
        let patience = Duration::from_secs(self.bounds.response_timeout_seconds.get());
        let mut bytes = head.chain(body);
        let written = async {
            client.conduit.write_all_buf(&mut bytes).await?;
            // TLS keeps what the socket did not take.
            client.conduit.flush().await
        };
        match client.alarm.within(patience, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let what = "the answer could not be written";
                Err(Failed::Client(Error::because(ErrorType::WriteError, what, error).into_down()))
            }
            Err(_) => Err(Failed::Client(Error::new_down(ErrorType::WriteTimedout))),
        }
    }
}

/// What the client was told of the answer.
#[derive(Debug, Default)]
struct Told {
    has_begun: bool,
    /// Bytes of its body.
    payload: u64,
}

/// For the end of a connection.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Waits for a tenant's bandwidth.
async fn wait(delay: Option<Duration>) {
    if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
        tokio::time::sleep(delay).await;
    }
}

impl Passage {
    fn is_relayed(&self) -> bool {
        self.forward.as_ref().is_some_and(|forward| Connector::is_relayed(&forward.upstream))
    }

    /// Leaves the request to pingora, which tells the client that its upstream failed.
    fn hand_over_failed(mut self, error: Box<Error>, connection: &Connection) -> Relayed {
        let (reason, detail) = self.blame(&error);
        let refusal = Refusal::from(reason.unwrap_or(Reason::UpstreamFailed)).because(detail);
        self.failed = Some(error);
        self.hand_over(Settled::Refuse(refusal), connection)
    }

    /// Leaves the request to pingora, with what was settled.
    fn hand_over(mut self, settled: Settled, connection: &Connection) -> Relayed {
        self.settled = Some(settled);
        connection.leave_begun(Box::new(self));
        Relayed::HandedOver
    }
}
