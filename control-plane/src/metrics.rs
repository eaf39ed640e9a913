//! What Prometheus sees. Labels come from the router and from closed lists, never from a client.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tenantry_distribution::Opening;
use tenantry_store::Status;

use crate::app::App;

/// The metrics of one control plane.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    head: Gauge,
    store_bytes: Gauge,
    store_free_bytes: Gauge,
    store_writable: Gauge,
    proxies: Gauge,
    streams: Family<StreamLabels, Counter>,
    epochs_begun: Counter,
}

/// How a request for a stream was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    opening: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status_class: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tenantry_control_plane");
        let metrics = Self {
            requests: Family::default(),
            head: Gauge::default(),
            store_bytes: Gauge::default(),
            store_free_bytes: Gauge::default(),
            store_writable: Gauge::default(),
            proxies: Gauge::default(),
            streams: Family::default(),
            epochs_begun: Counter::default(),
            registry: Registry::default(),
        };
        let requests = metrics.requests.clone();
        registry.register("requests", "Requests by route, method and class of status", requests);
        let head = metrics.head.clone();
        registry.register("store_revision", "The newest revision: it counts commits", head);
        let bytes = metrics.store_bytes.clone();
        registry.register("store_bytes", "Bytes that the store takes up on disk", bytes);
        let free = metrics.store_free_bytes.clone();
        let text = "Bytes that are free on the disk of the store, as far as the system says";
        registry.register("store_free_bytes", text, free);
        let writable = metrics.store_writable.clone();
        registry.register("store_writable", "1 if changes are taken, 0 if not", writable);
        let proxies = metrics.proxies.clone();
        registry.register("connected_proxies", "Proxies that follow the stream now", proxies);
        let streams = metrics.streams.clone();
        let text = "Requests of proxies for a stream, by what they were sent first, or turned away";
        registry.register("streams", text, streams);
        let epochs = metrics.epochs_begun.clone();
        let text = "New epochs that began because a proxy was ahead of the store";
        registry.register("epochs_begun", text, epochs);
        Self { registry, ..metrics }
    }

    /// Counts a request for a stream by how it was answered; none if it was turned away.
    pub(crate) fn stream(&self, opening: Option<Opening>) {
        let opening = match opening {
            Some(Opening::Follow(_)) => "follow",
            Some(Opening::CatchUp(_)) => "catch_up",
            Some(Opening::Full) => "full",
            None => "turned_away",
        };
        self.streams.get_or_create(&StreamLabels { opening }).inc();
    }

    /// Counts a new epoch.
    pub(crate) fn forked(&self) {
        self.epochs_begun.inc();
    }

    pub(crate) fn page(&self, status: &Status, proxies: usize) -> Result<String, std::fmt::Error> {
        self.head.set(i64::try_from(status.head.as_u64()).unwrap_or(i64::MAX));
        self.store_bytes.set(i64::try_from(status.bytes).unwrap_or(i64::MAX));
        self.store_free_bytes.set(i64::try_from(status.free.unwrap_or(0)).unwrap_or(i64::MAX));
        self.store_writable.set(i64::from(status.writable()));
        self.proxies.set(i64::try_from(proxies).unwrap_or(i64::MAX));
        tenantry_telemetry::metrics::page(&self.registry)
    }
}

/// Counts a request when it is answered.
pub async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = method(request.method());
    let response = next.run(request).await;
    let status_class = match response.status().as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    app.metrics.requests.get_or_create(&RequestLabels { route, method, status_class }).inc();
    response
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
