//! One request on its way to an upstream: what was tried, what is in progress, what may still be done.

use std::{sync::Arc, time::Duration};

use pingora::{Error, ErrorSource, ErrorType, Result, http::ResponseHeader, proxy::Session};
use tenantry_engine::{CompiledUpstream, Held, Outcome, Pick, Picked, Reason};
use tenantry_model::upstream::Retries;

use super::{
    handshake::Handshake,
    line::Line,
    outcome,
    watch::{Expired, Watch},
};
use crate::connection::workers::WorkerId;

/// Times that hold for one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) idle: Duration,
    /// On the monotonic clock.
    pub(crate) deadline: Option<Duration>,
}

/// The tries of one request. All that it holds is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Attempts {
    pub(crate) upstream: Arc<CompiledUpstream>,
    pub(crate) patience: Patience,
    /// The thread that tries.
    pub(crate) worker: WorkerId,
    pub(super) retries: Retries,
    pub(super) hash: u64,
    pub(super) random: u64,
    pub(super) tried: Vec<usize>,
    pub(super) picked: Option<Picked>,
    pub(super) line: Option<Arc<Line>>,
    pub(super) watch: Option<Watch>,
    pub(super) handshake: Option<Arc<Handshake>>,
    pub(super) _place: Held,
    /// A place in the retry budget, once the request is tried again.
    pub(super) retry: Option<Held>,
    /// Whether the connection can be cut.
    pub(super) is_watched: bool,
    /// Whether the client has asked for a WebSocket.
    pub(super) wants_upgrade: bool,
    /// Whether nothing may be read before the request ended.
    pub(super) keeps_order: bool,
    /// Whether only the end of the connection ends the answer.
    until_close: bool,
    /// Whether the whole of the request was sent. Until then it may be the client that is waited for.
    sent_all: bool,
    /// Which time is over, if whoever waited says so.
    expired: Option<Expired>,
    failure: Option<(Reason, Option<&'static str>)>,
}

