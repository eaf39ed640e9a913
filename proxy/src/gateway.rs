//! One request, phase by phase. Each method is what its phase is for, and no more.

mod blame;
mod in_flight;
mod received;
mod record;

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::RawFd,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{
    Error, ErrorSource, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::Digest,
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
    upstreams::peer::HttpPeer,
};
use tenantry_engine::{
    Admission, CompiledTenant, Decision, Denial, Finished, Forward, Reason, Redirection, Usage,
    decide,
};
use tenantry_model::Timestamp;

use crate::{
    access_log::AccessLog,
    active::{Active, ActiveState},
    bootstrap::ConnectionBounds,
    clock::Clock,
    connection::{Connection, trust::Trust},
    facts, filters, grpc, identity,
    jwks::Jwks,
    lifecycle::Lifecycle,
    redirect,
    request_id::{RequestId, RequestIds},
    respond::{self, RateLimitHeaders, Refusal},
    spans::Tracing,
    trace::Trace,
    upstream::{Attempts, Connector},
};

use self::{received::Received, record::Seen};
use blame::blame;
pub(crate) use in_flight::InFlightBound;
use in_flight::Place;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) active: Arc<Active>,
    pub(crate) clock: Clock,
    pub(crate) request_ids: Arc<RequestIds>,
    pub(crate) trust: Trust,
    pub(crate) bounds: ConnectionBounds,
    pub(crate) jwks: Arc<Jwks>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) in_flight: InFlightBound,
    pub(crate) access_log: AccessLog,
    pub(crate) tracing: Tracing,
    pub(crate) lifecycle: Lifecycle,
}

/// One request on its way.
#[derive(Debug)]
pub(crate) struct Passage {
    request_id: RequestId,
    /// Whose request it is, after proxies in front were taken into account.
    client: IpAddr,
    is_https: bool,
    /// The state it is decided by, from beginning to end.
    state: Option<Arc<ActiveState>>,
    started: Duration,
    began: Timestamp,
    trace: Trace,
    forward: Option<Forward>,
    redirection: Option<Redirection>,
    reason: Option<Reason>,
    /// Whose request it is, or whom its refusal is about.
    tenant: Option<Arc<CompiledTenant>>,
    usage: Option<Arc<Usage>>,
    received: Received,
    /// How long the body was held back for the tenant's bandwidth.
    held_back: Duration,
    attempts: Option<Attempts>,
    seen: Seen,
    place: Option<Place>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Passage;

    fn new_ctx(&self) -> Passage {
        let (request_id, now) = (self.request_ids.next(), self.clock.now());
        Passage {
            request_id,
            // In no list that allows anything but everything.
            client: Ipv4Addr::UNSPECIFIED.into(),
            is_https: false,
            state: None,
            started: now.monotonic,
            began: now.unix,
            trace: Trace::new(request_id),
            forward: None,
            redirection: None,
            reason: None,
            tenant: None,
            usage: None,
            received: Received::default(),
            held_back: Duration::ZERO,
            attempts: None,
            seen: Seen::default(),
            place: None,
        }
    }

