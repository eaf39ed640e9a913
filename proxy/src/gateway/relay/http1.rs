//! A client that speaks HTTP/1.1.

use std::{
    io::Write as _,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf as _;
use pingora::{Error, ErrorType};
use tenantry_wire::response::{ResponseBody, ResponseHead};
use tokio::io::AsyncWriteExt as _;

use super::{
    Alarm,
    client::{Client, Part},
    heads::{self, Added, Growing},
    upstream::Failed,
};
use crate::connection::conduit::Conduit;

/// Bytes of most heads.
const USUAL_BYTES: usize = 1024;

/// What is no longer than this is copied behind the head: that is cheaper than to write both from where they are.
const SMALL: usize = 2048;

/// For the end of a connection.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A connection, on which this request is the only one.
pub(crate) struct Http1Client<'c> {
    pub(crate) conduit: &'c mut Conduit,
    pub(crate) alarm: &'c mut Alarm,
    /// Whether the connection ends after this request.
    pub(crate) is_last: bool,
}

impl Client for Http1Client<'_> {
    type Head = Vec<u8>;

    fn alarm(&mut self) -> &mut Alarm {
        self.alarm
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.conduit.poll_gone(context).map(drop)
    }

    fn is_last(&self, is_closing: bool) -> bool {
        self.is_last || is_closing
    }

    fn head(&self, answer: &ResponseHead<'_, '_>, added: &Added<'_>) -> pingora::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        status_line(answer, &mut bytes);
        let mut head = Growing(&mut bytes);
        heads::answer(answer, added, &mut head)?;
        // So that the client's connection need not end with it.
        if answer.body == ResponseBody::UntilClose {
            head.line(b"Transfer-Encoding", b"chunked");
        }
        head.line(b"Connection", if added.closes { b"close" } else { b"keep-alive" });
        bytes.extend_from_slice(b"\r\n");
        Ok(bytes)
    }

    fn interim(&self, answer: &ResponseHead<'_, '_>) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        status_line(answer, &mut bytes);
        heads::interim(answer, &mut Growing(&mut bytes));
        bytes.extend_from_slice(b"\r\n");
        Some(bytes)
    }

    async fn send(
        &mut self,
        head: Option<Vec<u8>>,
        part: Part<'_>,
        patience: Duration,
    ) -> Result<(), Failed> {
        let (mut before, mut payload, mut after) =
            (head.unwrap_or_default(), part.payload.as_slice(), "");
        if !part.has_length {
            if !payload.is_empty() {
                chunk_size(payload.len(), &mut before);
            }
            after = end_of_chunk(!payload.is_empty(), part.is_last);
        }
        if !before.is_empty() && payload.len() <= SMALL {
            for bytes in [std::mem::take(&mut payload), std::mem::take(&mut after).as_bytes()] {
                before.extend_from_slice(bytes);
            }
        }
        let mut bytes = before.chain(payload).chain(after.as_bytes());
        let written = async {
            self.conduit.write_all_buf(&mut bytes).await?;
            // TLS keeps what the socket did not take.
            self.conduit.flush().await
        };
        match self.alarm.within(patience, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let what = "the answer could not be written";
                Err(Failed::Client(Error::because(ErrorType::WriteError, what, error).into_down()))
            }
            Err(_) => Err(Failed::Client(Error::new_down(ErrorType::WriteTimedout))),
        }
    }

    async fn close(&mut self) {
        // The client may have gone already.
        let _ = self.alarm.within(LAST_WORDS, self.conduit.shutdown()).await;
    }
}

fn status_line(answer: &ResponseHead<'_, '_>, bytes: &mut Vec<u8>) {
    let mut status = itoa::Buffer::new();
    for part in ["HTTP/1.1 ", status.format(answer.status), " ", answer.reason, "\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
}

fn chunk_size(bytes: usize, line: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(line, "{bytes:x}\r\n");
}

/// What stands behind the data of a chunk, if there is any, and behind the last one.
fn end_of_chunk(has_data: bool, is_last: bool) -> &'static str {
    match (has_data, is_last) {
        (true, true) => "\r\n0\r\n\r\n",
        (true, false) => "\r\n",
        (false, true) => "0\r\n\r\n",
        (false, false) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other_to_the_last() {
        let mut sent = Vec::new();
        for (data, is_last) in
            [("hel", false), ("", false), ("lo, hello, hello", false), ("", true)]
        {
            if !data.is_empty() {
                chunk_size(data.len(), &mut sent);
            }
            sent.extend_from_slice(data.as_bytes());
            sent.extend_from_slice(end_of_chunk(!data.is_empty(), is_last).as_bytes());
        }
        assert_eq!(sent, b"3\r\nhel\r\n10\r\nlo, hello, hello\r\n0\r\n\r\n");
        assert_eq!(end_of_chunk(true, true), "\r\n0\r\n\r\n");
    }
}
