//! Endpoints: the servers of an upstream, and where they listen.

use std::{fmt, net::SocketAddr, num::NonZeroU16, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Invalid, host::is_dns_name};

/// The most endpoints in one upstream.
pub const MAX_ENDPOINTS: usize = 256;

/// A server's address: an IP address or a DNS name, and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EndpointAddress {
    /// An address that needs no look-up.
    Socket(SocketAddr),
    /// A name that the proxy looks up.
    Name {
        /// The DNS name, in lower case.
        host: String,
        /// The TCP port.
        port: u16,
    },
}

impl FromStr for EndpointAddress {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || {
            Invalid::new(
                "endpoint address",
                text,
                "write host:port, such as 10.0.0.1:8080 or app.internal:8080",
            )
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 { Err(refused()) } else { Ok(Self::Socket(address)) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port_is_plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if port > 0 && port_is_plain && is_dns_name(host) => {
                Ok(Self::Name { host: host.to_ascii_lowercase(), port })
            }
            _ => Err(refused()),
        }
    }
}

#[cfg(feature = "openapi")]
crate::openapi::text_schema!(
    EndpointAddress,
    crate::openapi::text(
        "An IP address or a DNS name, and a port, such as `10.0.0.1:8080`.",
        "^.+:[0-9]{1,5}$",
        3..=259
    )
);

impl TryFrom<String> for EndpointAddress {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<EndpointAddress> for String {
    fn from(address: EndpointAddress) -> String {
        address.to_string()
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => write!(f, "{address}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Debug for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One server of an upstream.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where it listens.
    pub address: EndpointAddress,
    /// Its share of the requests, relative to the other endpoints' weights.
    #[cfg_attr(feature = "openapi", schema(value_type = u16, minimum = 1))]
    #[serde(default = "one")]
    pub weight: NonZeroU16,
}

fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}

/// One to [`MAX_ENDPOINTS`] endpoints with different addresses.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = Vec<Endpoint>, min_items = 1, max_items = 256))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Endpoint>")]
pub struct Endpoints(Vec<Endpoint>);

impl Endpoints {
    /// The endpoints, in the order they were given; never empty.
    #[must_use]
    pub fn as_slice(&self) -> &[Endpoint] {
        &self.0
    }
}

impl TryFrom<Vec<Endpoint>> for Endpoints {
    type Error = Invalid;
    fn try_from(endpoints: Vec<Endpoint>) -> Result<Self, Invalid> {
        let refused =
            |value: &str, rule: &'static str| Err(Invalid::new("list of endpoints", value, rule));
        if endpoints.is_empty() || endpoints.len() > MAX_ENDPOINTS {
            return refused("", "an upstream has 1 to 256 endpoints");
        }
        let mut addresses: Vec<_> = endpoints.iter().map(|endpoint| &endpoint.address).collect();
        addresses.sort_unstable();
        match addresses.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(pair) => refused(&format!("{pair:?}"), "an address may stand once"),
            None => Ok(Self(endpoints)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for good in ["127.0.0.1:9000", "[::1]:80", "app.internal:8080", "localhost:1"] {
            assert_eq!(good.parse::<EndpointAddress>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "127.0.0.1",
            "127.0.0.1:0",
            "app:0",
            "app:+1",
            "app:99999",
            "http://a:1",
            "::1:80",
            ":80",
        ] {
            assert!(bad.parse::<EndpointAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_upstream_has_different_endpoints() {
        let parse = serde_json::from_str::<Endpoints>;
        assert!(parse(r#"[{"address":"127.0.0.1:1"}]"#).is_ok());
        assert!(parse("[]").is_err());
        assert!(
            parse(r#"[{"address":"127.0.0.1:1"},{"address":"127.0.0.1:1","weight":2}]"#).is_err()
        );
        assert!(parse(r#"[{"address":"127.0.0.1:1","weight":0}]"#).is_err());
    }
}
