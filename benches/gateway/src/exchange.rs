//! HTTP/1.1 as a client speaks it who wants to be cheap: requests are bytes, and of an answer only what is needed
//! is read.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const HEADERS: usize = 64;
const BUFFER: usize = 16 * 1024;

/// What a connection is read from and written to.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// One connection that is kept.
pub(crate) struct Connection {
    wire: Box<dyn Wire>,
    answer: Vec<u8>,
}

/// What is read of an answer's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Where the body begins and where it ends.
    begins: usize,
    ends: usize,
    /// Whether the connection is good for another request.
    pub(crate) is_kept: bool,
}

/// A TCP connection, from one of this machine's own addresses.
pub(crate) async fn connect(to: SocketAddr, from: Ipv4Addr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if !from.is_unspecified() {
        socket.bind(SocketAddr::from((from, 0)))?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A TLS connection for a host.
pub(crate) async fn secure(
    to: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let stream = connect(to, Ipv4Addr::UNSPECIFIED).await?;
    let name = ServerName::try_from(host.to_owned())?;
    Ok(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?)
}

impl Connection {
    pub(crate) fn new(wire: impl Wire + 'static) -> Self {
        Self { wire: Box::new(wire), answer: Vec::with_capacity(BUFFER) }
    }

    /// A plain one from wherever.
    pub(crate) async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::new(connect(to, Ipv4Addr::UNSPECIFIED).await?))
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Head> {
        self.wire.write_all(request).await?;
        self.wire.flush().await?;
        self.answer.clear();
        let head = loop {
            self.read().await?;
            if let Some(head) = head(&self.answer)? {
                break head;
            }
        };
        while self.answer.len() < head.ends {
            self.read().await?;
        }
        Ok(head)
    }

    /// The body of the answer that was read last.
    pub(crate) fn body(&self, head: &Head) -> &[u8] {
        self.answer.get(head.begins..head.ends).unwrap_or_default()
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        if self.wire.read_buf(&mut self.answer).await? == 0 {
            anyhow::bail!("the connection was closed within an answer");
        }
        Ok(())
    }
}

/// The head of an answer, once all of it is there. Bodies have to say how long they are.
fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(begins) = response.parse(bytes)? else { return Ok(None) };
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let length: usize = value("content-length").context("an answer without a length")?.parse()?;
    let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let status = response.code.context("an answer without a status")?;
    Ok(Some(Head { status, begins, ends: begins + length, is_kept: !closes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_once_they_are_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        let whole = Head { status: 200, begins: 57, ends: 59, is_kept: false };
        assert_eq!(head(answer).unwrap(), Some(whole));
        assert_eq!(head(&answer[..40]).unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "nobody says where it ends");
        assert!(head(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
