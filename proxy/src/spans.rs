//! Spans, sent to a collector as OTLP over HTTP.
//!
//! A request whose trace is sampled comes to one server span and, if it was sent on, one client span
//! below it. They are put together when the request is over, from what is known then, and handed to the
//! batch processor of the OpenTelemetry SDK: its queue is bounded, it sends from a thread of its own, and
//! what finds no room is dropped. Its tracer is not used: nothing here has a current span.

mod client;

use std::{
    borrow::Cow,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter as Export,
        SpanLinks, SpanProcessor as _,
    },
};
use tenantry_model::Timestamp;
use tenantry_wire::trace_context::TraceParent;

use crate::{
    bootstrap::TracingOptions,
    trace::{Sampling, Trace},
};
use client::Client;

/// What this process does about traces.
#[derive(Debug, Clone)]
pub(crate) struct Tracing {
    pub(crate) sampling: Sampling,
    pub(crate) spans: Option<Arc<Spans>>,
}

impl Tracing {
    /// Sets up what the bootstrap config asks for. `node` is what this process calls itself.
    pub(crate) fn new(options: &TracingOptions, node: &str) -> anyhow::Result<Self> {
        let sampling = Sampling::new(options.sample_ratio)
            .context("tracing.sample_ratio must be between 0.0 and 1.0")?;
        let spans = if options.endpoint.is_empty() {
            None
        } else {
            Some(Arc::new(Spans::new(options, node)?))
        };
        Ok(Self { sampling, spans })
    }

    /// Whether a request of this trace comes to spans.
    pub(crate) fn takes(&self, trace: Trace) -> bool {
        self.spans.is_some() && trace.own().is_sampled()
    }
}

/// How many spans became what. What is in none of the last two waits, or was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) made: u64,
    pub(crate) exported: u64,
    pub(crate) failed: u64,
}

/// Where spans go.
#[derive(Debug)]
pub(crate) struct Spans {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    made: AtomicU64,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    failed: AtomicU64,
}

/// One span.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) kind: SpanKind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) own: TraceParent,
    pub(crate) parent: Option<Parent>,
    pub(crate) began: Timestamp,
    /// After the span's beginning in milliseconds, so that short spans are told apart.
    pub(crate) starts_after: Duration,
    pub(crate) ends_after: Duration,
    pub(crate) is_error: bool,
    pub(crate) attributes: Vec<KeyValue>,
}

/// What a span hangs below.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parent {
    /// A span of ours.
    Own(u64),
    /// A span of whoever sent the request.
    Remote(u64),
}

impl Spans {
    fn new(options: &TracingOptions, node: &str) -> anyhow::Result<Self> {
        const SET_UP: &str = "tracing.endpoint cannot be used";
        let is_url =
            ["http://", "https://"].iter().any(|scheme| options.endpoint.starts_with(scheme));
        ensure!(
            is_url,
            "tracing.endpoint must be a whole URL, such as http://127.0.0.1:4318/v1/traces"
        );
        let timeout = Duration::from_secs(options.timeout_seconds.get());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(timeout).context(SET_UP)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&options.endpoint)
            .with_timeout(timeout)
            .build()
            .context(SET_UP)?;
        let counts = Arc::new(Counts::default());
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(options.queued_spans.get())
            .with_max_export_batch_size(options.queued_spans.get().min(512))
            .with_scheduled_delay(Duration::from_millis(options.delay_ms.get()))
            .build();
        let counted = Counted { exporter, counts: Arc::clone(&counts) };
        let mut processor = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
        let resource = Resource::builder_empty()
            .with_service_name("tenantry-proxy")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
            .build();
        processor.set_resource(&resource);
        let scope = InstrumentationScope::builder("tenantry-proxy").build();
        Ok(Self { processor, scope, made: AtomicU64::new(0), counts })
    }

    /// Hands a span over, without waiting.
    pub(crate) fn record(&self, span: Span) {
        self.made.fetch_add(1, Relaxed);
        let at = |after: Duration| moment(span.began, after);
        let (parent, is_remote) = match span.parent {
            None => (SpanId::INVALID, false),
            Some(Parent::Own(id)) => (SpanId::from(id), false),
            Some(Parent::Remote(id)) => (SpanId::from(id), true),
        };
        let context = SpanContext::new(
            TraceId::from(span.own.trace_id),
            SpanId::from(span.own.parent_id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        self.processor.on_end(SpanData {
            span_context: context,
            parent_span_id: parent,
            parent_span_is_remote: is_remote,
            span_kind: span.kind,
            name: span.name,
            start_time: at(span.starts_after),
            end_time: at(span.ends_after),
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if span.is_error { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
    }

    pub(crate) fn sent(&self) -> Sent {
        Sent {
            made: self.made.load(Relaxed),
            exported: self.counts.exported.load(Relaxed),
            failed: self.counts.failed.load(Relaxed),
        }
    }

    /// Sends what is still waiting, if that takes no longer than this.
    pub(crate) fn close(&self, patience: Duration) {
        // What was not sent by then is lost; it is counted as made, and nobody scrapes any more.
        let _ = self.processor.shutdown_with_timeout(patience);
    }
}

fn moment(began: Timestamp, after: Duration) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(began.unix_ms()) + after
}

/// Another part of the trace of a request: the id is made from the one it hangs below.
pub(crate) fn below(own: TraceParent) -> TraceParent {
    let id = own.parent_id.rotate_left(32) ^ own.parent_id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    own.child(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN).get())
}

/// An exporter that counts.
#[derive(Debug)]
struct Counted {
    exporter: SpanExporter,
    counts: Arc<Counts>,
}

impl Export for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let exported = self.exporter.export(batch).await;
        let count = if exported.is_ok() { &self.counts.exported } else { &self.counts.failed };
        let had_failed = self.counts.failed.load(Relaxed) > 0;
        count.fetch_add(spans, Relaxed);
        if let (Err(error), false) = (&exported, had_failed) {
            tracing::warn!(%error, "spans could not be sent; more of this is only counted");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
