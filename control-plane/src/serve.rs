//! Connections: accepted, served, ended. Whoever is slow to say what they want is cut off.

mod opening;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{body::Body, extract::ConnectInfo};
use hyper::{
    Request,
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::tls::Tls;
use opening::Opening;

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
    tls: Option<Arc<Tls>>,
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
            without_delay(&stream);
            let (builder, watcher, router) = (builder.clone(), graceful.watcher(), router.clone());
            match tls.as_ref().map(|tls| tls.acceptor()) {
                None => {
                    let opened = Opening::new(stream, head_timeout);
                    connections.spawn(converse(builder, watcher, router, peer, opened));
                }
                Some(acceptor) => {
                    connections.spawn(async move {
                        match tokio::time::timeout(head_timeout, acceptor.accept(stream)).await {
                            Ok(Ok(stream)) => {
                                let opened = Opening::new(stream, head_timeout);
                                converse(builder, watcher, router, peer, opened).await;
                            }
                            Ok(Err(error)) => {
                                tracing::debug!(%error, %peer, "no TLS was agreed on");
                            }
                            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
                        }
                    });
                }
            }
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        graceful.shutdown().await;
    })
}

/// One connection, until it ends.
async fn converse<S>(
    builder: Builder<TokioExecutor>,
    watcher: Watcher,
    router: axum::Router,
    peer: SocketAddr,
    stream: S,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(router.clone(), peer, request));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, %peer, "a connection ended");
    }
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

fn without_delay(stream: &TcpStream) {
    // A delta is a few small writes. Held back until the one before is acknowledged, as TCP does by
    // itself, each would reach the proxies some 40 ms late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
}
