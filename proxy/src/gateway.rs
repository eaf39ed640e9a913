//! One request: what is known of it, what is decided, and what is told when it is over.
//!
//! Two ways lead through here. Most requests take the short one ([`relay`]); all others go with pingora,
//! which calls one function per phase ([`phases`]). Both begin, settle and finish a request by the same functions.

mod blame;
mod in_flight;
mod phases;
mod received;
mod record;
mod relay;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use pingora::Error;
use tenantry_engine::{
    Admission, CompiledTenant, Decision, Denial, Finished, Forward, Now, Reason, Redirection,
    Usage, decide,
};
use tenantry_model::Timestamp;

use crate::{
    access_log::AccessLog,
    active::{Active, ActiveState},
    bootstrap::ConnectionBounds,
    clock::Clock,
    connection::trust::Trust,
    facts::Asked,
    identity,
    jwks::Jwks,
    lifecycle::Lifecycle,
    request_id::{RequestId, RequestIds},
    respond::Refusal,
    spans::Tracing,
    trace::Trace,
    upstream::{Attempts, Connector},
};

use self::{received::Received, record::Seen};
use blame::blame;
pub(crate) use in_flight::InFlightBound;
use in_flight::Place;
pub(crate) use phases::Phases;
pub(crate) use relay::{Alarm, Http1Client, Http2Client, Plain, Relayed};

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
    /// What is to become of it, if that was settled before pingora had it.
    settled: Option<Settled>,
    /// What broke it before pingora had it.
    failed: Option<Box<Error>>,
}

/// What is to become of a request.
#[derive(Debug)]
enum Settled {
    /// It goes to an upstream, in which it has its place.
    Forward,
    Redirect(Redirection),
    Refuse(Refusal),
}

impl Gateway {
    /// A request that has just come, with the state that it will be decided by.
    fn begin(&self, asked: &Asked<'_>) -> Passage {
        let request_id = self.request_ids.next();
        let trace = Trace::of(asked.headers, request_id, self.tracing.sampling);
        let mut passage = Passage::new(request_id, self.clock.now(), trace);
        if let Some(connection) = asked.connection {
            passage.client = self.trust.client(connection, asked.headers);
            passage.is_https = self.trust.is_https(connection, asked.headers);
        }
        passage.state = self.active.load();
        passage.place = self.in_flight.enter();
        passage
    }

    /// Decides what is to become of a request.
    async fn settle(&self, asked: &Asked<'_>, passage: &mut Passage) -> Settled {
        let (Some(state), Some(_)) = (&passage.state, &passage.place) else {
            // There is no snapshot yet, or too much in progress.
            return Settled::Refuse(passage.refuse_for(Reason::Overloaded));
        };
        let now = Now { unix: passage.began, monotonic: passage.started };
        match self.decide(asked, passage.client, now, state).await {
            Decision::Forward(forward) => self.admit(asked, forward, passage),
            Decision::Redirect(redirection) => {
                passage.count_for(redirection.admission.as_ref().map(|it| &it.tenant));
                Settled::Redirect(redirection)
            }
            Decision::Deny(denial) => Settled::Refuse(passage.refuse(&denial)),
        }
    }

    /// Decides, and once more if a token was refused for a key that could be fetched meanwhile.
    async fn decide(
        &self,
        asked: &Asked<'_>,
        client: IpAddr,
        now: Now,
        state: &ActiveState,
    ) -> Decision {
        let facts = asked.facts(client);
        let decision = decide(&state.table, &facts, now, &mut ());
        if let Decision::Deny(Denial { keys_wanted: Some(issuer), .. }) = &decision
            && self.jwks.refresh(issuer).await
        {
            return decide(&state.table, &facts, self.clock.now(), &mut ());
        }
        decision
    }

    /// Counts the request for its tenant, and takes its place in the upstream.
    fn admit(&self, asked: &Asked<'_>, forward: Forward, passage: &mut Passage) -> Settled {
        let connection = asked.connection.zip(forward.admission.as_ref());
        let may_serve = connection.is_none_or(|(connection, it)| connection.carries(it));
        if may_serve {
            let worker = asked.connection.map(|connection| connection.seat.worker());
            let caller = (passage.client, worker.unwrap_or_default());
            passage.attempts =
                self.connector.begin(&forward, asked.headers, caller, passage.started);
        }
        passage.count_for(forward.tenant());
        passage.forward = Some(forward);
        match (may_serve, &passage.attempts) {
            (true, Some(_)) => Settled::Forward,
            (true, None) => Settled::Refuse(passage.refuse_crowded()),
            (false, _) => Settled::Refuse(passage.refuse_for(Reason::TooManyConcurrent)),
        }
    }

    /// How long the request has been here.
    fn since(&self, passage: &Passage) -> Duration {
        self.clock.monotonic().saturating_sub(passage.started)
    }

    /// What the upstream of a request that is forwarded is told.
    fn outgoing<'a>(
        &self,
        asked: &Asked<'a>,
        passage: &'a Passage,
    ) -> Option<identity::Outgoing<'a>> {
        Some(identity::Outgoing {
            table: passage.table()?,
            forward: passage.forward.as_ref()?,
            request_id: passage.request_id,
            client: passage.client,
            is_https: passage.is_https,
            host: asked.marked.host.one(),
            trace: passage.trace,
            has_span: self.tracing.takes(passage.trace),
            headers: asked.headers,
        })
    }

    /// Counts a request that is over, and tells of it.
    fn finish(&self, asked: &Asked<'_>, passage: &mut Passage, ended: &Ended<'_>) {
        let finished = Finished {
            status: ended.status,
            reason: passage.reason,
            request_bytes: passage.received.bytes(),
            response_bytes: ended.response_bytes,
            duration: self.since(passage),
        };
        // A request that never came as far as a decision is nobody's.
        let usage = passage.usage.take().or_else(|| passage.unresolved());
        if let Some(usage) = usage {
            usage.finish(&finished);
        }
        self.record(asked, ended.error, passage, &finished);
    }
}

/// How a request ended, towards the client.
struct Ended<'a> {
    /// What was answered; 0 if nothing was.
    status: u16,
    /// Bytes of the answer's body.
    response_bytes: u64,
    error: Option<&'a Error>,
}

impl Passage {
    fn new(request_id: RequestId, now: Now, trace: Trace) -> Self {
        Self {
            request_id,
            // In no list that allows anything but everything.
            client: Ipv4Addr::UNSPECIFIED.into(),
            is_https: false,
            state: None,
            started: now.monotonic,
            began: now.unix,
            trace,
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
            settled: None,
            failed: None,
        }
    }

    fn admission(&self) -> Option<&Admission> {
        self.forward.as_ref().and_then(|forward| forward.admission.as_ref())
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

    /// Whose fault an error is, and what the client is told of it; it stays with the request.
    fn blame(&mut self, error: &Error) -> (Option<Reason>, Option<&'static str>) {
        let told = self.attempts.as_ref().and_then(Attempts::failure);
        self.reason = self.reason.or(told.map(|(reason, _)| reason)).or_else(|| blame(error));
        (self.reason, told.and_then(|(_, detail)| detail))
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
