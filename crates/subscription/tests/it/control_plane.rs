//! A control plane whose every answer the test gives.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Frame as BodyFrame, Incoming},
    header::HeaderValue,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tenantry_distribution::{
    Begin, Change, Epoch, Frame, Ledger, Mark, Position, Removal, ResourceJson, ResourceName,
    Revision, STATUS_PATH, STREAM_PATH, StatusReport, SubscribeQuery, Update, UpdateKind,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use crate::soon;

pub(crate) struct ControlPlane {
    pub(crate) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<StreamRequest>,
    reports: mpsc::UnboundedReceiver<StatusReport>,
    failing_reports: Arc<AtomicUsize>,
}

/// A request for the stream, waiting for its answer.
pub(crate) struct StreamRequest {
    pub(crate) query: SubscribeQuery,
    pub(crate) authorization: String,
    pub(crate) accept_encoding: String,
    answer: oneshot::Sender<Response<Lines>>,
}

/// The open end of a stream; dropped, it closes the stream.
pub(crate) struct Stream(mpsc::UnboundedSender<Bytes>);

impl ControlPlane {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests_in, requests) = mpsc::unbounded_channel();
        let (reports_in, reports) = mpsc::unbounded_channel();
        let failing_reports = Arc::new(AtomicUsize::new(0));
        let failing = Arc::clone(&failing_reports);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (requests, reports) = (requests_in.clone(), reports_in.clone());
                let failing = Arc::clone(&failing);
                let service = service_fn(move |request| {
                    serve(request, requests.clone(), reports.clone(), Arc::clone(&failing))
                });
                tokio::spawn(async move {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    // A proxy that goes away is no failure of the test.
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { address, requests, reports, failing_reports }
    }

    pub(crate) async fn request(&mut self) -> StreamRequest {
        soon(self.requests.recv()).await.unwrap()
    }

    pub(crate) async fn report(&mut self) -> StatusReport {
        soon(self.reports.recv()).await.unwrap()
    }

    /// Answers the next reports with an error.
    pub(crate) fn fail_reports(&self, count: usize) {
        self.failing_reports.store(count, Ordering::SeqCst);
    }
}

impl StreamRequest {
    pub(crate) fn accept(self) -> Stream {
        let (sender, lines) = mpsc::unbounded_channel();
        self.answer.send(Response::new(Lines(Some(lines)))).ok().unwrap();
        Stream(sender)
    }

    /// Says that what comes is compressed.
    pub(crate) fn accept_compressed(self) -> Stream {
        let (sender, lines) = mpsc::unbounded_channel();
        let mut response = Response::new(Lines(Some(lines)));
        response.headers_mut().insert("content-encoding", HeaderValue::from_static("zstd"));
        self.answer.send(response).ok().unwrap();
        Stream(sender)
    }

    pub(crate) fn refuse(self, status: StatusCode) {
        self.refuse_for(status, None);
    }

    /// Asks to come back after so many seconds.
    pub(crate) fn refuse_for(self, status: StatusCode, retry_after: Option<u64>) {
        let mut response = Response::new(Lines(None));
        *response.status_mut() = status;
        if let Some(seconds) = retry_after {
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
        }
        self.answer.send(response).ok().unwrap();
    }
}

impl Stream {
    pub(crate) fn send(&self, bytes: impl Into<Bytes>) {
        self.0.send(bytes.into()).unwrap();
    }
}

async fn serve(
    request: Request<Incoming>,
    requests: mpsc::UnboundedSender<StreamRequest>,
    reports: mpsc::UnboundedSender<StatusReport>,
    failing: Arc<AtomicUsize>,
) -> Result<Response<Lines>, Infallible> {
    let mut response = Response::new(Lines(None));
    match request.uri().path() {
        STREAM_PATH => {
            let header = |name| request.headers()[name].to_str().unwrap().to_owned();
            let (authorization, accept_encoding) =
                (header("authorization"), header("accept-encoding"));
            let query = query(request.uri().query().unwrap());
            let (answer, answered) = oneshot::channel();
            let request = StreamRequest { query, authorization, accept_encoding, answer };
            requests.send(request).ok();
            if let Ok(answer) = answered.await {
                return Ok(answer);
            }
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        STATUS_PATH => {
            let fails = failing
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
            let body = request.into_body().collect().await.unwrap().to_bytes();
            if fails.is_ok() {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            } else {
                reports.send(serde_json::from_slice(&body).unwrap()).ok();
                *response.status_mut() = StatusCode::NO_CONTENT;
            }
        }
        path => panic!("{path}"),
    }
    Ok(response)
}

fn query(text: &str) -> SubscribeQuery {
    let fields: BTreeMap<&str, &str> =
        text.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    SubscribeQuery {
        node: fields["node"].parse().unwrap(),
        epoch: fields.get("epoch").map(|epoch| epoch.parse().unwrap()),
        revision: fields.get("revision").map(|number| Revision::new(number.parse().unwrap())),
        hash: fields.get("hash").map(|hash| hash.parse().unwrap()),
        protocol: fields.get("protocol").map(|protocol| protocol.parse().unwrap()),
    }
}

pub(crate) struct Lines(Option<mpsc::UnboundedReceiver<Bytes>>);

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Some(lines) => lines.poll_recv(context).map(|line| Some(Ok(BodyFrame::data(line?)))),
            None => Poll::Ready(None),
        }
    }
}

