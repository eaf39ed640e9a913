//! Host names and the patterns by which a tenant owns them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The longest host name in presentation form (RFC 1035, section 2.3.4, less the final dot).
pub const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

const RULE: &str = "write a DNS name such as www.example.com: labels of a-z, 0-9 and `-`, no port, \
                    no address, international names in their xn-- form";

/// A host name in lower case, without port and final dot. Never an IP address.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = Hostname, max_length = 253))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Host(Arc<str>);

impl Host {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = Invalid;

    /// Upper case is folded: host names compare without case (RFC 4343).
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_dns_name(text) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(Invalid::new("host", text, RULE))
        }
    }
}

/// A host, or one leading wildcard label and a host: `*.example.com` owns `a.example.com`, and
/// neither `example.com` nor `a.b.example.com`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DomainPattern {
    /// This host and no other.
    Exact(Host),
    /// Any single label in front of this host.
    Wildcard(Host),
}

impl FromStr for DomainPattern {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused =
            |_| Invalid::new("domain", text, RULE.to_owned() + "; `*.` may stand in front");
        match text.strip_prefix("*.") {
            Some(parent) => parent.parse().map(Self::Wildcard).map_err(refused),
            None => text.parse().map(Self::Exact).map_err(refused),
        }
    }
}

macro_rules! text_conversions {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

#[cfg(feature = "openapi")]
crate::openapi::text_schema!(
    DomainPattern,
    crate::openapi::text(
        "A host name, or `*.` and a host name: any single label in front of it.",
        r"^(\*\.)?[A-Za-z0-9.-]+$",
        1..=255
    )
);

text_conversions!(Host);
text_conversions!(DomainPattern);

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Whether the text is a DNS name as hosts use it: letters, digits and hyphens (RFC 1123, section
/// 2.1), whose last label is not a number, so that it cannot be read as an IPv4 address (the WHATWG
/// URL standard's "ends in a number" rule).
#[must_use]
pub fn is_dns_name(text: &str) -> bool {
    // One pass over the bytes: this is on the path of every request.
    let (mut label_bytes, mut is_number, mut previous) = (0, true, b'.');
    for byte in text.bytes() {
        match byte {
            b'.' if label_bytes == 0 || previous == b'-' => return false,
            b'.' => (label_bytes, is_number) = (0, true),
            b'-' if label_bytes == 0 => return false,
            b'0'..=b'9' => label_bytes += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'-' => (label_bytes, is_number) = (label_bytes + 1, false),
            _ => return false,
        }
        if label_bytes > MAX_LABEL_BYTES {
            return false;
        }
        previous = byte;
    }
    text.len() <= MAX_HOST_BYTES && label_bytes > 0 && previous != b'-' && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_folded_and_checked() {
        assert_eq!("WWW.Example.COM".parse::<Host>().unwrap().as_str(), "www.example.com");
        for good in ["localhost", "a.b", "xn--bcher-kva.example", "1.example", "a--b.example"] {
            assert!(good.parse::<Host>().is_ok(), "{good}");
        }
        let long_label = format!("{}.com", "x".repeat(64));
        let long_name = ["x".repeat(60).as_str(); 5].join(".");
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a.com",
            "a-.com",
            "a_b.com",
            "ä.com",
            "a b",
            "a:80",
            "[::1]",
            "127.0.0.1",
            "1",
            "*.a.com",
            &long_label,
            &long_name,
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_wildcard_label_may_lead() {
        let wildcard: DomainPattern = "*.Example.com".parse().unwrap();
        assert_eq!(wildcard, DomainPattern::Wildcard("example.com".parse().unwrap()));
        assert_eq!(wildcard.to_string(), "*.example.com");
        for bad in ["*", "*.", "*.*.a.com", "a.*.com", "*a.com", "*.127.0.0.1"] {
            assert!(bad.parse::<DomainPattern>().is_err(), "{bad}");
        }
    }
}
