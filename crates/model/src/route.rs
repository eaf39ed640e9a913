//! Routes: which requests go to which upstream, what they must have, and what is changed on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU32, NonZeroU64},
};

use serde::{Deserialize, Serialize};

use crate::{AuthRequirement, FeatureId, Invalid, RouteId, Scope, TenantId, UpstreamId};

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

mod header;
mod matches;
mod path;
mod target;

pub use header::{HeaderEdits, HeaderMatch, HeaderMatches, HeaderName, HeaderText};
pub use matches::{Method, RouteMatch};
pub use path::{ExactPath, PathPrefix};
pub use target::{
    Redirect, RedirectStatus, Rewrite, Scheme, Target, WeightedUpstream, WeightedUpstreams,
};

const MAX_CLAIMS: usize = 16;
const MAX_CLAIM_VALUES: usize = 64;
const MAX_CLAIM_BYTES: usize = 256;
/// The longest time-out, a day: past it a time-out is none.
const MAX_TIMEOUT_MS: u32 = 86_400_000;

/// A rule for the requests that it matches: where they go, and what they must have.
///
/// Among the routes that match, a tenant's own come before shared ones, then an exact host before a
/// wildcard before any host, then an exact path before the longest prefix, then one that names
/// methods, then the one that asks for more headers, then the smaller id.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRoute")]
pub struct Route {
    /// Chosen by the operator.
    pub id: RouteId,
    /// The tenant it belongs to; none for a route of all tenants.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub tenant: Option<TenantId>,
    /// Which requests it is for.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    #[serde(rename = "match")]
    pub matches: RouteMatch,
    /// What a request must prove in addition to what its tenant asks for.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub auth: AuthRequirement,
    /// Features that must be on for the tenant.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub require_features: BTreeSet<FeatureId>,
    /// Scopes that the credential must have.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub require_scopes: BTreeSet<Scope>,
    /// Where the requests go.
    #[serde(flatten)]
    pub target: Target,
    /// Whether the client's credential is passed on.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub forward_credential: bool,
    /// What the token must say: one of the texts for each of the claims.
    #[serde(skip_serializing_if = "RequiredClaims::is_empty")]
    pub require_claims: RequiredClaims,
    /// Whether requests need a tenant.
    #[serde(skip_serializing_if = "RouteTenancy::is_required")]
    pub tenancy: RouteTenancy,
    /// What is changed of a request's path and host.
    #[serde(skip_serializing_if = "Rewrite::is_empty")]
    pub rewrite: Rewrite,
    /// What is changed of a request's headers.
    #[serde(skip_serializing_if = "HeaderEdits::is_empty")]
    pub request_headers: HeaderEdits,
    /// What is changed of an answer's headers.
    #[serde(skip_serializing_if = "HeaderEdits::is_empty")]
    pub response_headers: HeaderEdits,
    /// The largest request body, in bytes; the tenant's own limit holds too.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body_bytes: Option<NonZeroU64>,
    /// Time-outs in place of the upstream's.
    #[serde(skip_serializing_if = "RouteTimeouts::is_empty")]
    pub timeouts: RouteTimeouts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    id: RouteId,
    #[serde(default)]
    tenant: Option<TenantId>,
    #[serde(default, rename = "match")]
    matches: RouteMatch,
    #[serde(default = "nothing_more")]
    auth: AuthRequirement,
    #[serde(default)]
    require_features: BTreeSet<FeatureId>,
    #[serde(default)]
    require_scopes: BTreeSet<Scope>,
    #[serde(default)]
    upstream: Option<UpstreamId>,
    #[serde(default)]
    upstreams: Option<WeightedUpstreams>,
    #[serde(default)]
    redirect: Option<Redirect>,
    #[serde(default)]
    forward_credential: bool,
    #[serde(default)]
    require_claims: RequiredClaims,
    #[serde(default)]
    tenancy: RouteTenancy,
    #[serde(default)]
    rewrite: Rewrite,
    #[serde(default)]
    request_headers: HeaderEdits,
    #[serde(default)]
    response_headers: HeaderEdits,
    #[serde(default)]
    request_body_bytes: Option<NonZeroU64>,
    #[serde(default)]
    timeouts: RouteTimeouts,
}

fn nothing_more() -> AuthRequirement {
    AuthRequirement::None
}

impl TryFrom<RawRoute> for Route {
    type Error = Invalid;

