//! Where a route's requests go.

use std::{fmt, num::NonZeroU16, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{ExactPath, PathPrefix};
use crate::{Host, Invalid, UpstreamId};

/// The most upstreams one route may split its requests over.
const MAX_SPLIT: usize = 16;

/// Where a route's requests go. In JSON it is one field of the route, named after the variant.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// All to one upstream.
    Upstream(UpstreamId),
    /// Each tenant's to one of several upstreams, always the same one.
    Upstreams(WeightedUpstreams),
    /// To no upstream: the client is told to ask elsewhere.
    Redirect(Redirect),
}

impl Target {
    /// The upstreams it may send requests to.
    pub fn upstreams(&self) -> impl Iterator<Item = &UpstreamId> {
        let (one, many) = match self {
            Self::Upstream(upstream) => (Some(upstream), &[][..]),
            Self::Upstreams(split) => (None, split.as_slice()),
            Self::Redirect(_) => (None, &[][..]),
        };
        one.into_iter().chain(many.iter().map(|weighted| &weighted.upstream))
    }
}

/// One upstream of several.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedUpstream {
    /// Which upstream.
    pub upstream: UpstreamId,
    /// Its share of the tenants, relative to the other weights.
    #[cfg_attr(feature = "openapi", schema(value_type = u16, minimum = 1))]
    pub weight: NonZeroU16,
}

/// One to 16 different upstreams. A tenant keeps its upstream; when weights change, only as
/// many tenants move as the new shares need.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = Vec<WeightedUpstream>, min_items = 1, max_items = 16))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<WeightedUpstream>")]
pub struct WeightedUpstreams(Vec<WeightedUpstream>);

impl WeightedUpstreams {
    /// The upstreams, in the order they were given; never empty.
    #[must_use]
    pub fn as_slice(&self) -> &[WeightedUpstream] {
        &self.0
    }
}

impl TryFrom<Vec<WeightedUpstream>> for WeightedUpstreams {
    type Error = Invalid;

    fn try_from(upstreams: Vec<WeightedUpstream>) -> Result<Self, Invalid> {
        let refused =
            |value: &str, rule: &'static str| Err(Invalid::new("list of upstreams", value, rule));
        if !(1..=MAX_SPLIT).contains(&upstreams.len()) {
            return refused(&upstreams.len().to_string(), "a route has 1 to 16 upstreams");
        }
        let mut ids: Vec<_> = upstreams.iter().map(|weighted| &weighted.upstream).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(pair) => refused(&format!("{pair:?}"), "an upstream may stand once"),
            None => Ok(Self(upstreams)),
        }
    }
}

/// The status of a redirect (RFC 9110, section 15.4).
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = u16, minimum = 301, maximum = 308))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct RedirectStatus(u16);

impl Default for RedirectStatus {
    fn default() -> Self {
        Self(302)
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = Invalid;

    fn try_from(status: u16) -> Result<Self, Invalid> {
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            Ok(Self(status))
        } else {
            let rule = "use 301, 302, 303, 307 or 308";
            Err(Invalid::new("redirect status", &status.to_string(), rule))
        }
    }
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> Self {
        status.0
    }
}

impl FromStr for RedirectStatus {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::try_from(text.parse::<u16>().unwrap_or_default())
    }
}

/// What comes before `://`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is named after its text")]
pub enum Scheme {
    Http,
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Where clients are sent. What is not given stays as it was asked for; the query always does.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRedirect")]
pub struct Redirect {
    /// The status.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub status: RedirectStatus,
    /// Another scheme. The port then becomes that scheme's own, unless one is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Another port.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u16>, minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<NonZeroU16>,
    /// Another path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<ExactPath>,
    /// What takes the place of the matched prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<PathPrefix>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRedirect {
    #[serde(default)]
    status: RedirectStatus,
    #[serde(default)]
    scheme: Option<Scheme>,
    #[serde(default)]
    host: Option<Host>,
    #[serde(default)]
    port: Option<NonZeroU16>,
    #[serde(default)]
    path: Option<ExactPath>,
    #[serde(default)]
    path_prefix: Option<PathPrefix>,
}

impl TryFrom<RawRedirect> for Redirect {
    type Error = Invalid;

    fn try_from(raw: RawRedirect) -> Result<Self, Invalid> {
        let RawRedirect { status, scheme, host, port, path, path_prefix } = raw;
        let refused = |rule: &'static str| Err(Invalid::new("redirect", "", rule));
        if path.is_some() && path_prefix.is_some() {
            return refused("it has `path` or `path_prefix`, not both");
        }
        let elsewhere = scheme.is_some() || host.is_some() || port.is_some();
        if !elsewhere && path.is_none() && path_prefix.is_none() {
            return refused("say where to: one of `scheme`, `host`, `port`, `path`, `path_prefix`");
        }
        Ok(Self { status, scheme, host, port, path, path_prefix })
    }
}

/// How a request is changed before it goes to an upstream.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// What takes the place of the matched prefix, or of the whole path where that was matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<PathPrefix>,
    /// What takes the place of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
}

impl Rewrite {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.path_prefix.is_none() && self.host.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_has_different_upstreams_with_weights() {
        let parse = |json: &str| serde_json::from_str::<WeightedUpstreams>(json);
        assert!(parse(r#"[{"upstream":"a","weight":95},{"upstream":"b","weight":5}]"#).is_ok());
        for bad in [
            "[]",
            r#"[{"upstream":"a","weight":0}]"#,
            r#"[{"upstream":"a"}]"#,
            r#"[{"upstream":"a","weight":1},{"upstream":"a","weight":2}]"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many: Vec<_> = (0..17)
            .map(|number| serde_json::json!({"upstream": format!("u{number}"), "weight": 1}))
            .collect();
        assert!(serde_json::from_value::<WeightedUpstreams>(many.into()).is_err());
    }

    #[test]
    fn a_redirect_leads_somewhere() {
        let parse = |json: &str| serde_json::from_str::<Redirect>(json);
        assert_eq!(u16::from(parse(r#"{"scheme":"https"}"#).unwrap().status), 302);
        assert!(parse(r#"{"status":308,"host":"new.example","path_prefix":"/v2"}"#).is_ok());
        for bad in [
            "{}",
            r#"{"status":301}"#,
            r#"{"status":200,"path":"/x"}"#,
            r#"{"path":"//evil.example"}"#,
            r#"{"path":"/\\evil.example"}"#,
            r#"{"path":"https://evil.example"}"#,
            r#"{"path":"/x\r\nSet-Cookie: a=b"}"#,
            r#"{"host":"evil.example/x"}"#,
            r#"{"host":"evil.example:80"}"#,
            r#"{"scheme":"javascript"}"#,
            r#"{"port":0}"#,
            r#"{"path":"/a","path_prefix":"/b"}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
