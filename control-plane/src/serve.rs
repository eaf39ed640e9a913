//! Connections: accepted, served, ended. Whoever is slow to say what they want is cut off.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{body::Body, extract::ConnectInfo};
use hyper::{
    Request,
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The largest head of a request, its target and headers together.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// How long to wait after the system could not give a connection, such as for want of file descriptors.
const BACKOFF: Duration = Duration::from_millis(100);

/// Serves a router on a listener until told to stop; then until the last request has been answered.
pub(crate) fn serve(
    listener: TcpListener,
    router: axum::Router,
    head_timeout: Duration,
    mut stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let builder = builder(head_timeout);
    tokio::spawn(async move {
        let graceful = GracefulShutdown::new();
        // Ended with this task.
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                // An error means that whoever would say so is gone, which says the same.
                _ = stopping.wait_for(|stop| *stop) => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BACKOFF).await;
                    continue;
                }
            };
            let router = router.clone();
            let service = service_fn(move |request| answer(router.clone(), peer, request));
            let connection = builder.serve_connection(io(stream), service).into_owned();
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, %peer, "a connection ended");
                }
            });
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        graceful.shutdown().await;
    })
}

async fn answer(
    router: axum::Router,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    TowerToHyperService::new(router).call(request.map(Body::new)).await
}

fn builder(head_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(head_timeout)
        .keep_alive_timeout(head_timeout)
        .max_header_list_size(16 * 1024);
    builder
}

fn io(stream: TcpStream) -> TokioIo<TcpStream> {
    // A delta is a few small writes. Held back until the one before is acknowledged, as TCP does by
    // itself, each would reach the proxies some 40 ms late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    TokioIo::new(stream)
}
