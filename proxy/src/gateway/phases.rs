//! The phases in which pingora hands over a request. Each method is what its phase is for, and no more.

use std::{ops::Deref, os::fd::RawFd, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{
    Error, ErrorSource, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::Digest,
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
    upstreams::peer::{HttpPeer, Peer as _},
};
use tenantry_engine::Reason;

use super::{Ended, Gateway, Passage, Settled};
use crate::{
    connection::Begun,
    facts::{self, Asked},
    filters, grpc, identity, redirect,
    respond::{self, RateLimitHeaders, Refusal},
    trace::Trace,
    upstream::{Answer, can_be_sent_again},
};

/// The gateway as pingora calls it.
#[derive(Debug)]
pub(crate) struct Phases(pub(crate) Arc<Gateway>);

impl Deref for Phases {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.0
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = Passage;

    fn new_ctx(&self) -> Passage {
        let id = self.request_ids.next();
        Passage::new(id, self.clock.now(), Trace::new(id))
    }

    async fn early_request_filter(
        &self,
        session: &mut Session,
        passage: &mut Passage,
    ) -> Result<()> {
        *passage = match Begun::of(session).and_then(Begun::take) {
            Some(begun) => *begun,
            None => self.begin(&Asked::of(session)),
        };
        session.set_read_timeout(Some(seconds(self.bounds.body_timeout_seconds)));
        session.set_write_timeout(Some(self.bounds.response_timeout()));
        // RFC 9110, section 15.2: HTTP/1.0 knows of no answers before the answer.
        let is_old = session.req_header().version == http::Version::HTTP_10;
        session.set_ignore_info_resp(is_old);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<bool> {
        let settled = match passage.settled.take() {
            Some(settled) => settled,
            // Before the body: a client that waits for the word need not send it.
            None => match facts::oversized(session.req_header(), &self.bounds) {
                Some(reason) => Settled::Refuse(passage.refuse_for(reason)),
                None => self.settle(&Asked::of(session), passage).await,
            },
        };
        match settled {
            Settled::Forward => {
                if let Some(attempts) = &mut passage.attempts {
                    self.connector.heed_upgrade(attempts, session);
                }
                return Ok(false);
            }
            Settled::Redirect(redirection) => {
                let (is_https, id) = (passage.is_https, passage.request_id);
                redirect::answer(session, &redirection, is_https, id).await?;
                passage.redirection = Some(redirection);
            }
            Settled::Refuse(refusal) => {
                respond::refuse(session, &refusal, passage.request_id, passage.table()).await?;
            }
        }
        Ok(true)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        ends: bool,
        passage: &mut Passage,
    ) -> Result<()> {
        if let Some(attempts) = &mut passage.attempts {
            attempts.sent(ends, self.clock.now().monotonic);
        }
        let fresh = passage.received.add(body.as_ref().map_or(0, Bytes::len));
        if let Some(admission) = passage.admission() {
            let delay = admission.receiving_delay(fresh, self.clock.now().monotonic);
            if !delay.is_zero() {
                passage.held_back += delay;
                tokio::time::sleep(delay).await;
            }
        }
        // What flows through a WebSocket is not the body of a request.
        if session.was_upgraded() {
            return Ok(());
        }
        let max = passage.forward.as_ref().and_then(|forward| forward.max_body_bytes);
        let max = max.unwrap_or(u64::MAX).min(self.bounds.body_bytes.get());
        let elapsed = self.clock.now().monotonic.saturating_sub(passage.started);
        // What the tenant's bandwidth took is not the client's slowness.
        let elapsed = elapsed.saturating_sub(passage.held_back);
        let reason = if passage.received.bytes() > max {
            Reason::BodyTooLarge
        } else if elapsed > self.bounds.body_may_take(passage.received.bytes())
            && !grpc::is_call(session)
        {
            Reason::RequestTimeout
        } else {
            return Ok(());
        };
        passage.reason = Some(reason);
        Error::e_explain(ErrorType::HTTPStatus(reason.status()), "body too large or too slow")
    }

    async fn upstream_peer(&self, _: &mut Session, passage: &mut Passage) -> Result<Box<HttpPeer>> {
        passage.received.begin();
        let peer = match &mut passage.attempts {
            Some(attempts) => self.connector.peer(attempts).await?,
            None => return Err(Error::explain(ErrorType::ConnectNoRoute, "nothing to be sent")),
        };
        if let Some(address) = peer.address().as_inet() {
            passage.seen.asking(*address, self.since(passage));
        }
        Ok(peer)
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        was_reused: bool,
        _: &HttpPeer,
        descriptor: RawFd,
        _: Option<&Digest>,
        passage: &mut Passage,
    ) -> Result<()> {
        if let Some(attempts) = &mut passage.attempts {
            self.connector.connected(attempts, was_reused, descriptor);
        }
        passage.seen.connected(self.since(passage));
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        let asked = Asked::of(session);
        self.outgoing(&asked, passage).map_or(Ok(()), |it| identity::apply(&it, request))
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        passage: &mut Passage,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let now = self.clock.now().monotonic;
        let attempts = passage.attempts.as_mut();
        error.set_retry(attempts.is_some_and(|attempts| attempts.not_connected(now)));
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        passage: &mut Passage,
        was_reused: bool,
    ) -> Box<Error> {
        let now = self.clock.now().monotonic;
        let (attempts, again) = (passage.attempts.as_mut(), can_be_sent_again(session));
        let again = attempts.is_some_and(|attempts| attempts.broke(again, &error, was_reused, now));
        error.set_retry(again && passage.reason.is_none());
        error
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        let now = self.clock.now().monotonic;
        let attempts = passage.attempts.as_mut();
        let (answer, again) = (Answer::of(response), can_be_sent_again(session));
        attempts.map_or(Ok(()), |attempts| attempts.answered(answer, again, now))
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        ends: bool,
        passage: &mut Passage,
    ) -> Result<Option<Duration>> {
        let now = self.clock.now().monotonic;
        let attempts = passage.attempts.as_ref();
        attempts.map_or(Ok(None), |attempts| attempts.received(ends, now).map(|()| None))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        let switches = response.status == http::StatusCode::SWITCHING_PROTOCOLS;
        if switches {
            // What follows is no request's body: a client has nothing to say for as long as it likes.
            session.set_read_timeout(None);
        } else {
            filters::leave_out_nominated(response);
        }
        if response.status.is_informational() && !switches {
            return Ok(());
        }
        passage.seen.answered(self.since(passage));
        if self.lifecycle.is_closing() {
            // The client is told not to come back on this connection.
            session.set_keepalive(None);
        }
        filters::say_length_once(response)?;
        if let Some(forward) = &passage.forward {
            filters::edit_response(&forward.route, response)?;
        }
        response.insert_header("x-request-id", passage.request_id.to_string())?;
        let rate_limit =
            passage.forward.as_ref().and_then(|forward| RateLimitHeaders::new(forward.limits()));
        rate_limit.map_or(Ok(()), |rate_limit| rate_limit.apply(response))
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        passage: &mut Passage,
    ) -> Result<Option<Duration>> {
        let bytes = body.as_ref().map_or(0, Bytes::len);
        let delay = passage
            .admission()
            .map(|admission| admission.sending_delay(bytes, self.clock.now().monotonic));
        Ok(delay.filter(|delay| !delay.is_zero()))
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        passage: &mut Passage,
    ) -> FailToProxy {
        let (reason, detail) = passage.blame(error);
        let error_code = match reason {
            Some(reason) if session.response_written().is_none() => {
                session.set_keepalive(None);
                let (refusal, id) = (Refusal::from(reason).because(detail), passage.request_id);
                let told = respond::refuse(session, &refusal, id, passage.table()).await;
                // Nobody else ends what has no body; a client that is gone need not hear it.
                let _ = session.finish_body().await;
                told.map_or(0, |()| reason.status())
            }
            _ => 0,
        };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, passage: &mut Passage) {
        let failed = passage.failed.take();
        let ended = Ended {
            status: session.response_written().map_or(0, |response| response.status.as_u16()),
            response_bytes: session.body_bytes_sent() as u64,
            error: error.or(failed.as_deref()),
        };
        self.finish(&Asked::of(session), passage, &ended);
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Passage,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        // Counted by outcome: an endpoint that is down must not flood the log.
        true
    }

    fn suppress_error_log(&self, _: &Session, passage: &Passage, error: &Error) -> bool {
        // Counted, and told to the client: neither it nor a broken upstream may flood the log.
        passage.reason.is_some() || error.esource() == &ErrorSource::Downstream
    }
}

fn seconds(seconds: std::num::NonZeroU64) -> Duration {
    Duration::from_secs(seconds.get())
}
