//! What becomes of a request.

use std::{borrow::Cow, num::NonZeroU32, sync::Arc, time::Duration};

use super::Identity;
use crate::{
    CompiledRateLimit, Reason,
    issuer::CompiledIssuer,
    limiter::{Level, Levels},
    policy::Policy,
    route::CompiledRoute,
    runtime::InFlight,
    tenant::{CompiledTenant, KeyRules},
    upstream::CompiledUpstream,
};

/// What happens to a request.
#[derive(Debug)]
pub enum Decision {
    /// It goes to an upstream.
    Forward(Forward),
    /// The client is told to ask elsewhere.
    Redirect(Redirection),
    /// It is refused.
    Deny(Denial),
}

/// A request that was let in, charged to its tenant.
#[derive(Debug)]
pub struct Admission {
    /// Whose request it is.
    pub tenant: Arc<CompiledTenant>,
    /// What is enforced for the tenant.
    pub policy: Arc<Policy>,
    /// Who is calling.
    pub identity: Identity,
    /// The place among the tenant's requests in progress; none in an explanation.
    pub in_flight: Option<InFlight>,
    pub(super) levels: Levels,
}

impl Admission {
    /// The tenant's rate limits and what is left of them.
    pub fn limits(&self) -> impl Iterator<Item = LimitLevel<'_>> {
        limit_levels(&self.policy, self.identity.key_rules(), &self.levels)
    }

    /// How many connections may carry requests of the tenant.
    #[must_use]
    pub fn max_connections(&self) -> Option<NonZeroU32> {
        self.policy.limits.connections
    }

    /// How long bytes of the request's body have to wait.
    #[must_use]
    pub fn receiving_delay(&self, bytes: usize, now: Duration) -> Duration {
        let rate = self.policy.limits.request_bytes_per_second;
        let delay = |rate| self.tenant.runtime.receiving_delay(bytes as u64, rate, now);
        rate.map(delay).unwrap_or_default()
    }

    /// Whether bytes of answers have to wait at all.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.policy.limits.response_bytes_per_second.is_some()
    }

    /// How long bytes of the answer's body have to wait.
    #[must_use]
    pub fn sending_delay(&self, bytes: usize, now: Duration) -> Duration {
        let rate = self.policy.limits.response_bytes_per_second;
        let delay = |rate| self.tenant.runtime.sending_delay(bytes as u64, rate, now);
        rate.map(delay).unwrap_or_default()
    }
}

/// Everything that is needed to forward a request.
#[derive(Debug)]
pub struct Forward {
    /// Whose request it is; nobody's on a route that is exempt from tenancy.
    pub admission: Option<Admission>,
    /// The route it takes.
    pub route: Arc<CompiledRoute>,
    /// Where it goes.
    pub upstream: Arc<CompiledUpstream>,
    /// The path to send, where it differs from the one that came.
    pub path: Option<String>,
    /// The largest body that may pass, in bytes.
    pub max_body_bytes: Option<u64>,
}

impl Forward {
    /// Whose request it is, if anybody's.
    #[must_use]
    pub fn tenant(&self) -> Option<&Arc<CompiledTenant>> {
        self.admission.as_ref().map(|admission| &admission.tenant)
    }

    /// Who is calling, as far as it was proven.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.admission.as_ref().map(|admission| &admission.identity)
    }

    /// The tenant's rate limits and what is left of them.
    pub fn limits(&self) -> impl Iterator<Item = LimitLevel<'_>> {
        self.admission.iter().flat_map(Admission::limits)
    }
}

/// Everything that is needed to send a client elsewhere.
#[derive(Debug)]
pub struct Redirection {
    /// Whose request it was; nobody's on a route that is exempt from tenancy.
    pub admission: Option<Admission>,
    /// The route it took.
    pub route: Arc<CompiledRoute>,
    /// The status of the answer.
    pub status: u16,
    /// A reference (RFC 3986, section 4.2) without a query; the request's query belongs behind it.
    pub location: String,
}

/// A request that is refused.
#[derive(Debug)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// What exactly, for the client; it tells nothing about tenants.
    pub detail: Option<&'static str>,
    /// The tenant that the refusal is counted for.
    pub tenant: Option<Arc<CompiledTenant>>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// A token names a key that this issuer does not have. If newer keys can be had, the request is
    /// worth deciding again: nothing was charged.
    pub keys_wanted: Option<Arc<CompiledIssuer>>,
    /// Boxed: denials are returned by value through every stage, and few are about limits.
    pub(super) limited: Option<Box<LimitedBy>>,
}

/// What limited a request.
#[derive(Debug)]
pub(super) struct LimitedBy {
    pub(super) policy: Arc<Policy>,
    pub(super) key: Option<Arc<KeyRules>>,
    pub(super) levels: Levels,
}

impl Denial {
    pub(super) fn new(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            tenant: None,
            retry_after: None,
            keys_wanted: None,
            limited: None,
        }
    }

    pub(super) fn of(self, tenant: &Arc<CompiledTenant>) -> Self {
        Self { tenant: Some(Arc::clone(tenant)), ..self }
    }

    /// The tenant's rate limits and what is left of them, if the denial is about them.
    pub fn limits(&self) -> impl Iterator<Item = LimitLevel<'_>> {
        let limited = self.limited.as_deref().into_iter();
        limited.flat_map(|by| limit_levels(&by.policy, by.key.as_ref(), &by.levels))
    }
}

/// A rate limit and what is left of it.
#[derive(Debug, Clone, Copy)]
pub struct LimitLevel<'a> {
    /// The limit.
    pub limit: &'a CompiledRateLimit,
    /// What is left.
    pub level: Level,
    /// Whose limit it is.
    pub owner: LimitOwner,
}

/// Whose limit a rate limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOwner {
    /// The tenant's, by its plan or its own.
    Tenant,
    /// The API key's own.
    Key,
}

impl<'a> LimitLevel<'a> {
    /// What the limit is called where those of tenant and key stand side by side: a key's own is
    /// called `key.` and its name.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        match self.name_parts() {
            ["", name] => Cow::Borrowed(name),
            parts => Cow::Owned(parts.concat()),
        }
    }

    /// What it is [called](Self::name), in two parts.
    #[must_use]
    pub fn name_parts(&self) -> [&'a str; 2] {
        let prefix = match self.owner {
            LimitOwner::Tenant => "",
            LimitOwner::Key => "key.",
        };
        [prefix, self.limit.spec().name().as_str()]
    }
}

/// The tenant's limits and then the key's own, each with its level.
pub(super) fn limit_levels<'a>(
    policy: &'a Policy,
    key: Option<&'a Arc<KeyRules>>,
    levels: &'a [Option<Level>],
) -> impl Iterator<Item = LimitLevel<'a>> {
    let of_tenant = policy.limits.requests.iter();
    let of_key = key.into_iter().flat_map(|rules| &rules.limits);
    let limits = of_tenant
        .map(|limit| (limit, LimitOwner::Tenant))
        .chain(of_key.map(|limit| (limit, LimitOwner::Key)));
    limits
        .zip(levels)
        .filter_map(|((limit, owner), level)| Some(LimitLevel { limit, level: (*level)?, owner }))
}
