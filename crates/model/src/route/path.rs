//! The paths that routes are found by, and that they are rewritten to.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Invalid;

const MAX_PATH_BYTES: usize = 1024;

/// The start of a path, in whole segments: `/reports` covers `/reports` and `/reports/2026`, not
/// `/reports-old`. Kept without a final slash, except for `/` itself.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^/", max_length = 1024))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PathPrefix(Arc<str>);

impl PathPrefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many segments it has; none for `/`.
    #[must_use]
    pub fn segments(&self) -> usize {
        if self.is_root() { 0 } else { self.0.bytes().filter(|byte| *byte == b'/').count() }
    }

    /// Whether it is `/`, which every path begins with.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
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
        if text.len() <= MAX_PATH_BYTES && rest.split('/').all(is_segment) {
            Ok(Self(format!("/{rest}").into()))
        } else {
            Err(refused())
        }
    }
}

/// One whole path. A final slash makes it another path, as it does for many servers.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^/", max_length = 1024))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ExactPath(Arc<str>);

impl ExactPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExactPath {
    type Err = Invalid;

    /// Takes what a [`PathPrefix`] takes, and keeps a final slash.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let rule = "start with `/`; segments of letters, digits and -._~!$&'()*+,=:@, none of them empty, `.` or `..`; a `/` may be last";
        match text.parse::<PathPrefix>() {
            Ok(_) => Ok(Self(text.into())),
            Err(_) => Err(Invalid::new("path", text, rule)),
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

text_conversions!(PathPrefix);
text_conversions!(ExactPath);

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
            assert!(bad.parse::<ExactPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_knows_its_segments() {
        for (prefix, segments) in [("/", 0), ("/a", 1), ("/a/", 1), ("/a/b", 2)] {
            assert_eq!(prefix.parse::<PathPrefix>().unwrap().segments(), segments, "{prefix}");
        }
    }

    #[test]
    fn an_exact_path_keeps_its_final_slash() {
        for path in ["/", "/login", "/login/"] {
            assert_eq!(path.parse::<ExactPath>().unwrap().as_str(), path);
        }
    }
}
