//! A client's connection as pingora reads and writes it, and what is watched while it does.

use std::{
    future::Future as _,
    io,
    os::fd::{AsRawFd as _, RawFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, raw_connect::ProxyDigest,
};
use tenantry_wire::http2::Meter;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_rustls::server::TlsStream;

use super::{Connection, rewound::Rewound};
use crate::clock::Clock;

/// What the bytes travel on.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Rewound<TcpStream>),
    Tls(Box<TlsStream<Rewound<TcpStream>>>),
}

impl Transport {
    fn socket(&self) -> RawFd {
        match self {
            Self::Plain(stream) => stream.inner().as_raw_fd(),
            Self::Tls(stream) => stream.get_ref().0.inner().as_raw_fd(),
        }
    }
}

macro_rules! on_transport {
    ($transport:expr, $stream:ident => $does:expr) => {
        match $transport {
            Transport::Plain($stream) => $does,
            Transport::Tls($stream) => $does,
        }
    };
}

/// How much may be read before the present request is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowance {
    /// So many bytes: what comes after them is the next request, and nobody's business yet.
    Bytes(u64),
    /// Only who reads the bytes can tell where the request ends.
    Unbounded,
}

/// Watches an HTTP/2 connection.
#[derive(Debug)]
struct Watch {
    meter: Meter,
    clock: Clock,
    /// What began must be completed within this time.
    completion: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    pause: Option<Pin<Box<Sleep>>>,
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Conduit {
    transport: Transport,
    /// Bytes that were read from the transport and are not due yet.
    ahead: BytesMut,
    allowance: Allowance,
    watch: Option<Watch>,
    connection: Arc<Connection>,
    digest: Arc<ProxyDigest>,
    socket: Arc<SocketDigest>,
    established: TimingDigest,
}

/// Bytes that are read ahead while nobody may have them; more stay with the kernel.
const MAX_AHEAD: usize = 4096;

impl Conduit {
    pub(crate) fn new(transport: Transport, connection: &Arc<Connection>) -> pingora::Result<Self> {
        let socket = SocketDigest::from_raw_fd(transport.socket());
        // Pingora would ask the kernel for them.
        let address = |address| Some(pingora::protocols::l4::socket::SocketAddr::Inet(address));
        let _ = socket.peer_addr.set(address(connection.client));
        Ok(Self {
            transport,
            ahead: BytesMut::new(),
            allowance: Allowance::Unbounded,
            watch: None,
            connection: Arc::clone(connection),
            digest: connection.digest()?,
            socket: Arc::new(socket),
            established: TimingDigest::default(),
        })
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Gives bytes back: they are read again.
    pub(super) fn unread(&mut self, bytes: BytesMut) {
        let later = std::mem::replace(&mut self.ahead, bytes);
        self.ahead.extend_from_slice(&later);
    }

    /// Lets a request of `bytes` more bytes be read, and nothing after it.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.allowance = Allowance::Bytes(bytes);
    }

    pub(super) fn allow_all(&mut self) {
        self.allowance = Allowance::Unbounded;
    }

    /// Counts frames from now on.
    pub(super) fn watch(&mut self, meter: Meter, clock: Clock, completion: Duration) {
        self.watch = Some(Watch { meter, clock, completion, deadline: None, pause: None });
    }

    /// Reads on while nothing may be given out, to notice that the client has gone. What comes is kept.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < MAX_AHEAD {
            let mut bytes = [0; 512];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(poll_read_transport(&mut self.transport, context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.ahead.extend_from_slice(buffer.filled());
        }
        Poll::Pending
    }

    fn poll_read_any(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return poll_read_transport(&mut self.transport, context, buffer);
        }
        let bytes = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(self.ahead.get(..bytes).unwrap_or_default());
        self.ahead.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

fn poll_read_transport(
    transport: &mut Transport,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    on_transport!(transport, stream => Pin::new(stream).poll_read(context, buffer))
}

/// The connection without what is watched: for [`AsyncReadExt::take`].
struct Source<'a>(&'a mut Conduit);

impl AsyncRead for Source<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read_any(context, buffer)
    }
}

impl Watch {
    fn poll_allowed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        Poll::Ready(())
    }

    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        let counted = self.meter.received(bytes, self.clock.now().monotonic);
        counted.map_err(|flood| io::Error::other(format!("flood: {flood:?}")))?;
        self.pause = self.meter.pause().map(|pause| Box::pin(tokio::time::sleep(pause)));
        if !self.meter.awaits_completion() {
            self.deadline = None;
        }
        Ok(())
    }

    /// Ready once what began has taken too long.
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.meter.awaits_completion() {
            return Poll::Pending;
        }
        let completion = self.completion;
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(completion)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Conduit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.allowance {
            Allowance::Bytes(0) => return this.poll_gone(context),
            Allowance::Bytes(allowed) => {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut Source(this).take(allowed)).poll_read(context, buffer))?;
                let read = buffer.filled().len() - before;
                if let Allowance::Bytes(left) = &mut this.allowance {
                    *left -= read as u64;
                }
                return Poll::Ready(Ok(()));
            }
            Allowance::Unbounded => {}
        }
        let Some(watch) = &mut this.watch else { return this.poll_read_any(context, buffer) };
        ready!(watch.poll_allowed(context));
        let before = buffer.filled().len();
        match this.poll_read_any(context, buffer) {
            Poll::Ready(read) => {
                read?;
                let bytes = buffer.filled().get(before..).unwrap_or_default();
                if let Some(watch) = &mut this.watch {
                    watch.read(bytes)?;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => match &mut this.watch {
                Some(watch) => watch.poll_overdue(context),
                None => Poll::Pending,
            },
        }
    }
}

impl AsyncWrite for Conduit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = on_transport!(&mut self.transport, stream => Pin::new(stream).poll_write(context, bytes));
        self.count_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = on_transport!(&mut self.transport,
            stream => Pin::new(stream).poll_write_vectored(context, slices));
        self.count_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        on_transport!(&self.transport, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(&mut self.transport, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(&mut self.transport, stream => Pin::new(stream).poll_shutdown(context))
    }
}

impl Conduit {
    fn count_written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Some(watch), Poll::Ready(Ok(bytes))) = (&mut self.watch, &written) {
            watch.meter.sent(*bytes);
        }
        written
    }
}

#[async_trait]
impl Shutdown for Conduit {
    async fn shutdown(&mut self) {
        // The client may have gone already.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Conduit {
    fn id(&self) -> i32 {
        self.transport.socket()
    }
}

impl Ssl for Conduit {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.watch.as_ref().map(|_| ALPN::H2)
    }
}

impl GetTimingDigest for Conduit {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(self.established.clone())]
    }
}

impl GetProxyDigest for Conduit {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetSocketDigest for Conduit {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }
}

impl Peek for Conduit {}