/// The state a control plane holds, and how it says so.
pub(crate) struct History {
    pub(crate) epoch: Epoch,
    pub(crate) revision: u64,
    pub(crate) resources: BTreeMap<(String, String), String>,
}

impl History {
    pub(crate) fn new(epoch: u128) -> Self {
        Self { epoch: Epoch::from_u128(epoch), revision: 0, resources: BTreeMap::new() }
    }

    pub(crate) fn hello(&self) -> Bytes {
        Frame::hello(self.epoch).encode().unwrap()
    }

    pub(crate) fn mark(&self) -> Mark {
        let mut ledger = Ledger::new();
        for ((kind, id), json) in &self.resources {
            ledger.put(kind, id, json.as_bytes());
        }
        Mark { revision: Revision::new(self.revision), hash: ledger.hash() }
    }

    pub(crate) fn position(&self) -> Position {
        let Mark { revision, hash } = self.mark();
        Position { epoch: self.epoch, revision, hash }
    }

    pub(crate) fn heartbeat(&self) -> Bytes {
        Frame::Heartbeat(self.mark()).encode().unwrap()
    }

    pub(crate) fn full(&self) -> Bytes {
        let changes = self.resources.iter().map(|((kind, id), json)| change(kind, id, Some(json)));
        self.transaction(UpdateKind::Full, 0, changes.collect())
    }

    /// Commits a change and answers with its delta.
    pub(crate) fn set(&mut self, kind: &str, id: &str, json: Option<&str>) -> Bytes {
        let key = (kind.to_owned(), id.to_owned());
        match json {
            Some(json) => self.resources.insert(key, json.to_owned()),
            None => self.resources.remove(&key),
        };
        self.revision += 1;
        self.transaction(UpdateKind::Delta, self.revision - 1, vec![change(kind, id, json)])
    }

    fn transaction(&self, kind: UpdateKind, from: u64, changes: Vec<Change>) -> Bytes {
        let mark = self.mark();
        let update = Update {
            epoch: self.epoch,
            kind,
            from: Revision::new(from),
            to: mark.revision,
            removal: Removal::Guarded,
            changes,
            hash: mark.hash,
        };
        update.lines().flat_map(Result::unwrap).collect()
    }
}

fn change(kind: &str, id: &str, json: Option<&str>) -> Change {
    let name = ResourceName { kind: kind.to_owned(), id: id.to_owned() };
    Change::new(name, json.map(|json| ResourceJson::from_slice(json.as_bytes()).unwrap()))
}

pub(crate) fn begin(from: u64, to: u64) -> Bytes {
    let (from, to) = (Revision::new(from), Revision::new(to));
    let removal = Removal::Guarded;
    Frame::Begin(Begin { kind: UpdateKind::Delta, from, to, removal }).encode().unwrap()
}
