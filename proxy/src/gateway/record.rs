//! What is told of a request when it is over.

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use http::Version;
use opentelemetry::{KeyValue, trace::SpanKind};
use pingora::Error;
use tenantry_engine::{CompiledTenant, Finished, Identity, Table, host_of, path_of};

use super::{Gateway, Passage};
use crate::{
    access_log::{Cut, Line, MAX_PATH_BYTES, MAX_USER_AGENT_BYTES, OneIn, blamed, instant},
    facts::Asked,
    spans::{self, Parent, Span},
    tls::TlsFacts,
};

/// No registered method is longer.
const MAX_METHOD_BYTES: usize = 32;

/// What was seen of the upstream, in times since the request began.
#[derive(Debug, Default)]
pub(super) struct Seen {
    endpoint: Option<SocketAddr>,
    asked: Option<Duration>,
    connected: Option<Duration>,
    answered: Option<Duration>,
}

impl Seen {
    /// An endpoint is about to be asked; the last one counts.
    pub(super) fn asking(&mut self, endpoint: SocketAddr, since: Duration) {
        *self = Self { endpoint: Some(endpoint), asked: Some(since), ..Self::default() };
    }

    pub(super) fn connected(&mut self, since: Duration) {
        self.connected = Some(since);
    }

    /// The head of the answer is here.
    pub(super) fn answered(&mut self, since: Duration) {
        self.answered.get_or_insert(since);
    }
}

/// What became of the request: `forward`, `redirect`, or the name of the reason why it was refused.
fn decision(passage: &Passage) -> &'static str {
    match passage {
        Passage { reason: Some(reason), .. } => reason.as_str(),
        Passage { forward: Some(_), .. } => "forward",
        Passage { redirection: Some(_), .. } => "redirect",
        _ => "aborted",
    }
}

fn protocol(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("http/1.0"),
        Version::HTTP_11 => Some("http/1.1"),
        Version::HTTP_2 => Some("h2"),
        _ => None,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Passage {
    /// The table that the request was decided by.
    pub(super) fn table(&self) -> Option<&Table> {
        self.state.as_ref().map(|state| &state.table)
    }

    fn tenant(&self) -> Option<&CompiledTenant> {
        self.tenant.as_deref()
    }

    /// Who called, as far as it was proven.
    fn identity(&self) -> Option<&Identity> {
        let admission = match (&self.forward, &self.redirection) {
            (Some(forward), _) => forward.admission.as_ref(),
            (None, Some(redirection)) => redirection.admission.as_ref(),
            (None, None) => None,
        };
        admission.map(|admission| &admission.identity)
    }

    fn upstream(&self) -> Option<&str> {
        self.forward.as_ref().map(|forward| forward.upstream.spec().id.as_str())
    }

    fn route(&self) -> Option<&str> {
        let forwarded = self.forward.as_ref().map(|forward| &forward.route);
        let redirected = || self.redirection.as_ref().map(|redirection| &redirection.route);
        forwarded.or_else(redirected).map(|route| route.id().as_str())
    }
}

/// Methods that are names of spans; a client can invent others.
fn known_method(method: &str) -> &str {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => {
            method
        }
        _ => "_OTHER",
    }
}

/// The spans of a request, with attributes as OpenTelemetry's semantic conventions for HTTP name them.
impl Passage {
    fn spans(&self, asked: &Asked<'_>, finished: &Finished) -> (Span, Option<Span>) {
        let method = known_method(asked.method);
        let upstream = self.seen.asked.map(|asked| Span {
            kind: SpanKind::Client,
            name: method.to_owned().into(),
            own: spans::below(self.trace.own()),
            parent: Some(Parent::Own(self.trace.own().parent_id)),
            began: self.began,
            starts_after: asked,
            ends_after: finished.duration,
            is_error: finished.status >= 500 || self.reason.is_some(),
            attributes: self.upstream_attributes(method, finished),
        });
        let name = match self.route() {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        };
        let server = Span {
            kind: SpanKind::Server,
            name: name.into(),
            own: self.trace.own(),
            parent: self.trace.parent().map(|parent| Parent::Remote(parent.parent_id)),
            began: self.began,
            starts_after: Duration::ZERO,
            ends_after: finished.duration,
            is_error: finished.status >= 500,
            attributes: self.attributes(asked, method, finished),
        };
        (server, upstream)
    }

