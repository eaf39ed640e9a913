//! Which server a request goes to.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Invalid;

const MAX_HEADER_BYTES: usize = 64;

/// How a server is chosen.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = BalancePolicy))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// In turn, each as often as its weight says.
    #[default]
    RoundRobin,
    /// The less busy of two that are drawn by weight.
    LeastRequests,
    /// Always the same for the same caller, as long as it is there.
    ConsistentHash,
}

/// What makes two requests of the same caller.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashOn {
    /// The tenant.
    #[default]
    Tenant,
    /// The API key; the client's address if there is none.
    Key,
    /// The client's address.
    Client,
    /// A request header; the client's address if it is not sent.
    Header(HashHeader),
}

/// The name of a request header, in lower case.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[A-Za-z0-9-]+$", min_length = 1, max_length = 64))]
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HashHeader(Arc<str>);

impl HashHeader {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HashHeader {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_name = (1..=MAX_HEADER_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_name {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            let rule = "write 1 to 64 letters, digits and hyphens, such as x-user";
            Err(Invalid::new("header name", text, rule))
        }
    }
}

impl TryFrom<String> for HashHeader {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Debug for HashHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// How requests are spread over the servers.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawBalance")]
pub struct Balance {
    /// How a server is chosen.
    policy: Policy,
    /// What is hashed, where the policy is `consistent_hash`; the tenant, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_on: Option<HashOn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBalance {
    policy: Policy,
    #[serde(default)]
    hash_on: Option<HashOn>,
}

impl Balance {
    /// How a server is chosen.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What is hashed; none unless the policy is [`Policy::ConsistentHash`].
    #[must_use]
    pub fn hash_on(&self) -> Option<HashOn> {
        (self.policy == Policy::ConsistentHash).then(|| self.hash_on.clone().unwrap_or_default())
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl TryFrom<RawBalance> for Balance {
    type Error = Invalid;
    fn try_from(raw: RawBalance) -> Result<Self, Invalid> {
        if raw.hash_on.is_some() && raw.policy != Policy::ConsistentHash {
            let rule = "hash_on belongs to the policy consistent_hash";
            return Err(Invalid::new("balance", "hash_on", rule));
        }
        Ok(Self { policy: raw.policy, hash_on: raw.hash_on })
    }
}
