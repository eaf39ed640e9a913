//! Upstreams as the admin listener shows them.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_engine::{CompiledUpstream, Table};

/// Every upstream with its endpoints, by identifier.
pub(crate) fn view(table: &Table, now: Duration) -> Value {
    let mut upstreams: Vec<_> = table.upstreams().collect();
    upstreams.sort_by_key(|upstream| &upstream.spec().id);
    let upstreams: Vec<_> = upstreams.into_iter().map(|upstream| one(upstream, now)).collect();
    json!({ "upstreams": upstreams })
}

fn one(upstream: &CompiledUpstream, now: Duration) -> Value {
    let spec = upstream.spec();
    let endpoints: Vec<_> = upstream
        .readings(now)
        .map(|endpoint| {
            json!({
                "address": endpoint.address.to_string(),
                "state": endpoint.standing.as_str(),
                "in_flight": endpoint.in_flight,
                "consecutive_failures": endpoint.failures,
                "ejected_for_ms": endpoint.ejected_for.map(|time| {
                    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
                }),
                "check_error": endpoint.check_error,
            })
        })
        .collect();
    let connections = spec.max_connections.map(|_| upstream.connections());
    json!({
        "id": spec.id.as_str(),
        "in_flight": upstream.in_flight(),
        "connections": connections,
        "endpoints": endpoints,
    })
}
