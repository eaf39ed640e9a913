//! Traces: the client's goes on, others begin here, and spans reach a collector.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use serde_json::json;
use tenantry_test_support::{Platform, eventually};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENTS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A span, with what is said of the process that it is of.
type Found = (Vec<KeyValue>, Span);
type Received = Arc<Mutex<Vec<Found>>>;

/// Takes spans and keeps them.
struct Collector {
    address: SocketAddr,
    received: Received,
    task: JoinHandle<()>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&received)));
        Self { address, received, task }
    }

    /// The spans of a trace, once there are so many, with the resource they are of.
    async fn spans(&self, trace: &str, count: usize) -> Vec<Found> {
        eventually("the spans arrive", async || {
            let received = self.received.lock().await;
            let of_trace = received.iter().filter(|(_, span)| hexadecimal(&span.trace_id) == trace);
            let spans: Vec<_> = of_trace.cloned().collect();
            (spans.len() >= count).then_some(spans)
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, received: Received) {
    while let Ok((stream, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        let service = service_fn(move |request| take(request, Arc::clone(&received)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(
    request: Request<Incoming>,
    received: Received,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let batch = ExportTraceServiceRequest::decode(body).unwrap();
    let mut received = received.lock().await;
    for resource_spans in batch.resource_spans {
        let resource = resource_spans.resource.unwrap_or_default().attributes;
        let spans = resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.extend(spans.map(|span| (resource.clone(), span)));
    }
    Ok(Response::new(Full::default()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match &found.value {
        Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) => Some(text),
        _ => None,
    }
}

fn number(attributes: &[KeyValue], name: &str) -> Option<i64> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value {
        Some(AnyValue { value: Some(any_value::Value::IntValue(number)) }) => Some(number),
        _ => None,
    }
}

#[tokio::test]
async fn a_clients_trace_goes_on_and_others_begin_here() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({"auth": "none"})).await;
    let get = || platform.get("acme.example", "/");
    let passed = get().header("traceparent", CLIENTS).header("tracestate", "a=1,b=2").echo().await;
    assert_eq!(passed.headers["traceparent"], CLIENTS);
    assert_eq!(passed.headers["tracestate"], "a=1,b=2");
    let uppercase = CLIENTS.to_uppercase();
    for request in [
        get(),
        get().header("traceparent", "00-nonsense").header("tracestate", "a=1"),
        get().header("traceparent", &uppercase),
        get().header("traceparent", CLIENTS).header("traceparent", CLIENTS),
    ] {
        let begun = request.echo().await;
        let id = &begun.headers["x-request-id"];
        let parent = &begun.headers["traceparent"];
        assert!(parent.starts_with(&format!("00-{id}-")) && parent.len() == 55, "{parent}");
        assert!(!begun.headers.contains_key("tracestate"));
    }
}

#[tokio::test]
async fn spans_reach_the_collector() {
    let collector = Collector::start().await;
    let endpoint = format!("http://{}/v1/traces", collector.address);
    let platform = Platform::start_with(&[
        ("TRACING__ENDPOINT", &endpoint),
        ("TRACING__DELAY_MS", "50"),
        ("TRACING__SAMPLE_RATIO", "0.0"),
    ])
    .await;
    let secret = platform.tenant("acme", json!({})).await;
    let tenant = platform.api().tenants().get("acme").await.unwrap().id.to_string();
    // Not sampled: by the ratio, and by the client.
    let unsampled = CLIENTS.replace("-01", "-00");
    platform.get("acme.example", "/").key(&secret).echo().await;
    let passed = platform
        .get("acme.example", "/")
        .key(&secret)
        .header("traceparent", &unsampled)
        .echo()
        .await;
    assert_eq!(passed.headers["traceparent"], unsampled);
    let echo = platform
        .get("acme.example", "/x?token=hidden")
        .key(&secret)
        .header("traceparent", CLIENTS)
        .echo()
        .await;
    let spans = collector.spans(TRACE, 2).await;
    assert_eq!(spans.len(), 2);
    let of = |kind: SpanKind| spans.iter().find(|(_, span)| span.kind == kind as i32).unwrap();
    let ((resource, server), (_, client)) = (of(SpanKind::Server), of(SpanKind::Client));
    assert_eq!(text(resource, "service.name"), Some("tenantry-proxy"));
    assert_eq!(text(resource, "service.instance.id"), Some("edge-1"));
    assert_eq!(server.name, "GET all");
    // One below the other: the client's, ours, ours towards the upstream, the upstream's.
    assert_eq!(hexadecimal(&server.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(client.parent_span_id, server.span_id);
    let told = format!("00-{TRACE}-{}-01", hexadecimal(&client.span_id));
    assert_eq!(echo.headers["traceparent"], told);
    for (name, value) in [
        ("tenantry.tenant", "acme"),
        ("tenantry.tenant.id", &tenant),
        ("tenantry.route", "all"),
        ("tenantry.decision", "forward"),
        ("url.path", "/x"),
        ("server.address", "acme.example"),
        ("tenantry.request.id", &echo.headers["x-request-id"]),
    ] {
        assert_eq!(text(&server.attributes, name), Some(value), "{name}");
    }
    assert_eq!(number(&server.attributes, "http.response.status_code"), Some(200));
    assert_eq!(
        text(&client.attributes, "server.address"),
        Some(platform.origin.address().to_string().as_str())
    );
    assert!(server.end_time_unix_nano > server.start_time_unix_nano);
    assert!(server.start_time_unix_nano <= client.start_time_unix_nano);
    let told = format!("{spans:?}");
    assert!(!told.contains(&secret) && !told.contains("hidden"));
    assert_eq!(platform.metric("tenantry_spans_total{outcome=\"exported\"}").await, Some(2));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_request() {
    let platform = Platform::start_with(&[
        // Nobody listens on the discard port of this machine.
        ("TRACING__ENDPOINT", "http://127.0.0.1:9/v1/traces"),
        ("TRACING__DELAY_MS", "50"),
    ])
    .await;
    platform.tenant("acme", json!({"auth": "none"})).await;
    assert_eq!(platform.get("acme.example", "/").status().await, 200);
    eventually("failed spans are counted", async || {
        let failed = platform.metric("tenantry_spans_total{outcome=\"failed\"}").await;
        (failed >= Some(2)).then_some(())
    })
    .await;
    assert_eq!(platform.get("acme.example", "/").status().await, 200);
}
