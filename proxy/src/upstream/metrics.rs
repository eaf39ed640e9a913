//! Metrics of upstreams. Identifiers come from the snapshot only, and so many at most; all other
//! upstreams together are `_other`, which no identifier can be.

use std::{collections::BTreeMap, fmt, time::Duration};

use prometheus_client::{
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use tenantry_engine::{Outcome, Standing, Table, UpstreamCounts};

const OTHER: &str = "_other";

/// Writes the families of upstreams.
pub(crate) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    table: &Table,
    now: Duration,
) -> fmt::Result {
    let mut counts: BTreeMap<&str, &UpstreamCounts> = BTreeMap::new();
    let mut standings: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut in_flight: BTreeMap<&str, i64> = BTreeMap::new();
    for upstream in table.upstreams() {
        let named = upstream.named_counts();
        let name = if named.is_some() { upstream.spec().id.as_str() } else { OTHER };
        counts.insert(name, named.unwrap_or(&table.runtime().upstream_names.others));
        *in_flight.entry(name).or_default() += i64::try_from(upstream.in_flight()).unwrap_or(0);
        for standing in Standing::ALL {
            standings.entry((name, standing.as_str())).or_default();
        }
        for endpoint in upstream.readings(now) {
            *standings.entry((name, endpoint.standing.as_str())).or_default() += 1;
        }
    }
    let help = "Tries to get an answer from an endpoint, by how they ended";
    let mut family =
        encoder.encode_descriptor("upstream_requests", help, None, MetricType::Counter)?;
    for (upstream, counts) in &counts {
        for outcome in Outcome::ALL {
            let labels = [("upstream", *upstream), ("outcome", outcome.as_str())];
            let count = counts.of(*outcome);
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
    }
    let help = "Endpoints, by whether they are used";
    let mut family =
        encoder.encode_descriptor("upstream_endpoints", help, None, MetricType::Gauge)?;
    for ((upstream, state), count) in &standings {
        let labels = [("upstream", *upstream), ("state", *state)];
        family.encode_family(&labels)?.encode_gauge(count)?;
    }
    let help = "Requests in progress";
    let mut family =
        encoder.encode_descriptor("upstream_in_flight_requests", help, None, MetricType::Gauge)?;
    for (upstream, count) in &in_flight {
        family.encode_family(&[("upstream", *upstream)])?.encode_gauge(count)?;
    }
    Ok(())
}
