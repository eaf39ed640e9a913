//! The demo's origin server: answers with what it received, as JSON.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

/// After a failure to accept, which is nearly always a lack of file descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// A server on this machine's own address; it runs as long as the process.
pub(super) struct Origin {
    address: SocketAddr,
}

impl Origin {
    /// Takes a free port.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(serve(listener));
        Ok(Self { address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream));
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

/// A connection that breaks is the proxy's business, which tells its client.
async fn connection(stream: TcpStream) {
    let service = service_fn(async |request| Ok::<_, Infallible>(echo(&request)));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn echo(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers.entry(name.as_str()).or_default().push(value);
    }
    let headers: BTreeMap<_, _> =
        headers.into_iter().map(|(name, values)| (name, values.join(", "))).collect();
    let echo = json!({
        "method": request.method().as_str(),
        "path": request.uri().to_string(),
        "headers": headers,
    });
    let mut response = Response::new(Full::from(format!("{echo:#}\n")));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_with_what_it_received() {
        let origin = Origin::start().await.unwrap();
        let (status, body) = crate::http::get(&origin.url(), "/a?b=c").await.unwrap();
        assert!(status.is_success());
        let echo: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(echo["method"], "GET");
        assert_eq!(echo["path"], "/a?b=c");
        assert_eq!(echo["headers"]["host"], origin.address().to_string());
    }
}
