//! Routes: which requests go to which upstream, and what they must have.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    AuthRequirement, DomainPattern, FeatureId, Invalid, RouteId, Scope, TenantId, UpstreamId,
};

const MAX_PREFIX_BYTES: usize = 1024;
const MAX_METHOD_BYTES: usize = 32;

/// The start of a path, in whole segments: `/reports` covers `/reports` and `/reports/2026`, not
/// `/reports-old`. Kept without a final slash, except for `/` itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PathPrefix(Arc<str>);

impl PathPrefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for PathPrefix {
    fn default() -> Self {
        Self("/".into())
    }
}

impl FromStr for PathPrefix {
    type Err = Invalid;

    /// Only characters that need no percent-encoding are taken, so that a prefix has one spelling.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let rule = "start with `/`; segments of letters, digits and -._~!$&'()*+,=:@, none of them empty, `.` or `..`";
        let refused = || Invalid::new("path prefix", text, rule);
        let rest = text.strip_prefix('/').ok_or_else(refused)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() && text.len() <= 1 {
            return Ok(Self::default());
        }
        if text.len() <= MAX_PREFIX_BYTES && rest.split('/').all(is_segment) {
            Ok(Self(format!("/{rest}").into()))
        } else {
            Err(refused())
        }
    }
}

/// RFC 3986, section 3.3: `pchar` without percent-encoding, and without `;`, which begins a parameter
/// that is not part of what routes are found by.
fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte))
}

/// A request method in upper case (RFC 9110, section 9).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Method(Arc<str>);

impl Method {
    /// The method as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Method {
    type Err = Invalid;

    /// Methods are case-sensitive and all registered ones are upper case: `get` would never match.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_method = (1..=MAX_METHOD_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if is_method {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::new("method", text, "write it in upper case, such as GET"))
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
    };
}

text_conversions!(PathPrefix);
text_conversions!(Method);

/// Which requests a route is for. What is left out matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteMatch {
    /// The hosts; any, if empty.
    #[serde(default)]
    pub hosts: BTreeSet<DomainPattern>,
    /// The start of the path.
    #[serde(default)]
    pub path_prefix: PathPrefix,
    /// The methods; any, if empty. `GET` includes `HEAD`. A request with another method goes on to the
    /// next route that matches: to close a path for other methods, give it a route that demands what
    /// they lack.
    #[serde(default)]
    pub methods: BTreeSet<Method>,
}

/// A rule that sends matching requests to an upstream.
///
/// Among the routes that match, a tenant's own come before shared ones, then an exact host before a
/// wildcard before any host, then the longer path, then one that names methods, then the smaller id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Chosen by the operator.
    pub id: RouteId,
    /// The tenant it belongs to; none for a route of all tenants.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// Which requests it is for.
    #[serde(default, rename = "match")]
    pub matches: RouteMatch,
    /// What a request must prove in addition to what its tenant asks for.
    #[serde(default = "nothing_more")]
    pub auth: AuthRequirement,
    /// Features that must be on for the tenant.
    #[serde(default)]
    pub require_features: BTreeSet<FeatureId>,
    /// Scopes that the credential must have.
    #[serde(default)]
    pub require_scopes: BTreeSet<Scope>,
    /// Where the requests go.
    pub upstream: UpstreamId,
    /// Whether the client's credential is passed on.
    #[serde(default)]
    pub forward_credential: bool,
}

fn nothing_more() -> AuthRequirement {
    AuthRequirement::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_one_spelling() {
        let parse = |text: &str| text.parse::<PathPrefix>().map(|prefix| prefix.to_string());
        assert_eq!(parse("/").unwrap(), "/");
        assert_eq!(parse("/reports/").unwrap(), "/reports");
        assert_eq!(parse("/a/b:c@d").unwrap(), "/a/b:c@d");
        for bad in [
            "", "reports", "//", "/a//b", "/a/../b", "/.", "/a%20b", "/a b", "/a?b", "/a#b", "/ä",
            "/a\\b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn methods_are_upper_case() {
        assert!("GET".parse::<Method>().is_ok());
        assert!("M-SEARCH".parse::<Method>().is_ok());
        for bad in ["", "get", "G T", "GET\n"] {
            assert!(bad.parse::<Method>().is_err(), "{bad}");
        }
    }
}