impl Attempts {
    pub(super) fn new(
        upstream: &Arc<CompiledUpstream>,
        place: Held,
        (patience, retries): (Patience, Retries),
        random: u64,
        worker: WorkerId,
    ) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            patience,
            worker,
            retries,
            hash: 0,
            random,
            tried: Vec::new(),
            picked: None,
            line: None,
            watch: None,
            handshake: None,
            _place: place,
            retry: None,
            is_watched: false,
            wants_upgrade: false,
            keeps_order: false,
            until_close: false,
            sent_all: false,
            expired: None,
            failure: None,
        }
    }

    /// Picks the endpoint for the next try. The one before is let go.
    pub(super) fn pick(&mut self, now: Duration) -> Option<&Picked> {
        (self.picked, self.line, self.watch, self.handshake) = (None, None, None, None);
        self.is_watched = false;
        let (hash, avoid) = (self.hash, self.tried.as_slice());
        let random = self.random.wrapping_add(self.tried.len() as u64);
        self.picked = self.upstream.pick(&Pick { now, hash, random, avoid });
        self.tried.extend(self.picked.as_ref().map(Picked::index));
        self.picked.as_ref()
    }

    /// Whether the time for the whole request is over.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.patience.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Whether the request is to be tried again, if it can be; takes a place in the budget.
    pub(super) fn may_retry(&mut self, now: Duration) -> bool {
        if self.tried.len() as u64 > self.retries.attempts.get() || self.is_over(now) {
            return false;
        }
        self.retry = self.retry.take().or_else(|| self.upstream.retry(&self.retries));
        self.retry.is_some()
    }

    /// Tells the endpoint's state how a try ended.
    pub(super) fn report(&self, outcome: Outcome, now: Duration) {
        let Some(picked) = &self.picked else { return };
        let Some(ejected_for) = self.upstream.report(picked, outcome, now) else { return };
        let spec = self.upstream.spec();
        let endpoint = spec.endpoints.as_slice().get(picked.index());
        tracing::warn!(
            upstream = %spec.id,
            endpoint = endpoint.map(|endpoint| endpoint.address.to_string()),
            ejected_for_ms = u64::try_from(ejected_for.as_millis()).unwrap_or(u64::MAX),
            "endpoint ejected: it failed requests in a row"
        );
    }

    /// No connection could be made.
    pub(crate) fn not_connected(&mut self, now: Duration) -> bool {
        if self.line.as_ref().is_some_and(|line| line.is_over_cap()) {
            if self.handshake.take().is_some() {
                // A connection that is kept for later may have the place, and ordinary ones are used again.
                self.keeps_order = false;
                self.tried.pop();
                return true;
            }
            self.failure = Some((
                Reason::UpstreamUnavailable,
                Some("the service has as many connections as it may have"),
            ));
            return false;
        }
        if self.is_over(now) {
            self.failure = Some((Reason::UpstreamTimeout, None));
        } else {
            self.report(Outcome::ConnectFailed, now);
        }
        self.may_retry(now)
    }

    /// A connection is there: the request goes out now.
    pub(super) fn connected(&mut self, line: Option<Arc<Line>>, clock: crate::clock::Clock) {
        self.watch = line.map(|line| Watch::start(line, self.patience, clock));
    }

    /// Bytes of the request went by, perhaps the last.
    pub(crate) fn sent(&mut self, ends: bool, now: Duration) {
        self.sent_all |= ends;
        if let Some(handshake) = self.handshake.as_ref().filter(|_| ends) {
            handshake.end();
        }
        if let Some(watch) = &self.watch {
            watch.touch(now);
        }
    }

    /// The head of an answer came. An error means that it is not passed on.
    pub(crate) fn answered(
        &mut self,
        answer: Answer,
        can_be_sent_again: bool,
        now: Duration,
    ) -> Result<()> {
        let status = answer.status;
        let is_upgrade = status == 101;
        if is_upgrade && !self.wants_upgrade {
            return upstream_error(ErrorType::InvalidHTTPHeader, "101 that nobody asked for");
        }
        if (100..200).contains(&status) && !is_upgrade {
            return Ok(());
        }
        if can_be_sent_again && self.is_retried(status, now) {
            return upstream_error(ErrorType::HTTPStatus(status), "an answer that is tried again");
        }
        self.until_close = answer.until_close;
        if let Some(watch) = &self.watch {
            watch.answered(now, is_upgrade);
        }
        if is_upgrade {
            self.patience.deadline = None;
        }
        self.report(outcome::of_status(status), now);
        Ok(())
    }

    fn is_retried(&mut self, status: u16, now: Duration) -> bool {
        let is_failure = self.retries.statuses.iter().any(|retried| retried.get() == status);
        is_failure && self.may_retry(now)
    }

    /// A part of the answer came. An error means that the answer is cut.
    pub(crate) fn received(&self, ends: bool, now: Duration) -> Result<()> {
        let was_cut = self.watch.as_ref().is_some_and(|watch| watch.expired().is_some());
        if (self.is_over(now) && !ends) || (was_cut && ends && self.until_close) {
            return upstream_error(ErrorType::ReadTimedout, "the answer took too long");
        }
        if let Some(watch) = &self.watch {
            if ends {
                watch.end();
            } else {
                watch.touch(now);
            }
        }
        Ok(())
    }

    /// Something broke after the connection was there. Returns whether to try again.
    pub(crate) fn broke(
        &mut self,
        can_be_sent_again: bool,
        error: &Error,
        was_reused: bool,
        now: Duration,
    ) -> bool {
        let seen = self.watch.take().and_then(|watch| watch.expired());
        let expired = self.expired.take().or(seen);
        if let ErrorType::HTTPStatus(status) = error.etype()
            && error.esource() == &ErrorSource::Upstream
        {
            self.report(outcome::of_status(*status), now);
            return true;
        }
        // A client that falls silent in the middle of a request makes no server look broken.
        let is_client_waited_for = !self.sent_all && outcome::is_silence(error, expired);
        if is_client_waited_for {
            self.failure = Some((Reason::RequestTimeout, None));
        } else if expired.is_some() || self.is_over(now) {
            self.failure = Some((Reason::UpstreamTimeout, None));
        }
        let is_stale = was_reused && outcome::is_closed(error) && expired.is_none();
        if !is_stale
            && !is_client_waited_for
            && let Some(outcome) = outcome::of_error(error, expired)
        {
            self.report(outcome, now);
        }
        expired.is_none()
            && outcome::is_worth_retrying(error)
            && can_be_sent_again
            && self.may_retry(now)
    }

    /// A time is over, seen by whoever waited.
    pub(crate) fn expire(&mut self, expired: Expired) {
        self.expired = Some(expired);
    }

    /// What the client is told, where it is not what the error itself says.
    pub(crate) fn failure(&self) -> Option<(Reason, Option<&'static str>)> {
        self.failure
    }
}

/// What of an answer's head says how the try went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether only the end of the connection ends it.
    pub(crate) until_close: bool,
}

impl Answer {
    pub(crate) fn of(response: &ResponseHeader) -> Self {
        let until_close = !response.headers.contains_key(http::header::CONTENT_LENGTH)
            && !response.headers.contains_key(http::header::TRANSFER_ENCODING);
        Self { status: response.status.as_u16(), until_close }
    }
}

/// Methods that mean the same however often they are sent (RFC 9110, section 9.2.2).
pub(crate) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE")
}

/// As long as all of the body that was read is still there, and nothing was answered.
pub(crate) fn can_be_sent_again(session: &Session) -> bool {
    is_idempotent(session.req_header().method.as_str())
        && !session.as_ref().retry_buffer_truncated()
        && session.response_written().is_none()
}

pub(super) fn upstream_error<T>(etype: ErrorType, what: &'static str) -> Result<T> {
    let mut error = Error::explain(etype, what);
    error.as_up();
    Err(error)
}
