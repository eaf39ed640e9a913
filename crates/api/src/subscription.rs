//! What a tenant has subscribed to.

use serde::{Deserialize, Serialize};
use tenantry_model::{BillingPeriod, SubscriptionStatus, Timestamp};

/// `PUT /api/v1/tenants/{tenant}/subscription`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutSubscription {
    /// How long each period is.
    pub period: BillingPeriod,
    /// When the first period begins, or began; now, if not given and there is no subscription yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Timestamp>,
    /// Whether a period is followed by the next one by itself; if not, the tenant is past due at its end.
    #[serde(default = "yes")]
    pub auto_renew: bool,
    /// For how many days a tenant that is past due is still served; 0 to 365.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = u64, maximum = 365))]
    pub grace_days: u16,
}

fn yes() -> bool {
    true
}

/// `POST /api/v1/tenants/{tenant}/subscription/cancel`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelSubscription {
    /// Whether the current period is still served; if not, the tenant is suspended at once.
    #[serde(default = "yes")]
    pub at_period_end: bool,
}

/// A subscription as it is returned.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionBody {
    /// Whether it is paid for.
    pub status: SubscriptionStatus,
    /// How long each period is.
    pub period: BillingPeriod,
    /// When the first period began.
    pub anchor: Timestamp,
    /// When the current period began.
    pub period_start: Timestamp,
    /// When the current period ends.
    pub period_end: Timestamp,
    /// Whether a period is followed by the next one by itself.
    pub auto_renew: bool,
    /// For how many days a tenant that is past due is still served.
    #[cfg_attr(feature = "openapi", schema(value_type = u64, maximum = 365))]
    pub grace_days: u16,
    /// When the tenant is suspended, if it is past due.
    pub grace_end: Option<Timestamp>,
    /// Whether it ends with the current period.
    pub cancel_at_period_end: bool,
    /// The revision that last wrote the tenant; also the `ETag`.
    pub revision: u64,
}
