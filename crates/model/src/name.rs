//! Names that people choose: slugs, plan and route ids, feature and limit names, scopes.
//!
//! All are short, lower-case ASCII and safe in a URL path, a header value and a metric label, so no
//! later layer has to escape them. They are reference counted because compiled tables share them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The longest name of any kind, in bytes: one DNS label.
pub const MAX_NAME_BYTES: usize = 63;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $inner:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                if is_name(text, $inner) { Ok(Self(text.into())) } else { Err(Invalid::new($what, text, $rule)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        #[cfg(feature = "openapi")]
        crate::openapi::text_schema!($name, crate::openapi::name($rule, $inner));

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A tenant's readable name in URLs. It may change; the tenant's id does not.
    Slug, "slug", b"-", "use 1 to 63 of a-z, 0-9 and `-`, with a letter or digit first and last"
);
name!(
    /// A plan's identifier, chosen by the operator.
    PlanId, "plan id", b"-_.", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last"
);
name!(
    /// A group's identifier, chosen by the operator.
    GroupId, "group id", b"-_.", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last"
);
name!(
    /// A route's identifier, unique on the whole platform.
    RouteId, "route id", b"-_.", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last"
);
name!(
    /// An upstream's identifier.
    UpstreamId, "upstream id", b"-_.", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last"
);
name!(
    /// Where servers stand, or which cell they belong to, such as `eu` or `eu-west-1`.
    RegionId, "region", b"-_.", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last"
);
name!(
    /// A feature's name.
    FeatureId, "feature name", b"-_.", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last"
);
name!(
    /// A rate limit's name within one plan or tenant; it is what an override refers to.
    LimitName, "limit name", b"-_.", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last"
);
name!(
    /// What is counted, such as `devices`.
    MeterName, "meter name", b"-_", "use 1 to 63 of a-z, 0-9, `-` and `_`, with a letter or digit first and last"
);
name!(
    /// What a credential is allowed to do, such as `reports:read`.
    Scope, "scope", b"-_.:", "use 1 to 63 of a-z, 0-9, `-`, `_`, `.` and `:`, with a letter or digit first and last"
);
name!(
    /// A role's name within one tenant.
    RoleId, "role", b"-_.", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last"
);

fn is_name(text: &str, inner: &[u8]) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= MAX_NAME_BYTES
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || inner.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lower_case_and_start_and_end_well() {
        for good in ["a", "acme", "acme-2", "0", &"x".repeat(63)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "ä", "a b", "a/b", &"x".repeat(64)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
        assert!("pro_v2.1".parse::<PlanId>().is_ok());
        assert!("reports:read".parse::<Scope>().is_ok());
        assert!("reports:read".parse::<FeatureId>().is_err());
    }

    #[test]
    fn json_checks_too() {
        assert!(serde_json::from_str::<Slug>("\"Acme\"").is_err());
        assert_eq!(serde_json::to_string(&"acme".parse::<Slug>().unwrap()).unwrap(), "\"acme\"");
    }
}
