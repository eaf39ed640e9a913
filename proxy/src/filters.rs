//! What a route changes of requests and answers.
//!
//! The model lets no route touch framing, hop-by-hop headers and those that the gateway itself sets, so
//! nothing has to be checked here. Requests are edited before the gateway's own headers are set: even a
//! route that got past the model could name no tenant.

use http::{
    HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH},
};
use pingora::{
    ErrorType, OrErr as _, Result,
    http::{RequestHeader, ResponseHeader},
};
use tenantry_engine::CompiledRoute;
use tenantry_model::route::HeaderEdits;
use tenantry_wire::response::{elements, nominated};

/// Changes a request that goes to an upstream.
///
/// # Errors
/// A header that cannot be; none that the model lets through.
pub(crate) fn edit_request(route: &CompiledRoute, request: &mut RequestHeader) -> Result<()> {
    apply(route.request_headers(), request)?;
    match route.rewrite_host() {
        Some(host) => request.insert_header(http::header::HOST, host.as_str()),
        None => Ok(()),
    }
}

/// Changes an answer that goes to a client.
///
/// # Errors
/// As [`edit_request`].
pub(crate) fn edit_response(route: &CompiledRoute, response: &mut ResponseHeader) -> Result<()> {
    apply(route.response_headers(), response)
}

/// The same length may be said several times, and is told once (RFC 9110, section 8.6). Pingora has found them to be
/// the same.
///
/// # Errors
/// As [`edit_request`].
pub(crate) fn say_length_once(response: &mut ResponseHeader) -> Result<()> {
    let mut lengths = response.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    if lengths.next().is_none() && !first.as_bytes().contains(&b',') {
        return Ok(());
    }
    let length = elements(first.as_bytes()).next().map(<[u8]>::to_vec);
    response.insert_header(CONTENT_LENGTH, length.unwrap_or_default())
}

/// Leaves out what ends with the connection to the upstream. Its `Connection` header itself is pingora's.
pub(crate) fn leave_out_nominated(response: &mut ResponseHeader) {
    let lines = response.headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let named = nominated(lines).filter_map(|name| HeaderName::from_bytes(name).ok());
    for name in named.collect::<Vec<_>>() {
        response.remove_header(&name);
    }
}

trait Headers {
    fn remove(&mut self, name: &str);
    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()>;
    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<()>;
}

macro_rules! headers {
    ($type:ty) => {
        impl Headers for $type {
            fn remove(&mut self, name: &str) {
                self.remove_header(name);
            }

            fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
                self.insert_header(name, value)
            }

            fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
                self.append_header(name, value).map(drop)
            }
        }
    };
}

headers!(RequestHeader);
headers!(ResponseHeader);

fn apply(edits: &HeaderEdits, headers: &mut impl Headers) -> Result<()> {
    let header = |name: &str, value: &str| -> Result<(HeaderName, HeaderValue)> {
        let invalid = "a route's header is not valid";
        let name = name.parse().or_err(ErrorType::InternalError, invalid)?;
        Ok((name, value.parse().or_err(ErrorType::InternalError, invalid)?))
    };
    for name in edits.remove() {
        headers.remove(name.as_str());
    }
    for (name, value) in edits.set() {
        let (name, value) = header(name.as_str(), value.as_str())?;
        headers.set(name, value)?;
    }
    for (name, value) in edits.add() {
        let (name, value) = header(name.as_str(), value.as_str())?;
        headers.add(name, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_then_set_then_added() {
        let edits = r#"{"set":{"x-a":"1","x-new":"2"},"add":{"x-b":"3"},"remove":["x-c","x-a"]}"#;
        let edits: HeaderEdits = serde_json::from_str(edits).unwrap();
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in [("x-a", "0"), ("x-a", "0"), ("x-b", "0"), ("x-c", "0"), ("x-d", "0")]
        {
            request.append_header(name, value).unwrap();
        }
        apply(&edits, &mut request).unwrap();
        let mut left: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        left.sort();
        assert_eq!(left, ["x-a=1", "x-b=0", "x-b=3", "x-d=0", "x-new=2"]);
    }
}
