//! Bytes as they are, for what no HTTP client would send.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::Poll,
};

use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
        ReadBuf,
    },
    net::{TcpSocket, TcpStream},
};

/// A connection on which bytes are written as they are.
#[derive(Debug)]
pub struct RawConnection {
    stream: BufReader<TcpStream>,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, by its announced length.
    pub body: String,
}

impl RawConnection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> Self {
        Self::open_from([127, 0, 0, 1].into(), to).await
    }

    /// Connects from one of this machine's loopback addresses.
    pub async fn open_from(from: IpAddr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("a loopback address");
        let stream = socket.connect(to).await.expect("the proxy accepts");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes. Whether the other end still wants them shows in what it answers.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref()).await;
        self
    }

    /// The next answer; none if the connection was closed without one.
    pub async fn answer(&mut self) -> Option<RawAnswer> {
        let status_line = self.line().await?;
        let status = status_line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        while let Some((name, value)) = self.line().await?.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(RawAnswer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// So many bytes; fewer if the connection was closed before.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.stream.read(rest).await {
                Ok(more @ 1..) => read += more,
                _ => break,
            }
        }
        bytes.truncate(read);
        bytes
    }

    /// Whether the other end has closed, as far as is known; what it sent is passed over.
    pub async fn is_closed(&mut self) -> bool {
        let mut scrap = [0; 1024];
        loop {
            let read = std::future::poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut scrap);
                let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
                // What has not come yet is not waited for.
                Poll::Ready(match read {
                    Poll::Ready(Ok(())) => Some(buffer.filled().len()),
                    Poll::Ready(Err(_)) => Some(0),
                    Poll::Pending => None,
                })
            });
            match read.await {
                Some(0) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Everything that still comes until the other end closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset closes as well.
        let _ = self.stream.read_to_end(&mut rest).await;
        rest
    }
}

impl RawAnswer {
    /// The name of the problem; empty if it is none.
    #[must_use]
    pub fn problem(&self) -> &str {
        self.body
            .split("urn:tenantry:problem:")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_default()
    }
}
