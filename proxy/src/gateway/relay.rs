//! The short way of a request: HTTP/1.1 or HTTP/2 in, HTTP/1.1 out.
//!
//! What pingora does for a request of any kind (two tasks with channels between them, headers as maps, a peer, a
//! timer for each read) costs several times what a plain request needs. A request that is [`Plain`] and goes to an
//! upstream that is spoken to in HTTP/1.1 without TLS is passed on here: one task, bytes as they are. It is decided,
//! counted and told of by the same functions, and may be handed over to pingora until the first byte of its answer
//! has come; so whatever is refused or redirected is answered there.

mod alarm;
mod body;
mod client;
mod heads;
mod http1;
mod http2;
mod request;
mod upstream;

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use pingora::{Error, ErrorType};
use tenantry_engine::Reason;
use tokio::time::Instant;

use super::{Ended, Gateway, Passage, Settled};
use crate::{
    connection::Connection,
    facts::Asked,
    respond::Refusal,
    upstream::{Connector, is_idempotent},
};
pub(crate) use alarm::Alarm;
use client::Client;
pub(crate) use http1::Http1Client;
pub(crate) use http2::Http2Client;
pub(crate) use request::Plain;
use upstream::{Answering, Failed, Sent};

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Relayed {
    /// It is over, and the client may ask the next.
    Next,
    /// It is over, and so is the connection.
    Last,
    /// Pingora is to go on with it, with as much as was done of it.
    HandedOver(Option<Box<Passage>>),
}

impl Gateway {
    /// Passes a request on, and its answer back.
    pub(crate) async fn relay(
        &self,
        client: &mut impl Client,
        connection: &Arc<Connection>,
        plain: &Plain<'_>,
    ) -> Relayed {
        let asked = plain.asked(connection);
        let mut passage = self.begin(&asked);
        let settled = self.settle(&asked, &mut passage).await;
        if !matches!(settled, Settled::Forward) || !passage.is_relayed() {
            return passage.hand_over(settled);
        }
        let asking = async {
            self.receive(client, plain, &mut passage).await?;
            self.ask(client, plain, &asked, &mut passage).await
        };
        match asking.await {
            Ok(answering) => {
                let answered = self.answer(client, &asked, &mut passage, answering).await;
                answered.unwrap_or_else(|error| passage.hand_over_failed(error))
            }
            Err(Failed::Upstream(error)) => passage.hand_over_failed(error),
            Err(Failed::Client(error)) => {
                let ended = Ended { status: 0, response_bytes: 0, error: Some(&error) };
                self.finish(&asked, &mut passage, &ended);
                Relayed::Last
            }
        }
    }

    /// The body has come whole; it waits as long as the tenant's bandwidth asks for.
    async fn receive(
        &self,
        client: &mut impl Client,
        plain: &Plain<'_>,
        passage: &mut Passage,
    ) -> Result<(), Failed> {
        let bytes = passage.received.add(plain.body.len());
        let delay = passage.admission().map(|it| it.receiving_delay(bytes, passage.started));
        wait(client, delay).await
    }

    /// Asks one endpoint after the other, as far as may be, until one answers.
    async fn ask<C: Client>(
        &self,
        client: &mut C,
        plain: &Plain<'_>,
        asked: &Asked<'_>,
        passage: &mut Passage,
    ) -> Result<Answering<C::Head>, Failed> {
        let outgoing = self.outgoing(asked, passage);
        let nothing = || Error::explain(ErrorType::InternalError, "nothing to be sent");
        let request = heads::request(plain, &outgoing.ok_or_else(nothing)?)?;
        let (is_head, again) = (plain.method == "HEAD", is_idempotent(plain.method));
        let mut sent = Sent { bytes: &request, is_head, again };
        loop {
            let reached = self.reach(client.alarm(), passage).await;
            let (mut line, was_reused) = match reached {
                Ok(reached) if reached.1 || !is_gone(client).await => reached,
                Ok(_) => return Err(Failed::gone()),
                Err(error) if error.retry() => continue,
                Err(error) => return Err(Failed::Upstream(error)),
            };
            match self.converse(client, passage, &mut line, &mut sent).await {
                Ok(answer) => return Ok(Answering { line, was_reused, answer }),
                Err(Failed::Upstream(error)) => {
                    let now = self.clock.monotonic();
                    let attempts = passage.attempts.as_mut();
                    let is_tried_again = attempts.is_some_and(|attempts| {
                        attempts.broke(sent.again, &error, was_reused, now)
                    });
                    if !is_tried_again {
                        return Err(Failed::Upstream(error));
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
    }

    /// Passes the answer on, whose head is there. An error is the upstream's, before the client was told anything.
    async fn answer<C: Client>(
        &self,
        client: &mut C,
        asked: &Asked<'_>,
        passage: &mut Passage,
        answering: Answering<C::Head>,
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
                client.close().await;
                Ok(Relayed::Last)
            }
            (Some(_), _) => Ok(Relayed::Last),
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

/// Whether the client went away while something else was waited for.
async fn is_gone(client: &mut impl Client) -> bool {
    poll_fn(|context| Poll::Ready(client.poll_gone(context).is_ready())).await
}

/// Waits for a tenant's bandwidth, as long as the client is there.
async fn wait(client: &mut impl Client, delay: Option<Duration>) -> Result<(), Failed> {
    let Some(delay) = delay.filter(|delay| !delay.is_zero()) else { return Ok(()) };
    let end = Instant::now() + delay;
    poll_fn(|context| match client.poll_gone(context) {
        Poll::Ready(()) => Poll::Ready(Err(Failed::gone())),
        Poll::Pending => client.alarm().poll(context, end).map(Ok),
    })
    .await
}

impl Passage {
    fn is_relayed(&self) -> bool {
        self.forward.as_ref().is_some_and(|forward| Connector::is_relayed(&forward.upstream))
    }

    /// Leaves the request to pingora, which tells the client that its upstream failed.
    fn hand_over_failed(mut self, error: Box<Error>) -> Relayed {
        let (reason, detail) = self.blame(&error);
        let refusal = Refusal::from(reason.unwrap_or(Reason::UpstreamFailed)).because(detail);
        self.failed = Some(error);
        self.hand_over(Settled::Refuse(refusal))
    }

    /// Leaves the request to pingora, with what was settled.
    fn hand_over(mut self, settled: Settled) -> Relayed {
        self.settled = Some(settled);
        Relayed::HandedOver(Some(Box::new(self)))
    }
}
