//! What a tenant, plan, domain, API key, issuer, route, upstream, feature and rate limit *is*.
//!
//! Everything here is plain data that cannot be built wrong: each type checks its rules while it is
//! parsed, so the store, the wire, the engine and the API share one representation and check nothing
//! again. The crate has no I/O, no async, reads no clock and draws no random numbers.
//!
//! A *resource* is the part of the platform's state that a proxy enforces. What only people need (a
//! tenant's display name, labels, timestamps) lives in the control plane's records around it.

#[cfg(feature = "openapi")]
mod openapi;

pub mod bounded;
pub mod email;
pub mod id;
pub mod invalid;
pub mod name;
pub mod node;
pub mod permission;
pub mod revision;
pub mod secret;
pub mod timestamp;

pub mod access;
pub mod auth;
pub mod branding;
pub mod host;
pub mod limits;

pub mod api_key;
pub mod certificate;
pub mod domain;
pub mod effective;
pub mod feature;
pub mod group;
pub mod issuer;
pub mod plan;
pub mod quota;
pub mod resource;
pub mod route;
pub mod subscription;
pub mod tenant;
pub mod upstream;

pub use access::{Access, AccessMode};
pub use api_key::{ApiKey, KeyDigest, KeyNetworks, KeySpec};
pub use auth::AuthRequirement;
pub use bounded::Bounded;
pub use branding::{Branding, Color, DisplayName, HttpsUrl, LogoUrl};
pub use certificate::{Certificate, CertificatePem};
pub use domain::Domain;
pub use effective::{EffectiveLimits, FeatureRules, Source, Sourced};
pub use email::Email;
pub use feature::{Feature, FeatureDefault};
pub use group::Group;
pub use host::{DomainPattern, Host};
pub use id::{
    CertificateId, InvitationId, IssuerId, KeyId, NodeId, OperatorId, ReservationId, RolloutId,
    SessionId, TenantId, TokenId, UserId,
};
pub use invalid::Invalid;
pub use issuer::{Algorithm, ClaimPath, Issuer, KeySource};
pub use limits::{LimitScope, Limits, RateLimit, RateLimits};
pub use name::{
    FeatureId, GroupId, LimitName, MeterName, PlanId, RegionId, RoleId, RouteId, Scope, Slug,
    UpstreamId,
};
pub use node::NodeName;
pub use permission::{OperatorRole, Permission, Permissions, TenantRole};
pub use plan::Plan;
pub use quota::QuotaMax;
pub use resource::{Resource, ResourceKind, ResourceRef};
pub use revision::Revision;
pub use route::{ExactPath, Method, PathPrefix, Route, RouteMatch, RouteTenancy, Target};
pub use secret::SealedSecret;
pub use subscription::{BillingPeriod, PeriodUnit, SubscriptionStatus};
pub use tenant::{
    AccessLogging, Tenant, TenantState,
    spec::{TenantProfile, TenantSpec},
};
pub use timestamp::Timestamp;
pub use upstream::{Endpoint, EndpointAddress, Upstream};
