//! Connections on which a server may switch protocols.
//!
//! Pingora 0.9.1 waits for the answer and for the end of the request's body at once, and where both
//! are there it takes one by chance. A `101` that it takes first makes it read the end of the (empty)
//! body as the end of the socket: the socket is closed, and what the server said first is lost. So
//! nothing is read on such a connection before the end of the request went by. Pingora flushes the
//! connection when it did, and only then.
//!
//! A connection like this has no descriptor to pingora, which therefore cannot use it again.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use async_trait::async_trait;
use pingora::{
    Result,
    connectors::{L4Connect, TransportConnector},
    protocols::{
        IO,
        l4::{
            socket::SocketAddr,
            stream::Stream,
            virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream},
        },
    },
    upstreams::peer::{HttpPeer, Scheme},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How far a request is that asks for another protocol.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    began: AtomicBool,
    ended: AtomicBool,
}

impl Handshake {
    /// The connection is there, with TLS if it has any: the request goes out now.
    pub(super) fn begin(&self) {
        self.began.store(true, Relaxed);
    }

    /// The end of the request is on its way to whoever sends it.
    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }
}

/// Makes connections as pingora does.
pub(super) struct Dialer(Arc<TransportConnector>);

impl Dialer {
    pub(super) fn new() -> Self {
        Self(Arc::new(TransportConnector::new(None)))
    }

    /// Has the connection that a peer leads to keep the server's answer back until the request ended.
    pub(super) fn keep_order(&self, peer: &mut HttpPeer) -> Arc<Handshake> {
        let handshake = Arc::new(Handshake::default());
        let mut below = peer.clone();
        // TLS and the word of the connection's end are for the connection above.
        below.scheme = Scheme::HTTP;
        below.options.tracer = None;
        below.options.total_connection_timeout = None;
        peer.options.custom_l4 = Some(Arc::new(Dial {
            transport: Arc::clone(&self.0),
            below,
            handshake: Arc::clone(&handshake),
        }));
        // Neither is taken for the other's request: an ordinary one would be answered too soon, and one of
        // these can serve no second request. It is not kept for one, either.
        peer.group_key ^= 2;
        peer.options.idle_timeout = Some(Duration::ZERO);
        handshake
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Dialer")
    }
}

struct Dial {
    transport: Arc<TransportConnector>,
    below: HttpPeer,
    handshake: Arc<Handshake>,
}

impl fmt::Debug for Dial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Dial {}", self.below)
    }
}

#[async_trait]
impl L4Connect for Dial {
    async fn connect(&self, _: &SocketAddr) -> Result<Stream> {
        let io = self.transport.new_stream(&self.below).await?;
        let handshake = Arc::clone(&self.handshake);
        let ordered = Ordered { io, handshake, may_read: false, reader: None };
        Ok(VirtualSocketStream::new(Box::new(ordered)).into())
    }
}

/// A connection on which nothing is read before the request ended.
#[derive(Debug)]
struct Ordered<I> {
    io: I,
    handshake: Arc<Handshake>,
    may_read: bool,
    reader: Option<Waker>,
}

impl VirtualSocket for Ordered<Box<dyn IO>> {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        // The connection below has them already.
        Ok(())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Ordered<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.may_read && this.handshake.began.load(Relaxed) {
            this.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut this.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Ordered<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = ready!(Pin::new(&mut this.io).poll_flush(context));
        // Even if it failed: pingora reads what the server may have said all the same.
        if !this.may_read && this.handshake.ended.load(Relaxed) {
            this.may_read = true;
            if let Some(reader) = this.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn ordered() -> (Ordered<DuplexStream>, DuplexStream, Arc<Handshake>) {
        let ((io, server), handshake) = (duplex(64), Arc::new(Handshake::default()));
        let ordered =
            Ordered { io, handshake: Arc::clone(&handshake), may_read: false, reader: None };
        (ordered, server, handshake)
    }

    fn is_read(io: &mut Ordered<DuplexStream>) -> bool {
        let mut bytes = [0; 1];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(io).poll_read(&mut context, &mut buffer).is_ready()
    }

    #[tokio::test]
    async fn nothing_is_read_between_the_beginning_of_a_request_and_the_flush_at_its_end() {
        let (mut io, mut server, handshake) = ordered();
        server.write_all(b"a handshake and an answer").await.unwrap();
        assert!(is_read(&mut io), "TLS goes on as it likes");
        handshake.begin();
        assert!(!is_read(&mut io));
        io.write_all(b"head").await.unwrap();
        io.flush().await.unwrap();
        assert!(!is_read(&mut io), "that was the head");
        handshake.end();
        assert!(!is_read(&mut io), "it was not sent yet");
        io.flush().await.unwrap();
        assert!(is_read(&mut io) && is_read(&mut io));
        io.write_all(b"frame").await.unwrap();
        assert!(is_read(&mut io), "nothing is held back any more");
    }

    #[tokio::test]
    async fn who_waits_to_read_is_woken() {
        let (io, mut server, handshake) = ordered();
        server.write_all(b"answer").await.unwrap();
        handshake.begin();
        let (mut reader, mut writer) = tokio::io::split(io);
        let send = async {
            handshake.end();
            writer.flush().await.unwrap();
        };
        // The reader is asked first, and must not be forgotten.
        let (read, ()) = tokio::join!(biased; reader.read_u8(), send);
        assert_eq!(read.unwrap(), b'a');
    }
}
