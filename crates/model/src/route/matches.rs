//! Which requests a route is for.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{ExactPath, HeaderMatches, PathPrefix};
use crate::{DomainPattern, Invalid};

const MAX_METHOD_BYTES: usize = 32;

/// A request method in upper case (RFC 9110, section 9).
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[A-Z-]+$", min_length = 1, max_length = 32))]
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

text_conversions!(Method);

/// Which requests a route is for. What is left out matches everything.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawRouteMatch")]
pub struct RouteMatch {
    /// The hosts; any, if empty.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub hosts: BTreeSet<DomainPattern>,
    /// The start of the path.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub path_prefix: PathPrefix,
    /// The methods; any, if empty. `GET` includes `HEAD`. A request with another method goes on to the
    /// next route that matches: to close a path for other methods, give it a route that demands what
    /// they lack.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub methods: BTreeSet<Method>,
    /// The whole path. A route has this or a prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<ExactPath>,
    /// Headers that must all be there; a request without one goes on to the next route that matches.
    #[serde(skip_serializing_if = "HeaderMatches::is_empty")]
    pub headers: HeaderMatches,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRouteMatch {
    #[serde(default)]
    hosts: BTreeSet<DomainPattern>,
    #[serde(default)]
    path_prefix: Option<PathPrefix>,
    #[serde(default)]
    methods: BTreeSet<Method>,
    #[serde(default)]
    path: Option<ExactPath>,
    #[serde(default)]
    headers: HeaderMatches,
}

impl TryFrom<RawRouteMatch> for RouteMatch {
    type Error = Invalid;

    fn try_from(raw: RawRouteMatch) -> Result<Self, Invalid> {
        let RawRouteMatch { hosts, path_prefix, methods, path, headers } = raw;
        let path_prefix = path_prefix.unwrap_or_default();
        if path.is_some() && !path_prefix.is_root() {
            let rule =
                "a route matches a whole path or a prefix: leave out `path` or `path_prefix`";
            return Err(Invalid::new("route match", path_prefix.as_str(), rule));
        }
        Ok(Self { hosts, path_prefix, methods, path, headers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_upper_case() {
        assert!("GET".parse::<Method>().is_ok());
        assert!("M-SEARCH".parse::<Method>().is_ok());
        for bad in ["", "get", "G T", "GET\n"] {
            assert!(bad.parse::<Method>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_or_a_prefix() {
        let parse = |json: &str| serde_json::from_str::<RouteMatch>(json);
        assert!(parse(r#"{"path":"/a","path_prefix":"/"}"#).is_ok());
        assert!(parse(r#"{"path":"/a","path_prefix":"/a"}"#).is_err());
        assert!(parse(r#"{"pth":"/a"}"#).is_err());
    }
}
