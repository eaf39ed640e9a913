//! Rate limits and other bounds, as written: the specification, not the state of a limiter.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Invalid, LimitName, MeterName, QuotaMax, RouteId};

/// The most rate limits one plan or tenant may have: all are checked on each request.
pub const MAX_RATE_LIMITS: usize = 8;

/// The longest window: 31 days.
pub const MAX_WINDOW_SECONDS: u32 = 31 * 86_400;

/// A full burst must be earned back within ten years; past that the arithmetic in nanoseconds would
/// leave 64 bits.
const MAX_REFILL: Duration = Duration::from_secs(10 * 365 * 86_400);

/// `quota` requests per window, of which `burst` may come at once.
///
/// The limit is a continuous one (GCRA): a request becomes available every `window / quota`, and up
/// to `burst` of them are saved. Over any stretch of time no more than `burst + quota * time /
/// window` requests are admitted. Zero is refused: it would have to mean either "nothing" or
/// "everything", and others read it differently.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRateLimit")]
pub struct RateLimit {
    /// What overrides and response headers call it.
    name: LimitName,
    /// Requests per window.
    #[cfg_attr(feature = "openapi", schema(value_type = u32, minimum = 1))]
    quota: NonZeroU32,
    /// The window, in seconds: 31 days at most.
    #[cfg_attr(feature = "openapi", schema(value_type = u32, minimum = 1, maximum = 2_678_400))]
    window_seconds: NonZeroU32,
    /// How many requests may come at once; the quota, if not given.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    burst: Option<NonZeroU32>,
    /// Who shares one state of it.
    #[serde(skip_serializing_if = "LimitScope::is_tenant")]
    per: LimitScope,
    /// The routes whose requests it counts; all, if it names none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    routes: BTreeSet<RouteId>,
}

/// Who shares one state of a rate limit.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// All requests of the tenant.
    #[default]
    Tenant,
    /// The requests of one API key, or of one subject of one issuer's tokens; of one address, where
    /// neither was presented.
    Key,
    /// The requests of one client address; of IPv6, one /64 network.
    Client,
    /// The requests that take one route.
    Route,
}

impl LimitScope {
    fn is_tenant(&self) -> bool {
        *self == Self::Tenant
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRateLimit {
    name: LimitName,
    quota: NonZeroU32,
    window_seconds: NonZeroU32,
    #[serde(default)]
    burst: Option<NonZeroU32>,
    #[serde(default)]
    per: LimitScope,
    #[serde(default)]
    routes: BTreeSet<RouteId>,
}

impl RateLimit {
    /// What overrides and response headers call it.
    #[must_use]
    pub fn name(&self) -> &LimitName {
        &self.name
    }

    /// Requests per window.
    #[must_use]
    pub fn quota(&self) -> NonZeroU32 {
        self.quota
    }

    /// The window, in seconds.
    #[must_use]
    pub fn window_seconds(&self) -> NonZeroU32 {
        self.window_seconds
    }

    /// How many requests may come at once; the quota, if not given.
    #[must_use]
    pub fn burst(&self) -> NonZeroU32 {
        self.burst.unwrap_or(self.quota)
    }

    /// Who shares one state of it.
    #[must_use]
    pub fn per(&self) -> LimitScope {
        self.per
    }

    /// Whether requests that take a route are counted: all are, unless it names routes.
    #[must_use]
    pub fn counts(&self, route: &RouteId) -> bool {
        self.routes.is_empty() || self.routes.contains(route)
    }

    /// Whether both count the same requests for the same callers.
    #[must_use]
    pub fn counts_as(&self, other: &Self) -> bool {
        self.per == other.per && self.routes == other.routes
    }

    /// With rate and burst each no more than another's; none if they are not anyway.
    #[must_use]
    pub fn bounded_by(&self, ceiling: &Self) -> Option<Self> {
        // A quota over the other's window: exact, where a rate would be rounded.
        let over = |limit: &Self, other: &Self| {
            u64::from(limit.quota.get()) * u64::from(other.window_seconds.get())
        };
        let is_slow = over(self, ceiling) <= over(ceiling, self);
        let is_small = self.burst() <= ceiling.burst();
        if is_slow && is_small {
            return None;
        }
        let slower = if is_slow { self } else { ceiling };
        let burst = Some(self.burst().min(ceiling.burst()));
        let (quota, window_seconds) = (slower.quota, slower.window_seconds);
        Some(Self { quota, window_seconds, burst, ..self.clone() })
    }

    /// The same under another name.
    #[must_use]
    pub fn named(self, name: LimitName) -> Self {
        Self { name, ..self }
    }

    /// The time in which one request is earned back; at least a nanosecond.
    #[must_use]
    pub fn replenish_interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.window_seconds.get())) / self.quota.get()
    }
}

impl TryFrom<RawRateLimit> for RateLimit {
    type Error = Invalid;

    fn try_from(raw: RawRateLimit) -> Result<Self, Invalid> {
        let RawRateLimit { name, quota, window_seconds, burst, per, routes } = raw;
        let limit = Self { name, quota, window_seconds, burst, per, routes };
        let refused =
            |rule: &'static str| Err(Invalid::new("rate limit", limit.name.as_str(), rule));
        if limit.window_seconds.get() > MAX_WINDOW_SECONDS {
            return refused("window_seconds is at most 2678400, which is 31 days");
        }
        if limit.replenish_interval().is_zero() {
            return refused("quota is at most a thousand million a second");
        }
        if limit.replenish_interval().saturating_mul(limit.burst().get()) > MAX_REFILL {
            return refused("burst would take more than ten years to be earned back");
        }
        Ok(limit)
    }
}

