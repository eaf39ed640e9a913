//! One line per request.

use pingora::{Error, proxy::Session};
use tenantry_engine::{Finished, Reason};

use super::Passage;
use crate::{connection::Connection, facts, tls::TlsFacts};

/// Says what became of a request.
pub(super) fn log(
    session: &Session,
    error: Option<&Error>,
    passage: &Passage,
    finished: &Finished,
) {
    let facts = facts::of(session, passage.client);
    let tls = Connection::of(session).and_then(|connection| connection.tls.as_ref());
    let identity = tls.and_then(TlsFacts::client_identity);
    let (tenant, route) = passage.taken();
    tracing::info!(
        target: "tenantry::access",
        request_id = %passage.request_id,
        client = %facts.client,
        tls = tls.and_then(TlsFacts::version),
        tls_cipher = tls.and_then(TlsFacts::cipher),
        client_certificate_sha256 = identity.map(|identity| identity.fingerprint.as_str()),
        method = facts.method,
        path = facts.path,
        tenant = tenant.map(|tenant| tenant.slug().as_str()),
        route = route.map(|route| route.id().as_str()),
        status = finished.status,
        reason = finished.reason.map(Reason::as_str),
        request_bytes = finished.request_bytes,
        response_bytes = finished.response_bytes,
        duration_us = u64::try_from(finished.duration.as_micros()).unwrap_or(u64::MAX),
        error = error.map(|error| error.etype().as_str()),
    );
}
