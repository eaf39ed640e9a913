//! From which addresses a tenant may be reached.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The most networks in one list.
pub const MAX_NETWORKS: usize = 10_000;

/// How the allow list is read. The deny list wins in every mode.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// Any address that is not denied.
    #[default]
    Public,
    /// Only addresses in the allow list.
    Allowlist,
    /// Addresses in the allow list pass without a credential; all others need one.
    Hybrid,
}

/// A tenant's access policy.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// How `allow` is read.
    #[serde(default)]
    pub mode: AccessMode,
    /// Networks in CIDR form; a plain address stands for itself alone.
    #[serde(default)]
    pub allow: Networks,
    /// Networks that are always refused.
    #[serde(default)]
    pub deny: Networks,
}

/// A list of networks in CIDR form, as it was written.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, max_items = 10000))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// The networks, in the order they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[IpNet] {
        &self.0
    }

    /// Whether the list names no network.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = Invalid;

    /// Parses each entry. A network with bits set behind its prefix (`10.0.0.1/8`) is refused: it is
    /// more often a mistake than a shorthand, and the mistake would open or close a whole network.
    fn try_from(texts: Vec<String>) -> Result<Self, Invalid> {
        if texts.len() > MAX_NETWORKS {
            return Err(Invalid::new(
                "network list",
                "",
                format!("at most {MAX_NETWORKS} networks fit"),
            ));
        }
        texts.iter().map(|text| network(text)).collect::<Result<_, _>>().map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, Invalid> {
    let refused = |rule| Invalid::new("network", text, rule);
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text
        .parse()
        .map_err(|_| refused("write an address or a network in CIDR form, such as 10.0.0.0/8"))?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(refused("bits are set behind the prefix; write the network's first address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_checked() {
        let parse = |text: &str| Networks::try_from(vec![text.to_owned()]);
        for good in ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "0.0.0.0/0"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "example.com", "10.0.0.0/8 "] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
