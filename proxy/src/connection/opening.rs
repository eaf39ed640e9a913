//! The first bytes of a connection: the PROXY header, where the peer must send one.

use std::{io, net::SocketAddr};

use bytes::{Buf as _, BytesMut};
use tenantry_wire::proxy_header::{self, Source};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::rewound::Rewound;

/// Reads the PROXY header; the stream goes on after it.
///
/// # Errors
/// The connection broke, or what came is no PROXY header.
pub(super) async fn read_proxy_header(
    mut stream: TcpStream,
    peer: SocketAddr,
) -> io::Result<(Rewound<TcpStream>, SocketAddr)> {
    let mut bytes = BytesMut::with_capacity(256);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let parsed = proxy_header::parse(&bytes)
            .map_err(|rule| io::Error::new(io::ErrorKind::InvalidData, rule))?;
        if let Some((source, length)) = parsed {
            bytes.advance(length);
            let client = match source {
                Source::Peer => peer,
                Source::Client(client) => client,
            };
            return Ok((Rewound::new(bytes, stream), client));
        }
    }
}
