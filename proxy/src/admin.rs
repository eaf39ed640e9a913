//! The admin listener: metrics, health, readiness, explain. Not for clients.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};
use tenantry_api::explain::ExplainRequest;
use tenantry_explain::explain;

use crate::{active::Active, clock::Clock, lifecycle::Lifecycle, metrics::Metrics, upstream::view};

const MAX_BODY_BYTES: usize = 64 * 1024;
/// The text format's media type, as Prometheus asks for it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the admin listener.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) active: Arc<Active>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) lifecycle: Lifecycle,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        match (method, path.as_str()) {
            (Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
            (Method::GET, "/readyz") => self.readiness(),
            (Method::GET, "/metrics") => self.metrics(),
            (Method::GET, "/upstreams") => self.upstreams(),
            (Method::POST, "/explain") => self.explain(session).await,
            (_, "/healthz" | "/readyz" | "/metrics" | "/upstreams" | "/explain") => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET /healthz, /readyz, /metrics and /upstreams, POST /explain\n",
            ),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz, /metrics, /upstreams and /explain\n",
            ),
        }
    }
}

impl Admin {
    /// Ready once there is any good snapshot, wherever it came from, until the process is told to stop.
    fn readiness(&self) -> Response<Vec<u8>> {
        match self.active.load() {
            _ if self.lifecycle.is_leaving() => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            Some(state) => {
                text(StatusCode::OK, &format!("ready at revision {}\n", state.position.revision))
            }
            None => text(StatusCode::SERVICE_UNAVAILABLE, "no snapshot yet\n"),
        }
    }

    fn metrics(&self) -> Response<Vec<u8>> {
        match Arc::clone(&self.metrics).render() {
            Ok(metrics) => respond(StatusCode::OK, OPENMETRICS, metrics.into_bytes()),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }

    fn upstreams(&self) -> Response<Vec<u8>> {
        let Some(state) = self.active.load() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "no snapshot yet\n");
        };
        let view = view(&state.table, self.clock.now().monotonic);
        respond(StatusCode::OK, "application/json", view.to_string().into_bytes())
    }

    async fn explain(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match session.read_request_body().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BODY_BYTES => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB\n");
                }
                Ok(None) => break,
                Err(_) => return text(StatusCode::BAD_REQUEST, "the body could not be read\n"),
            }
        }
        let request: ExplainRequest = match serde_json::from_slice(&body) {
            Ok(ExplainRequest { proxy: Some(_), .. }) => {
                let why = "this proxy answers for itself: leave `proxy` out\n";
                return text(StatusCode::UNPROCESSABLE_ENTITY, why);
            }
            Ok(request) => request,
            Err(error) => return text(StatusCode::UNPROCESSABLE_ENTITY, &format!("{error}\n")),
        };
        let Some(state) = self.active.load() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "no snapshot yet\n");
        };
        let explained = explain(&state.table, state.position.revision, &request, self.clock.now());
        respond(
            StatusCode::OK,
            "application/json",
            serde_json::to_vec(&explained).unwrap_or_default(),
        )
    }
}

fn text(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    respond(status, "text/plain; charset=utf-8", text.as_bytes().to_vec())
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from(body.len()));
    *response.body_mut() = body;
    response
}
