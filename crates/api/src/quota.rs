//! Quotas of what a tenant has a number of at once.

use serde::{Deserialize, Serialize};
use tenantry_model::{MeterName, ReservationId, Timestamp};

/// One quota, and how much of it is taken.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaBody {
    /// What is counted.
    pub meter: MeterName,
    /// How many are taken, leases included.
    pub current: u64,
    /// How many of these are leased, and come back if they are not confirmed.
    pub leased: u64,
    /// How many there may be; none if there is no end.
    pub max: Option<u64>,
    /// How much of it is taken, in whole percent, rounded down; more than 100 if the maximum was lowered
    /// below what is there.
    pub percentage: Option<u64>,
    /// Whether there is no end.
    pub unlimited: bool,
    /// Whether there is room for one more.
    pub can_add: bool,
}

/// `POST /api/v1/tenants/{tenant}/quotas/{meter}/reserve`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReserveQuota {
    /// How many are wanted; all or none are given.
    #[serde(default = "one")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub amount: u64,
    /// For how long they are given unless they are confirmed, up to a day; for good, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, minimum = 1, maximum = 86400))]
    pub lease_seconds: Option<u32>,
}

fn one() -> u64 {
    1
}

/// `POST /api/v1/tenants/{tenant}/quotas/{meter}/confirm`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmQuota {
    /// The lease.
    pub reservation: ReservationId,
}

/// `POST /api/v1/tenants/{tenant}/quotas/{meter}/release`: either a lease, or some that were kept for
/// good.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseQuota {
    /// The lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationId>,
    /// How many; 1, if neither is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub amount: Option<u64>,
}

/// `PUT /api/v1/tenants/{tenant}/quotas/{meter}`: what is there in truth, whatever was counted.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetQuota {
    /// How many are there, leases not included.
    pub current: u64,
}

/// What came of a change.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaChange {
    /// How it is now.
    #[serde(flatten)]
    pub quota: QuotaBody,
    /// The lease, if one was asked for.
    pub reservation: Option<ReservationBody>,
}

/// Room that was given for a while.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationBody {
    /// Its identifier.
    pub id: ReservationId,
    /// How many.
    pub amount: u64,
    /// Until when they must be confirmed.
    pub expires_at: Timestamp,
}