/// Rate limits with different names; a request must pass all of them.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = Vec<RateLimit>, max_items = 8))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<RateLimit>")]
pub struct RateLimits(Vec<RateLimit>);

impl RateLimits {
    /// The limits, in the order they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[RateLimit] {
        &self.0
    }

    /// The limit of this name.
    #[must_use]
    pub fn find(&self, name: &LimitName) -> Option<&RateLimit> {
        self.0.iter().find(|limit| limit.name() == name)
    }

    /// Whether there is no limit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<RateLimit>> for RateLimits {
    type Error = Invalid;

    fn try_from(limits: Vec<RateLimit>) -> Result<Self, Invalid> {
        if limits.len() > MAX_RATE_LIMITS {
            return Err(Invalid::new("list of rate limits", "", "at most 8 rate limits fit"));
        }
        let twice = limits.iter().enumerate().find(|(index, limit)| {
            limits.iter().take(*index).any(|other| other.name == limit.name)
        });
        match twice {
            Some((_, limit)) => Err(Invalid::new(
                "list of rate limits",
                limit.name.as_str(),
                "a name may stand once",
            )),
            None => Ok(Self(limits)),
        }
    }
}

/// The limits of a plan, or a tenant's overrides of them.
///
/// As overrides each field stands alone: a rate limit replaces the plan's one of the same name, and
/// what is not given stays the plan's.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Rate limits on requests.
    #[serde(default, skip_serializing_if = "RateLimits::is_empty")]
    pub requests: RateLimits,
    /// How many requests of the tenant may be in progress at once.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<NonZeroU32>,
    /// The largest request body, in bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body_bytes: Option<NonZeroU64>,
    /// How many connections may carry requests of the tenant at once.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<NonZeroU32>,
    /// Bytes of request bodies a second, over all requests; more are slowed down.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes_per_second: Option<NonZeroU64>,
    /// Bytes of response bodies a second, over all requests; more are slowed down.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes_per_second: Option<NonZeroU64>,
    /// How many of something the tenant may have at once, by what is counted; at most 100.
    #[serde(default, skip_serializing_if = "Quotas::is_empty")]
    pub quotas: Quotas,
}

/// The most quotas one plan, group or tenant may have.
pub const MAX_QUOTAS: usize = 100;

/// Quotas, by what they count.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<MeterName, QuotaMax>")]
pub struct Quotas(BTreeMap<MeterName, QuotaMax>);

impl Quotas {
    /// Each quota, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&MeterName, QuotaMax)> {
        self.0.iter().map(|(meter, max)| (meter, *max))
    }

    /// The quota of a meter.
    #[must_use]
    pub fn get(&self, meter: &MeterName) -> Option<QuotaMax> {
        self.0.get(meter).copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<MeterName, QuotaMax>> for Quotas {
    type Error = Invalid;

    fn try_from(quotas: BTreeMap<MeterName, QuotaMax>) -> Result<Self, Invalid> {
        if quotas.len() > MAX_QUOTAS {
            return Err(Invalid::new("list of quotas", "", "at most 100 quotas fit"));
        }
        Ok(Self(quotas))
    }
}

impl Limits {
    /// Whether nothing is limited (or, as overrides, nothing overridden).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<(), &str>) {
        let parsed = serde_json::from_str::<Limits>(json);
        match expected {
            Ok(()) => assert!(parsed.is_ok(), "{json}: {parsed:?}"),
            Err(part) => {
                let error = parsed.expect_err(json).to_string();
                assert!(error.contains(part), "{json}: {error}");
            }
        }
    }

    #[test]
    fn limits_are_checked() {
        let one = |fields: &str| format!(r#"{{"requests":[{{"name":"a",{fields}}}]}}"#);
        check("{}", Ok(()));
        check(&one(r#""quota":100,"window_seconds":1,"burst":200"#), Ok(()));
        check(&one(r#""quota":0,"window_seconds":1"#), Err("nonzero"));
        check(&one(r#""quota":1,"window_seconds":0"#), Err("nonzero"));
        check(&one(r#""quota":1,"window_seconds":1,"burst":0"#), Err("nonzero"));
        check(&one(r#""quota":1,"window_seconds":2678401"#), Err("31 days"));
        check(&one(r#""quota":1000000001,"window_seconds":1"#), Err("a second"));
        check(&one(r#""quota":1,"window_seconds":2678400,"burst":4000000000"#), Err("ten years"));
        check(&one(r#""quota":1,"window_seconds":1,"bust":1"#), Err("unknown field"));
        check(&one(r#""quota":1,"window_seconds":1,"per":"client","routes":["login"]"#), Ok(()));
        check(&one(r#""quota":1,"window_seconds":1,"per":"planet""#), Err("unknown variant"));
        check(r#"{"connections":1,"request_bytes_per_second":1}"#, Ok(()));
        check(r#"{"response_bytes_per_second":0}"#, Err("nonzero"));
        check(r#"{"concurrent_requests":0}"#, Err("nonzero"));
        check(
            r#"{"requests":[{"name":"a","quota":1,"window_seconds":1},{"name":"a","quota":2,"window_seconds":1}]}"#,
            Err("once"),
        );
    }
}
