//! What holds for a tenant, and who said so.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroU64},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tenantry_model::{
    EffectiveLimits, FeatureId, GroupId, LimitName, MeterName, PlanId, QuotaMax, RateLimit, Slug,
    Source, Sourced, Tenant, TenantId,
};

/// `GET /api/v1/tenants/{tenant}/effective`.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EffectiveQuery {
    /// With `1`, the source of each value is named.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u8>, maximum = 1))]
    #[serde(default, deserialize_with = "switch", serialize_with = "number")]
    pub explain: bool,
}

/// Queries have no types of their own.
fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(D::Error::custom("explain is 1 or 0")),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn number<S: Serializer>(explain: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(u8::from(*explain))
}

/// What holds for a tenant once default, plan, group and its own overrides are put together.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveBody {
    /// Which tenant.
    pub tenant: TenantId,
    /// Its readable name.
    pub slug: Slug,
    /// The plan it is on.
    pub plan: PlanId,
    /// The group it is in.
    pub group: Option<GroupId>,
    /// Its limits; what is `null` is not limited.
    pub limits: LimitsInForce,
    /// Whether each feature is on for it.
    pub features: BTreeMap<FeatureId, bool>,
    /// Who said so, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Sources>,
    /// The revision at which all of this holds.
    pub revision: u64,
}

/// The limits of one tenant.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Limits`")]
pub struct LimitsInForce {
    pub requests: Vec<RateLimit>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    pub concurrent_requests: Option<NonZeroU32>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1))]
    pub request_body_bytes: Option<NonZeroU64>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    pub connections: Option<NonZeroU32>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1))]
    pub request_bytes_per_second: Option<NonZeroU64>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1))]
    pub response_bytes_per_second: Option<NonZeroU64>,
    pub quotas: BTreeMap<MeterName, QuotaMax>,
}

/// Who said what holds.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// Of each limit.
    pub limits: LimitSources,
    /// Of each feature.
    pub features: BTreeMap<FeatureId, Source>,
}

/// Who said each limit; rate limits by name.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Limits`")]
pub struct LimitSources {
    pub requests: BTreeMap<LimitName, Source>,
    pub concurrent_requests: Source,
    pub request_body_bytes: Source,
    pub connections: Source,
    pub request_bytes_per_second: Source,
    pub response_bytes_per_second: Source,
    pub quotas: BTreeMap<MeterName, Source>,
}

impl EffectiveBody {
    /// Of a tenant, at a revision; with the sources, if they are wanted.
    #[must_use]
    pub fn new(
        tenant: &Tenant,
        limits: &EffectiveLimits,
        features: &BTreeMap<FeatureId, Sourced<bool>>,
        query: EffectiveQuery,
        revision: u64,
    ) -> Self {
        let sources = query.explain.then(|| Sources {
            limits: LimitSources::from(limits),
            features: features.iter().map(|(id, on)| (id.clone(), on.source)).collect(),
        });
        Self {
            tenant: tenant.id,
            slug: tenant.slug.clone(),
            plan: tenant.plan.clone(),
            group: tenant.group.clone(),
            limits: LimitsInForce::from(limits),
            features: features.iter().map(|(id, on)| (id.clone(), on.value)).collect(),
            sources,
            revision,
        }
    }
}

impl From<&EffectiveLimits> for LimitsInForce {
    fn from(limits: &EffectiveLimits) -> Self {
        Self {
            requests: limits.requests.iter().map(|limit| limit.value.clone()).collect(),
            concurrent_requests: limits.concurrent_requests.value,
            request_body_bytes: limits.request_body_bytes.value,
            connections: limits.connections.value,
            request_bytes_per_second: limits.request_bytes_per_second.value,
            response_bytes_per_second: limits.response_bytes_per_second.value,
            quotas: limits.quotas.iter().map(|(meter, max)| (meter.clone(), max.value)).collect(),
        }
    }
}

impl From<&EffectiveLimits> for LimitSources {
    fn from(limits: &EffectiveLimits) -> Self {
        let rates = limits.requests.iter();
        Self {
            requests: rates.map(|limit| (limit.value.name().clone(), limit.source)).collect(),
            concurrent_requests: limits.concurrent_requests.source,
            request_body_bytes: limits.request_body_bytes.source,
            connections: limits.connections.source,
            request_bytes_per_second: limits.request_bytes_per_second.source,
            response_bytes_per_second: limits.response_bytes_per_second.source,
            quotas: limits.quotas.iter().map(|(meter, max)| (meter.clone(), max.source)).collect(),
        }
    }
}
