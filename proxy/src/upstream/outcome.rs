//! What errors and statuses say about a server.

use pingora::{Error, ErrorSource, ErrorType};
use tenantry_engine::Outcome;

use super::watch::Expired;

/// 502 to 504 are said by a server whose own servers fail; what else goes wrong in an application may
/// be the request's fault, and one tenant's requests must not eject an endpoint from all of them.
pub(super) fn of_status(status: u16) -> Outcome {
    match status {
        502..=504 => Outcome::GatewayError,
        500..=599 => Outcome::ServerError,
        _ => Outcome::Answered,
    }
}

/// How a try ended that broke off; none if it was not the server that broke it.
pub(super) fn of_error(error: &Error, expired: Option<Expired>) -> Option<Outcome> {
    match (expired, error.esource(), error.etype()) {
        // The time for the whole request may have gone by anywhere.
        (Some(Expired::Total), ..) => None,
        (Some(Expired::FirstByte | Expired::Idle), ..) => Some(Outcome::TimedOut),
        (None, ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => {
            Some(Outcome::TimedOut)
        }
        (None, ErrorSource::Upstream, _) => Some(Outcome::Broken),
        (None, ..) => None,
    }
}

/// Nothing came for too long.
pub(super) fn is_silence(error: &Error, expired: Option<Expired>) -> bool {
    match expired {
        Some(Expired::FirstByte | Expired::Idle) => true,
        Some(Expired::Total) => false,
        None => {
            error.esource() == &ErrorSource::Upstream && error.etype() == &ErrorType::ReadTimedout
        }
    }
}

/// The server had closed the connection, as it may between two requests.
pub(super) fn is_closed(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ConnectionClosed
            | ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::H2Error
    )
}

/// Whether another try may end better. A server that took too long may still be at work.
pub(super) fn is_worth_retrying(error: &Error) -> bool {
    error.esource() == &ErrorSource::Upstream
        && (is_closed(error)
            || matches!(error.etype(), ErrorType::H2Downgrade | ErrorType::InvalidH2))
}
