//! What gRPC needs to be told in its own way (its "PROTOCOL-HTTP2" document).

use bytes::Bytes;
use pingora::{http::ResponseHeader, proxy::Session};
use tenantry_engine::Reason;

/// Whether the request is a gRPC call, which only HTTP/2 carries. Its messages come when there is
/// something to say.
pub(crate) fn is_call(session: &Session) -> bool {
    let content_type = session.req_header().headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.filter(|_| session.is_http2());
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A refusal is a status in the head, and no body. The status of HTTP stays what it is: a client that looks
/// at it first comes to the same code or to none.
pub(crate) fn refuse(
    response: &mut ResponseHeader,
    reason: Reason,
) -> pingora::Result<(&'static str, Bytes)> {
    response.insert_header("grpc-status", code(reason.status()))?;
    response.insert_header("grpc-message", reason.title())?;
    Ok(("application/grpc", Bytes::new()))
}

fn code(status: u16) -> &'static str {
    match status {
        400 => "3",                   // INVALID_ARGUMENT
        401 => "16",                  // UNAUTHENTICATED
        403 => "7",                   // PERMISSION_DENIED
        404 => "12",                  // UNIMPLEMENTED
        408 | 504 => "4",             // DEADLINE_EXCEEDED
        413 | 414 | 429 | 431 => "8", // RESOURCE_EXHAUSTED
        421 | 502 | 503 => "14",      // UNAVAILABLE
        _ => "2",                     // UNKNOWN
    }
}
