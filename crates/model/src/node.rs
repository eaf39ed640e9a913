//! What a node, one place where a proxy runs, is called.

use std::{fmt, str::FromStr};

use crate::Invalid;
use serde::{Deserialize, Serialize};

/// The name under which a proxy subscribes: 1 to 253 ASCII letters, digits, `.`, `-` and `_`, which
/// every host and pod name is. Two proxies of one control plane need two names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

impl NodeName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "openapi")]
crate::openapi::text_schema!(
    NodeName,
    crate::openapi::text("The name of a node.", "^[A-Za-z0-9._-]+$", 1..=253)
);

impl FromStr for NodeName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if (1..=253).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(
                "node name",
                text,
                "it is 1 to 253 ASCII letters, digits, `.`, `-` and `_`",
            ))
        }
    }
}

impl TryFrom<String> for NodeName {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> String {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
