//! What the gateway knows of one request: neutral facts, taken from whatever parsed the bytes.

use std::{fmt, net::IpAddr, time::Duration};

use smallvec::SmallVec;
use tenantry_model::{CertificatePem, TenantId, Timestamp};

/// The two clocks of a decision, read once per request by the caller.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The wall clock, for expiry dates.
    pub unix: Timestamp,
    /// A clock that never goes back, from any fixed origin, for rate limits.
    pub monotonic: Duration,
}

/// One request, borrowed from its parser.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The client's address, after any trusted proxy in front was taken into account.
    pub client: IpAddr,
    /// The TLS server name, if the connection has one.
    pub sni: Option<&'a str>,
    /// The client certificate that was verified when the connection was made, if one was.
    pub client_certificate: Option<VerifiedClient<'a>>,
    /// The request method.
    pub method: &'a str,
    /// The path of the request target, without the query, as it was sent.
    pub path: &'a str,
    /// The headers that matter for the decision.
    pub headers: HeaderFacts<'a>,
    /// All headers, for routes that ask for one.
    pub all_headers: &'a dyn HeaderLookup,
}

/// The values of a header's lines.
pub type HeaderLines<'a> = SmallVec<[&'a [u8]; 2]>;

/// Finds headers by their name.
pub trait HeaderLookup: Sync {
    /// The lines of a header, in their order. The name is in lower case.
    fn lines<'a>(&'a self, name: &str) -> HeaderLines<'a>;
}

impl fmt::Debug for dyn HeaderLookup + '_ {
    /// Headers hold credentials, so none is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(headers)")
    }
}

/// No headers.
impl HeaderLookup for () {
    fn lines<'a>(&'a self, _: &str) -> HeaderLines<'a> {
        HeaderLines::new()
    }
}

impl HeaderLookup for http::HeaderMap {
    fn lines<'a>(&'a self, name: &str) -> HeaderLines<'a> {
        self.get_all(name).iter().map(http::HeaderValue::as_bytes).collect()
    }
}

/// For whom, and by which authorities, a connection's client certificate was verified. It says
/// nothing to any other tenant, and nothing once the tenant's authorities have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedClient<'a> {
    /// The tenant whose TLS name the connection was made for.
    pub tenant: TenantId,
    /// The authorities that the tenant had then.
    pub authorities: &'a CertificatePem,
}

/// A header that may stand once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Single<'a> {
    /// Not sent.
    #[default]
    Missing,
    /// Sent once.
    One(&'a [u8]),
    /// Sent more than once: nobody can say which is meant.
    Repeated,
}

impl<'a> Single<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = if *self == Self::Missing { Self::One(value) } else { Self::Repeated };
    }

    /// The value, if sent exactly once.
    #[must_use]
    pub fn one(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
            Self::Missing | Self::Repeated => None,
        }
    }
}

/// The headers that matter for a decision.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeaderFacts<'a> {
    /// `Host`, or `:authority` in HTTP/2.
    pub host: Single<'a>,
    /// `X-API-Key`.
    pub api_key: Single<'a>,
    /// `Authorization`.
    pub authorization: Single<'a>,
    /// `Content-Length`.
    pub content_length: Single<'a>,
    /// `Transfer-Encoding`.
    pub transfer_encoding: Single<'a>,
    /// One of the last two was written with `_`, which some servers read as `-`.
    pub framing_in_disguise: bool,
}

impl<'a> HeaderFacts<'a> {
    /// Takes the facts from header names (any case) and values, in one pass.
    pub fn collect(headers: impl IntoIterator<Item = (impl AsRef<[u8]>, &'a [u8])>) -> Self {
        let mut facts = Self::default();
        for (name, value) in headers {
            let name = name.as_ref();
            if let Some(header) = facts.named(name) {
                header.add(value);
            } else if matches!(name.len(), 14 | 17) {
                facts.framing_in_disguise |= name.eq_ignore_ascii_case(b"content_length")
                    || name.eq_ignore_ascii_case(b"transfer_encoding");
            }
        }
        facts
    }

    /// Length first: almost every header is none of these, and is ruled out by one comparison.
    fn named(&mut self, name: &[u8]) -> Option<&mut Single<'a>> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => Some(&mut self.host),
            9 if name.eq_ignore_ascii_case(b"x-api-key") => Some(&mut self.api_key),
            13 if name.eq_ignore_ascii_case(b"authorization") => Some(&mut self.authorization),
            14 if name.eq_ignore_ascii_case(b"content-length") => Some(&mut self.content_length),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                Some(&mut self.transfer_encoding)
            }
            _ => None,
        }
    }
}
