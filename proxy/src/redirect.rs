//! The answer of a route that sends clients elsewhere.

use std::fmt::Write as _;

use pingora::{http::ResponseHeader, proxy::Session};
use tenantry_engine::Redirection;

use crate::{filters, request_id::RequestId, respond::RateLimitHeaders};

/// Sends a client elsewhere.
pub(crate) async fn answer(
    session: &mut Session,
    redirection: &Redirection,
    is_https: bool,
    request_id: RequestId,
) -> pingora::Result<()> {
    let target = session.req_header().raw_path();
    let query = target.splitn(2, |byte| *byte == b'?').nth(1);
    let mut response = ResponseHeader::build(redirection.status, Some(8))?;
    filters::edit_response(&redirection.route, &mut response)?;
    response.insert_header("location", location(&redirection.location, is_https, query))?;
    response.insert_header("content-length", "0")?;
    response.insert_header("x-request-id", request_id.to_string())?;
    let rate_limit = redirection
        .admission
        .as_ref()
        .and_then(|admission| RateLimitHeaders::new(admission.limits()));
    if let Some(rate_limit) = rate_limit {
        rate_limit.apply(&mut response)?;
    }
    session.write_response_header(Box::new(response), true).await
}

/// A host without a scheme gets the client's own, as far as proxies in front tell it: many clients take
/// `//host` for a path. The query is the client's own text. Whatever could mean something in a header or in a page is
/// percent-encoded; what is encoded already stays as it is.
fn location(reference: &str, is_https: bool, query: Option<&[u8]>) -> String {
    let scheme = match (reference.starts_with("//"), is_https) {
        (false, _) => "",
        (true, true) => "https:",
        (true, false) => "http:",
    };
    let mut location = format!("{scheme}{reference}");
    let Some(query) = query else { return location };
    location.push('?');
    for byte in query {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]|".contains(byte);
        // Writing to a string cannot fail.
        let _ = match is_plain {
            true => write!(location, "{}", char::from(*byte)),
            false => write!(location, "%{byte:02X}"),
        };
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_stays_and_cannot_end_the_header() {
        assert_eq!(location("/a", false, None), "/a");
        assert_eq!(location("/a", true, Some(b"")), "/a?");
        assert_eq!(location("/a", false, Some(b"x=%20y&z=a/b?c")), "/a?x=%20y&z=a/b?c");
        assert_eq!(
            location("/a", false, Some(b"\r\nSet-Cookie: a\"<>#\xff")),
            "/a?%0D%0ASet-Cookie:%20a%22%3C%3E%23%FF"
        );
    }

    #[test]
    fn a_host_comes_with_a_scheme() {
        assert_eq!(location("//b.c/a", false, None), "http://b.c/a");
        assert_eq!(location("//b.c:81/a", true, Some(b"x")), "https://b.c:81/a?x");
        assert_eq!(location("http://b.c/a", true, None), "http://b.c/a");
        assert_eq!(location("/a", true, None), "/a");
    }
}