    fn try_from(raw: RawRoute) -> Result<Self, Invalid> {
        let refused = |rule: &'static str| Invalid::new("route", raw.id.as_str(), rule);
        let target = match (raw.upstream, raw.upstreams, raw.redirect) {
            (Some(upstream), None, None) => Target::Upstream(upstream),
            (None, Some(upstreams), None) => Target::Upstreams(upstreams),
            (None, None, Some(redirect)) => Target::Redirect(redirect),
            _ => return Err(refused("it has one of `upstream`, `upstreams` and `redirect`")),
        };
        let route = Self {
            id: raw.id.clone(),
            tenant: raw.tenant,
            matches: raw.matches,
            auth: raw.auth,
            require_features: raw.require_features,
            require_scopes: raw.require_scopes,
            target,
            forward_credential: raw.forward_credential,
            require_claims: raw.require_claims,
            tenancy: raw.tenancy,
            rewrite: raw.rewrite,
            request_headers: raw.request_headers,
            response_headers: raw.response_headers,
            request_body_bytes: raw.request_body_bytes,
            timeouts: raw.timeouts,
        };
        route.contradiction().map_or(Ok(route), |rule| Err(refused(rule)))
    }
}

impl Route {
    /// What cannot stand together, because a part of it would be without effect.
    fn contradiction(&self) -> Option<&'static str> {
        let demands = self.auth != AuthRequirement::None
            || !self.require_features.is_empty()
            || !self.require_scopes.is_empty()
            || !self.require_claims.is_empty();
        let is_exempt = self.tenancy == RouteTenancy::Exempt;
        let for_upstream = !self.rewrite.is_empty()
            || !self.request_headers.is_empty()
            || !self.timeouts.is_empty();
        if is_exempt && self.tenant.is_some() {
            Some("only a shared route can be exempt from tenancy")
        } else if is_exempt && demands {
            Some(
                "a route that is exempt from tenancy can demand nothing that a tenant or its credentials have",
            )
        } else if matches!(self.target, Target::Redirect(_)) && for_upstream {
            Some(
                "a redirect sends nothing to an upstream: it has no `rewrite`, `request_headers` or `timeouts`",
            )
        } else {
            None
        }
    }
}

/// Whether a route's requests need a tenant.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTenancy {
    /// They do.
    #[default]
    Required,
    /// They pass without one, whatever host and credentials they carry: no tenant is looked for, none
    /// is named to the upstream, and none of a tenant's rules and limits holds. For health checks and
    /// log-in pages.
    Exempt,
}

impl RouteTenancy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_required(&self) -> bool {
        *self == Self::Required
    }
}

/// At most 16 claims, each with at most 64 texts of which the token must have one: as the claim itself,
/// or in the list that it is.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, BTreeSet<String>>))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, BTreeSet<String>>")]
pub struct RequiredClaims(BTreeMap<String, BTreeSet<String>>);

impl RequiredClaims {
    /// Whether nothing is demanded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each claim and its texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.0.iter().map(|(name, texts)| (name.as_str(), texts))
    }
}

impl TryFrom<BTreeMap<String, BTreeSet<String>>> for RequiredClaims {
    type Error = Invalid;

    fn try_from(claims: BTreeMap<String, BTreeSet<String>>) -> Result<Self, Invalid> {
        let refused = |name: &str, rule: &'static str| Err(Invalid::new("claim", name, rule));
        if claims.len() > MAX_CLAIMS {
            return refused(&claims.len().to_string(), "a route demands at most 16 of them");
        }
        let is_text = |text: &str| (1..=MAX_CLAIM_BYTES).contains(&text.len());
        for (name, texts) in &claims {
            if !is_text(name) || !texts.iter().all(|text| is_text(text)) {
                return refused(name, "a claim's name and texts have 1 to 256 bytes");
            }
            if !(1..=MAX_CLAIM_VALUES).contains(&texts.len()) {
                return refused(name, "list 1 to 64 texts, of which the token must have one");
            }
        }
        Ok(Self(claims))
    }
}

/// How long a route's requests may take; what is not given is the upstream's.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawTimeouts")]
pub struct RouteTimeouts {
    /// From the end of the request to the head of the answer, in milliseconds.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1, maximum = 86_400_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<NonZeroU32>,
    /// Between two parts of a body, in milliseconds.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1, maximum = 86_400_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<NonZeroU32>,
    /// For all of it, in milliseconds.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1, maximum = 86_400_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimeouts {
    #[serde(default)]
    first_byte_ms: Option<NonZeroU32>,
    #[serde(default)]
    idle_ms: Option<NonZeroU32>,
    #[serde(default)]
    total_ms: Option<NonZeroU32>,
}

impl RouteTimeouts {
    /// Whether all are the upstream's.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl TryFrom<RawTimeouts> for RouteTimeouts {
    type Error = Invalid;

    fn try_from(raw: RawTimeouts) -> Result<Self, Invalid> {
        let RawTimeouts { first_byte_ms, idle_ms, total_ms } = raw;
        let all = [first_byte_ms, idle_ms, total_ms];
        match all.into_iter().flatten().find(|ms| ms.get() > MAX_TIMEOUT_MS) {
            Some(ms) => Err(Invalid::new("time-out", &ms.to_string(), "at most 86400000, a day")),
            None => Ok(Self { first_byte_ms, idle_ms, total_ms }),
        }
    }
}

#[cfg(test)]
mod tests;
