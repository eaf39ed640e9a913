//! What Prometheus scrapes, rendered from the counters at the moment of the scrape.
//!
//! Tenants are labels only after they were resolved, and only so many by name; all others are
//! `_other`, and requests that no tenant was found for are `_none`. Real slugs cannot begin with `_`.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};
use tenantry_engine::{LATENCY_BOUNDS_US, Reason, STATUS_CLASSES, UsageOwner, UsageReading};
use tenantry_subscription::{Link, Progress};

use crate::{
    access_log::AccessLog,
    active::{Active, ActiveState},
    clock::Clock,
    connection::places::{Full, Places},
    spans::Tracing,
    upstream::encode_metrics,
};

/// Everything that is scraped.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) active: Arc<Active>,
    pub(crate) progress: Progress,
    pub(crate) places: Arc<Places>,
    pub(crate) access_log: AccessLog,
    pub(crate) tracing: Tracing,
    pub(crate) clock: Clock,
}

impl Metrics {
    /// The whole scrape, as OpenMetrics text.
    pub(crate) fn render(self: Arc<Self>) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("tenantry");
        registry.register_collector(Box::new(Scrape(self)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct Scrape(Arc<Metrics>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.snapshot(&mut encoder)?;
        self.0.connections(&mut encoder)?;
        self.0.told(&mut encoder)?;
        let Some(state) = self.0.active.load() else { return Ok(()) };
        let usages: Vec<_> = state
            .table
            .runtime()
            .usages
            .read()
            .into_iter()
            .map(|(owner, usage)| (label(&state, owner), usage))
            .collect();
        tenants(&mut encoder, &usages)?;
        encode_metrics(&mut encoder, &state.table, self.0.clock.now().monotonic)
    }
}

impl Metrics {
    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Connections of clients that are open";
        let open = ConstGauge::new(i64::try_from(self.places.open()).unwrap_or(i64::MAX));
        open.encode(encoder.encode_descriptor("connections", help, None, MetricType::Gauge)?)?;
        let help = "Connections of clients that were turned away";
        let mut family =
            encoder.encode_descriptor("connections_refused", help, None, MetricType::Counter)?;
        for (bound, full) in [("all", Full::InAll), ("client", Full::OfClient)] {
            counter(&mut family, &[("bound", bound)], self.places.refused(full) as u64)?;
        }
        Ok(())
    }

    /// What became of what is told about requests.
    fn told(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(lines) = self.access_log.written() {
            let help =
                "Lines of the access log; dropped ones found no room or a disk that refused them";
            let mut family =
                encoder.encode_descriptor("access_log_lines", help, None, MetricType::Counter)?;
            counter(&mut family, &[("outcome", "written")], lines.written)?;
            counter(&mut family, &[("outcome", "dropped")], lines.dropped)?;
        }
        if let Some(spans) = &self.tracing.spans {
            let sent = spans.sent();
            let help = "Spans; those that are neither exported nor failed wait or were dropped";
            let mut family = encoder.encode_descriptor("spans", help, None, MetricType::Counter)?;
            for (outcome, count) in
                [("made", sent.made), ("exported", sent.exported), ("failed", sent.failed)]
            {
                counter(&mut family, &[("outcome", outcome)], count)?;
            }
        }
        Ok(())
    }

    fn snapshot(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let standing = self.progress.standing();
        let now_ms = self.clock.now().unix.unix_ms();
        let current_since = standing.confirmed_at.or(standing.applied.map(|applied| applied.at));
        let age_ms = current_since.map(|at| now_ms.saturating_sub(at.unix_ms()));
        let mut gauge = |name: &str, help: &str, value: Option<f64>| -> fmt::Result {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, exact up to 2^53")]
        let float = |value: u64| value as f64;
        gauge(
            "control_plane_connected",
            "Whether the stream from the control plane is open",
            Some(f64::from(u8::from(standing.link == Link::Open))),
        )?;
        gauge(
            "snapshot_age_seconds",
            "Time since the snapshot was known to be the newest",
            age_ms.map(|ms| float(ms) / 1000.0),
        )?;
        gauge(
            "snapshot_revision",
            "Revision that requests are decided by",
            standing.applied.map(|applied| float(applied.position.revision.as_u64())),
        )?;
        gauge(
            "snapshot_acknowledged_revision",
            "Last revision the control plane took an ack of",
            standing.acknowledged.map(|revision| float(revision.as_u64())),
        )?;
        gauge(
            "snapshot_recorded_revision",
            "Revision that the last-known-good file holds",
            standing.recorded.map(|revision| float(revision.as_u64())),
        )?;
        gauge(
            "snapshot_refused_resources",
            "Resources that are not enforced in their newest form",
            standing.applied.map(|applied| float(applied.refused)),
        )?;
        gauge(
            "snapshot_tenants",
            "Tenants in the snapshot",
            standing.applied.map(|applied| float(applied.tenants)),
        )
    }
}

/// What a tenant is called in a label: its slug now, or its id if it is gone.
fn label(state: &ActiveState, owner: UsageOwner) -> String {
    match owner {
        UsageOwner::Tenant(id) => state
            .table
            .tenant(id)
            .map_or_else(|| id.to_string(), |tenant| tenant.slug().to_string()),
        UsageOwner::Other => "_other".to_owned(),
        UsageOwner::Unresolved => "_none".to_owned(),
    }
}

type Usages = [(String, UsageReading)];

fn tenants(encoder: &mut DescriptorEncoder<'_>, usages: &Usages) -> fmt::Result {
    let mut family =
        encoder.encode_descriptor("requests", "Requests answered", None, MetricType::Counter)?;
    for (tenant, usage) in usages {
        for (class, count) in STATUS_CLASSES.iter().zip(usage.by_status_class) {
            counter(&mut family, &[("tenant", tenant.as_str()), ("status_class", class)], count)?;
        }
    }
    let mut family = encoder.encode_descriptor(
        "denials",
        "Requests refused by the gateway",
        None,
        MetricType::Counter,
    )?;
    for (tenant, usage) in usages {
        for (reason, count) in
            Reason::ALL.iter().zip(usage.by_reason).filter(|(_, count)| *count > 0)
        {
            counter(
                &mut family,
                &[("tenant", tenant.as_str()), ("reason", reason.as_str())],
                count,
            )?;
        }
    }
    let bytes = |encoder: &mut DescriptorEncoder<'_>,
                 name: &str,
                 help: &str,
                 of: fn(&UsageReading) -> u64|
     -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        usages.iter().try_for_each(|(tenant, usage)| {
            counter(&mut family, &[("tenant", tenant.as_str())], of(usage))
        })
    };
    bytes(encoder, "request_bytes", "Bytes of request bodies", |usage| usage.request_bytes)?;
    bytes(encoder, "response_bytes", "Bytes of response bodies", |usage| usage.response_bytes)?;
    let mut family = encoder.encode_descriptor(
        "in_flight_requests",
        "Requests in progress",
        None,
        MetricType::Gauge,
    )?;
    for (tenant, usage) in usages {
        let in_flight = i64::try_from(usage.in_flight).unwrap_or(i64::MAX);
        family.encode_family(&[("tenant", tenant.as_str())])?.encode_gauge(&in_flight)?;
    }
    latency(encoder, usages)
}

fn latency(encoder: &mut DescriptorEncoder<'_>, usages: &Usages) -> fmt::Result {
    let name = "request_duration_seconds";
    let mut family = encoder.encode_descriptor(
        name,
        "Time from request to answer",
        None,
        MetricType::Histogram,
    )?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds and sums in microseconds stay far below 2^53"
    )]
    let seconds = |micros: u64| micros as f64 / 1e6;
    for (tenant, usage) in usages {
        let bounds = LATENCY_BOUNDS_US.iter().map(|bound| seconds(*bound)).chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(usage.latency).collect();
        let count = usage.latency.iter().sum();
        family.encode_family(&[("tenant", tenant.as_str())])?.encode_histogram::<NoLabelSet>(
            seconds(usage.latency_sum_us),
            count,
            &buckets,
            None,
        )?;
    }
    Ok(())
}

fn counter<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    count: u64,
) -> fmt::Result {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)
}
