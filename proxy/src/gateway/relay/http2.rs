//! A client that speaks HTTP/2.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pingora::{
    Error, ErrorType, OrErr as _, http::ResponseHeader, protocols::http::v2::server::HttpSession,
};
use tenantry_wire::response::ResponseHead;

use super::{
    Alarm,
    client::{Client, Part},
    heads::{self, Added, Fields},
    upstream::Failed,
};

/// A stream, on which this request is the only one; beside it there are others on its connection.
pub(crate) struct Http2Client<'c> {
    pub(crate) stream: &'c mut HttpSession,
    pub(crate) alarm: &'c mut Alarm,
}

impl Client for Http2Client<'_> {
    type Head = Box<ResponseHeader>;

    fn alarm(&mut self) -> &mut Alarm {
        self.alarm
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream.idle()).poll(context).map(drop)
    }

    fn is_last(&self, _: bool) -> bool {
        // A connection that is about to end says so to all its streams at once.
        false
    }

    fn head(
        &self,
        answer: &ResponseHead<'_, '_>,
        added: &Added<'_>,
    ) -> pingora::Result<Box<ResponseHeader>> {
        let (mut head, ()) = http::Response::new(()).into_parts();
        head.status = StatusCode::from_u16(answer.status).or_err(INVALID, "no status at all")?;
        head.headers = HeaderMap::with_capacity(answer.fields.len() + USUAL_FIELDS);
        heads::answer(answer, added, &mut head.headers)?;
        Ok(Box::new(head.into()))
    }

    fn interim(&self, _: &ResponseHead<'_, '_>) -> Option<Box<ResponseHeader>> {
        // Pingora's streams have no way to say it.
        None
    }

    async fn send(
        &mut self,
        head: Option<Box<ResponseHeader>>,
        part: Part<'_>,
        patience: Duration,
    ) -> Result<(), Failed> {
        let (payload, is_last) = (part.payload.into_bytes(), part.is_last);
        if let Some(head) = head {
            let is_all = is_last && payload.is_empty();
            self.stream.write_response_header(head, is_all).map_err(gone)?;
            if is_all {
                return Ok(());
            }
        }
        if payload.is_empty() && !is_last {
            return Ok(());
        }
        let written = self.stream.write_body(payload, is_last);
        match self.alarm.within(patience, written).await {
            Ok(written) => written.map_err(gone),
            Err(_) => Err(Failed::Client(Error::new_down(ErrorType::WriteTimedout))),
        }
    }

    async fn close(&mut self) {
        // The last part has ended it.
    }
}

fn gone(error: Box<Error>) -> Failed {
    Failed::Client(error.into_down())
}

/// Header fields that the gateway adds to most answers, and the date.
const USUAL_FIELDS: usize = 4;

const INVALID: ErrorType = ErrorType::InvalidHTTPHeader;

impl Fields for HeaderMap {
    fn field(&mut self, name: &[u8], value: &[u8]) -> pingora::Result<()> {
        // Frames say where the body ends (RFC 9113, section 8.2.2).
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Ok(());
        }
        let name = HeaderName::from_bytes(name).or_err(INVALID, "a name that no header has")?;
        let value = HeaderValue::from_bytes(value).or_err(INVALID, "a value that no header has")?;
        self.append(name, value);
        Ok(())
    }
}
