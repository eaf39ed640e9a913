//! Whose fault an error is.

use pingora::{Error, ErrorSource, ErrorType};
use tenantry_engine::Reason;

/// Who broke the request, if it was not the client.
pub(super) fn blame(error: &Error) -> Option<Reason> {
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::InvalidHTTPHeader | ErrorType::HTTPStatus(_)) => {
            Some(Reason::BadRequest)
        }
        (ErrorSource::Downstream, _) => None,
        (
            _,
            ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError,
        ) => Some(Reason::UpstreamUnavailable),
        (_, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => Some(Reason::UpstreamTimeout),
        _ => Some(Reason::UpstreamFailed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_blamed_on_who_made_them() {
        let blamed = |source: ErrorSource, etype: ErrorType| {
            let mut error = Error::new(etype);
            error.esource = source;
            blame(&error)
        };
        use ErrorSource::{Downstream, Upstream};
        assert_eq!(blamed(Downstream, ErrorType::ConnectionClosed), None);
        assert_eq!(blamed(Downstream, ErrorType::InvalidHTTPHeader), Some(Reason::BadRequest));
        assert_eq!(blamed(Upstream, ErrorType::ConnectRefused), Some(Reason::UpstreamUnavailable));
        assert_eq!(blamed(Upstream, ErrorType::ReadTimedout), Some(Reason::UpstreamTimeout));
        assert_eq!(blamed(Upstream, ErrorType::InvalidHTTPHeader), Some(Reason::UpstreamFailed));
        assert_eq!(
            blamed(ErrorSource::Unset, ErrorType::InternalError),
            Some(Reason::UpstreamFailed)
        );
    }
}