    fn attributes(&self, asked: &Asked<'_>, method: &str, finished: &Finished) -> Vec<KeyValue> {
        let facts = asked.facts(self.client);
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("url.scheme", if self.is_https { "https" } else { "http" }),
            KeyValue::new("client.address", self.client.to_string()),
            KeyValue::new("http.response.status_code", i64::from(finished.status)),
            KeyValue::new("tenantry.request.id", self.request_id.to_string()),
            KeyValue::new("tenantry.decision", decision(self)),
        ];
        let mut add = |name: &'static str, value: Option<String>| {
            attributes.extend(value.map(|value| KeyValue::new(name, value)));
        };
        add("server.address", host_of(&facts).map(Cow::into_owned));
        add("url.path", path_of(&facts).map(|path| Cut::new(path, MAX_PATH_BYTES).into_string()));
        add("tenantry.tenant.id", self.tenant().map(|tenant| tenant.id().to_string()));
        add("tenantry.tenant", self.tenant().map(|tenant| tenant.slug().to_string()));
        add("tenantry.route", self.route().map(str::to_owned));
        add("error.type", self.reason.map(|reason| reason.as_str().to_owned()));
        attributes
    }

    fn upstream_attributes(&self, method: &str, finished: &Finished) -> Vec<KeyValue> {
        let mut attributes = vec![KeyValue::new("http.request.method", method.to_owned())];
        let mut add = |name: &'static str, value: Option<String>| {
            attributes.extend(value.map(|value| KeyValue::new(name, value)));
        };
        add("server.address", self.seen.endpoint.as_ref().map(ToString::to_string));
        add("tenantry.upstream", self.upstream().map(str::to_owned));
        add("error.type", self.reason.map(|reason| reason.as_str().to_owned()));
        if self.seen.answered.is_some() {
            attributes.push(KeyValue::new("http.response.status_code", i64::from(finished.status)));
        }
        attributes
    }
}

impl Gateway {
    /// Writes the request's line into the access log, and hands over its spans, if it is to have any.
    pub(super) fn record(
        &self,
        asked: &Asked<'_>,
        error: Option<&Error>,
        passage: &Passage,
        finished: &Finished,
    ) {
        let logging = passage.tenant().and_then(CompiledTenant::access_log);
        let taken = self.access_log.takes(passage.request_id, logging, passage.reason.is_some());
        if let Some(one_in) = taken {
            self.access_log.write(&self.line(asked, error, passage, finished, one_in));
        }
        if let Some(spans) =
            self.tracing.spans.as_ref().filter(|_| passage.trace.own().is_sampled())
        {
            let (server, client) = passage.spans(asked, finished);
            spans.record(server);
            if let Some(client) = client {
                spans.record(client);
            }
        }
    }

    fn line<'a>(
        &self,
        asked: &Asked<'a>,
        error: Option<&'a Error>,
        passage: &'a Passage,
        finished: &Finished,
        one_in: OneIn,
    ) -> Line<'a> {
        let facts = asked.facts(passage.client);
        let query = asked.query().filter(|_| self.access_log.shows_query());
        let user_agent = asked.headers.lines("user-agent").first().copied();
        let user_agent = user_agent.filter(|_| self.access_log.shows_user_agent());
        let (tenant, identity, seen) = (passage.tenant(), passage.identity(), &passage.seen);
        let subject = identity.and_then(|identity| identity.token.as_ref()?.subject());
        let key = identity.and_then(|identity| identity.key.as_ref());
        let tls = asked.tls();
        let certificate = tls.and_then(TlsFacts::client_identity);
        let connecting = seen.connected.zip(seen.asked);
        Line {
            time: instant(passage.began),
            request_id: passage.request_id.to_string(),
            trace_id: Some(passage.trace.id()),
            client: passage.client.to_string(),
            scheme: Some(if passage.is_https { "https" } else { "http" }),
            protocol: protocol(asked.version),
            tls: tls.and_then(TlsFacts::version),
            tls_cipher: tls.and_then(TlsFacts::cipher),
            client_certificate_sha256: certificate.map(|identity| identity.fingerprint.as_str()),
            method: Some(Cut::new(facts.method, MAX_METHOD_BYTES)),
            host: host_of(&facts),
            path: path_of(&facts).map(|path| Cut::new(path, MAX_PATH_BYTES)),
            query: query.map(|query| Cut::new(query, MAX_PATH_BYTES)),
            user_agent: user_agent.map(|agent| Cut::lossy(agent, MAX_USER_AGENT_BYTES)),
            tenant_id: tenant.map(|tenant| tenant.id().to_string()),
            tenant: tenant.map(|tenant| tenant.slug().as_str()),
            key_id: key.map(|key| key.id.to_string()),
            subject: subject.map(|subject| Cut::new(subject, MAX_USER_AGENT_BYTES)),
            route: passage.route(),
            upstream: passage.upstream(),
            endpoint: seen.endpoint.as_ref().map(ToString::to_string),
            decision: decision(passage),
            blame: passage.reason.map(blamed),
            status: Some(finished.status).filter(|status| *status > 0),
            error: error.map(|error| error.etype().as_str()),
            request_bytes: finished.request_bytes,
            response_bytes: finished.response_bytes,
            duration_us: micros(finished.duration),
            connect_us: connecting.map(|(end, start)| micros(end.saturating_sub(start))),
            first_byte_us: seen.answered.map(micros),
            sampled_one_in: one_in.shown(),
        }
    }
}