    async fn early_request_filter(
        &self,
        session: &mut Session,
        passage: &mut Passage,
    ) -> Result<()> {
        if let Some(connection) = Connection::of(session) {
            passage.client = self.trust.client(connection, session.req_header());
            passage.is_https = self.trust.is_https(connection, session.req_header());
        }
        session.set_read_timeout(Some(seconds(self.bounds.body_timeout_seconds)));
        session.set_write_timeout(Some(seconds(self.bounds.response_timeout_seconds)));
        // RFC 9110, section 15.2: HTTP/1.0 knows of no answers before the answer.
        let is_old = session.req_header().version == http::Version::HTTP_10;
        session.set_ignore_info_resp(is_old);
        let headers = &session.req_header().headers;
        passage.trace = Trace::of(headers, passage.request_id, self.tracing.sampling);
        passage.state = self.active.load();
        passage.place = self.in_flight.enter();
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<bool> {
        let oversized = facts::oversized(session.req_header(), &self.bounds);
        let refusal = match (&passage.state, &passage.place, oversized) {
            // Before the body: a client that waits for the word need not send it.
            (_, _, Some(reason)) => passage.refuse_for(reason),
            (Some(state), Some(_), None) => {
                match self.decide(session, passage.client, &Arc::clone(state)).await {
                    Decision::Forward(forward) if Connection::may_serve(session, &forward) => {
                        passage.attempts = self.connector.begin(
                            &forward,
                            session,
                            passage.client,
                            passage.started,
                        );
                        passage.admit(forward);
                        if passage.attempts.is_some() {
                            return Ok(false);
                        }
                        passage.refuse_crowded()
                    }
                    Decision::Forward(forward) => {
                        passage.admit(forward);
                        passage.refuse_for(Reason::TooManyConcurrent)
                    }
                    Decision::Redirect(redirection) => {
                        return passage.redirect(session, redirection).await;
                    }
                    Decision::Deny(denial) => passage.refuse(&denial),
                }
            }
            // There is no snapshot yet, or too much in progress.
            _ => passage.refuse_for(Reason::Overloaded),
        };
        respond::refuse(session, &refusal, passage.request_id, passage.table()).await?;
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
        passage.seen.asking(&peer, self.since(passage));
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
        let Some((state, forward)) = passage.state.as_ref().zip(passage.forward.as_ref()) else {
            return Ok(());
        };
        let outgoing = identity::Outgoing {
            table: &state.table,
            forward,
            request_id: passage.request_id,
            client: passage.client,
            is_https: passage.is_https,
            host: facts::host(session.req_header()),
        };
        identity::apply(&outgoing, request)?;
        passage.trace.pass_on(self.tracing.takes(passage.trace), request)
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
        let attempts = passage.attempts.as_mut();
        let again =
            attempts.is_some_and(|attempts| attempts.broke(session, &error, was_reused, now));
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
        attempts.map_or(Ok(()), |attempts| attempts.answered(session, response, now))
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
        if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
            // What follows is no request's body: a client has nothing to say for as long as it likes.
            session.set_read_timeout(None);
        } else if response.status.is_informational() {
            return Ok(());
        }
        passage.seen.answered(self.since(passage));
        if self.lifecycle.is_closing() {
            // The client is told not to come back on this connection.
            session.set_keepalive(None);
        }
        if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
            // From here on the client speaks when it has something to say.
            session.set_read_timeout(None);
        }
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
        let told = passage.attempts.as_ref().and_then(Attempts::failure);
        let reason = passage.reason.or(told.map(|(reason, _)| reason)).or_else(|| blame(error));
        passage.reason = reason;
        let detail = told.and_then(|(_, detail)| detail);
        let error_code = match reason {
            Some(reason) if session.response_written().is_none() => {
                session.set_keepalive(None);
                let (refusal, id) = (Refusal::from(reason).because(detail), passage.request_id);
                let told = respond::refuse(session, &refusal, id, passage.table()).await;
                told.map_or(0, |()| reason.status())
            }
            _ => 0,
        };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, passage: &mut Passage) {
        let finished = Finished {
            status: session.response_written().map_or(0, |response| response.status.as_u16()),
            reason: passage.reason,
            request_bytes: passage.received.bytes(),
            response_bytes: session.body_bytes_sent() as u64,
            duration: self.since(passage),
        };
        // A request that never came as far as a decision is nobody's.
        let usage = passage.usage.take().or_else(|| passage.unresolved());
        if let Some(usage) = usage {
            usage.finish(&finished);
        }
        self.record(session, error, passage, &finished);
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

impl Gateway {
    /// How long the request has been here.
    fn since(&self, passage: &Passage) -> Duration {
        self.clock.now().monotonic.saturating_sub(passage.started)
    }

    /// Decides, and once more if a token was refused for a key that could be fetched meanwhile.
    async fn decide(&self, session: &Session, client: IpAddr, state: &ActiveState) -> Decision {
        let facts = facts::of(session, client);
        let decision = decide(&state.table, &facts, self.clock.now(), &mut ());
        if let Decision::Deny(Denial { keys_wanted: Some(issuer), .. }) = &decision
            && self.jwks.refresh(issuer).await
        {
            return decide(&state.table, &facts, self.clock.now(), &mut ());
        }
        decision
    }
}

impl Passage {
    fn admission(&self) -> Option<&Admission> {
        self.forward.as_ref().and_then(|forward| forward.admission.as_ref())
    }

    fn admit(&mut self, forward: Forward) {
        self.count_for(forward.tenant());
        self.forward = Some(forward);
    }

    async fn redirect(&mut self, session: &mut Session, redirection: Redirection) -> Result<bool> {
        self.count_for(redirection.admission.as_ref().map(|admission| &admission.tenant));
        redirect::answer(session, &redirection, self.is_https, self.request_id).await?;
        self.redirection = Some(redirection);
        Ok(true)
    }

    fn refuse(&mut self, denial: &Denial) -> Refusal {
        self.count_for(denial.tenant.as_ref());
        self.reason = Some(denial.reason);
        Refusal::from(denial)
    }

    fn refuse_for(&mut self, reason: Reason) -> Refusal {
        self.reason = Some(reason);
        Refusal::from(reason)
    }

    /// The upstream has as many requests as it may have. Nothing waits: a queue would only fill.
    fn refuse_crowded(&mut self) -> Refusal {
        self.reason = Some(Reason::UpstreamUnavailable);
        Refusal::from(Reason::UpstreamUnavailable)
            .because(Some("the service has as many requests as it may have"))
    }

    fn unresolved(&self) -> Option<Arc<Usage>> {
        let usage = self
            .state
            .as_ref()
            .map(|state| Arc::clone(state.table.runtime().usages.unresolved()))?;
        usage.start();
        Some(usage)
    }

    /// What is nobody's is counted when it ends.
    fn count_for(&mut self, tenant: Option<&Arc<CompiledTenant>>) {
        if let (Some(state), Some(tenant)) = (&self.state, tenant) {
            let usage = tenant.runtime().usage(tenant.id(), &state.table.runtime().usages);
            usage.start();
            self.usage = Some(Arc::clone(usage));
            self.tenant = Some(Arc::clone(tenant));
        }
    }
}

fn seconds(seconds: std::num::NonZeroU64) -> Duration {
    Duration::from_secs(seconds.get())
}
