//! One plain HTTP request to an address on this machine or near it.
//!
//! The proxy's admin listener and the ready endpoints speak nothing else, and the typed client
//! knows only the API.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the address is not one such as http://127.0.0.1:7080")]
    Address,
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("the connection was lost")]
    Lost(#[source] hyper::Error),
    #[error("the answer could not be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer in {} seconds", PATIENCE.as_secs())]
    Slow,
}

/// `GET` of a path.
pub(crate) async fn get(base: &str, path: &str) -> Result<(StatusCode, Bytes), HttpError> {
    bounded(base, Request::get(path), Bytes::new()).await
}

/// `POST` of JSON to a path.
pub(crate) async fn post(
    base: &str,
    path: &str,
    json: String,
) -> Result<(StatusCode, Bytes), HttpError> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    bounded(base, request, json.into()).await
}

async fn bounded(
    base: &str,
    request: http::request::Builder,
    body: Bytes,
) -> Result<(StatusCode, Bytes), HttpError> {
    let authority = authority(base).ok_or(HttpError::Address)?;
    let request = request.header(header::HOST, &authority).header(header::CONNECTION, "close");
    let request = request.body(Full::new(body)).map_err(|_| HttpError::Address)?;
    tokio::time::timeout(PATIENCE, send(&authority, request)).await.map_err(|_| HttpError::Slow)?
}

async fn send(
    authority: &str,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), HttpError> {
    let stream = TcpStream::connect(authority).await.map_err(HttpError::Connect)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Lost)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(HttpError::Lost)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(HttpError::Answer)?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange);
    // The connection only moves bytes: if it ends first, the exchange says how.
    tokio::select! {
        done = &mut exchange => done,
        _ = connection => exchange.await,
    }
}

/// `host:port` of `http://host:port`; without a port it is 80.
fn authority(base: &str) -> Option<String> {
    let uri: Uri = base.parse().ok()?;
    let authority = uri.authority()?;
    if uri.scheme_str() != Some("http") || authority.as_str().contains('@') {
        return None;
    }
    let port = authority.port_u16().unwrap_or(80);
    Some(format!("{}:{port}", authority.host()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain() {
        assert_eq!(authority("http://127.0.0.1:7080/").unwrap(), "127.0.0.1:7080");
        assert_eq!(authority("http://[::1]:1").unwrap(), "[::1]:1");
        assert_eq!(authority("http://proxy.internal").unwrap(), "proxy.internal:80");
        for bad in ["https://a:1", "a:1", "", "http://", "http://a@b:1", "http://a b"] {
            assert_eq!(authority(bad), None, "{bad}");
        }
    }
}
