//! Deciding one request.
//!
//! The order is part of the contract: guard, resolve, authenticate, state, access, route, features,
//! admit. What is cheap and cannot be forged comes first, and nothing is charged to a tenant before
//! the request is proven to be its own.

mod authenticate;

use std::{sync::Arc, time::Duration};

use authenticate::{Caller, authenticate};
pub use authenticate::{Identity, KeyIdentity};
use tenantry_model::TenantState;

use crate::{
    CompiledRateLimit, Reason, Table,
    facts::{Now, RequestFacts},
    guard::{Guarded, guard},
    issuer::CompiledIssuer,
    limiter::{Level, Levels},
    route::CompiledRoute,
    runtime::{InFlight, Refused},
    tenant::{AccessVerdict, CompiledPlan, CompiledTenant, EffectiveLimits},
    trace::{Stage, Trace},
    upstream::CompiledUpstream,
};

/// What happens to a request.
#[derive(Debug)]
pub enum Decision {
    /// It goes to an upstream.
    Forward(Forward),
    /// It is answered by the gateway.
    Deny(Denial),
}

/// Everything that is needed to forward a request.
#[derive(Debug)]
pub struct Forward {
    /// Whose request it is.
    pub tenant: Arc<CompiledTenant>,
    /// The tenant's plan.
    pub plan: Arc<CompiledPlan>,
    /// The route it takes.
    pub route: Arc<CompiledRoute>,
    /// Where it goes.
    pub upstream: Arc<CompiledUpstream>,
    /// Who is calling.
    pub identity: Identity,
    /// The path to send, where it differs from the one that came.
    pub path: Option<String>,
    /// The largest body that may pass, in bytes.
    pub max_body_bytes: Option<u64>,
    /// The place among the tenant's requests in progress; none in an explanation.
    pub in_flight: Option<InFlight>,
    levels: Levels,
}

impl Forward {
    /// The tenant's rate limits and what is left of them.
    pub fn limits(&self) -> impl Iterator<Item = LimitLevel<'_>> {
        limit_levels(&self.tenant, &self.plan, &self.levels)
    }
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
    limited: Option<Box<(Arc<CompiledPlan>, Levels)>>,
}

impl Denial {
    fn new(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            tenant: None,
            retry_after: None,
            keys_wanted: None,
            limited: None,
        }
    }

    fn of(self, tenant: &Arc<CompiledTenant>) -> Self {
        Self { tenant: Some(Arc::clone(tenant)), ..self }
    }

    /// The tenant's rate limits and what is left of them, if the denial is about them.
    pub fn limits(&self) -> impl Iterator<Item = LimitLevel<'_>> {
        let limited = self.tenant.as_ref().zip(self.limited.as_deref());
        limited.into_iter().flat_map(|(tenant, (plan, levels))| limit_levels(tenant, plan, levels))
    }
}

/// A rate limit and what is left of it.
#[derive(Debug, Clone, Copy)]
pub struct LimitLevel<'a> {
    /// The limit.
    pub limit: &'a CompiledRateLimit,
    /// What is left.
    pub level: Level,
}

fn limit_levels<'a>(
    tenant: &'a CompiledTenant,
    plan: &'a CompiledPlan,
    levels: &'a [Level],
) -> impl Iterator<Item = LimitLevel<'a>> {
    let limits = EffectiveLimits::new(tenant, plan).requests();
    limits.zip(levels).map(|(limit, level)| LimitLevel { limit, level: *level })
}

/// Decides a request, and charges it to its tenant's limits if it is admitted.
pub fn decide(
    table: &Table,
    facts: &RequestFacts<'_>,
    now: Now,
    trace: &mut impl Trace,
) -> Decision {
    run(table, facts, now, Charging::Charge, trace)
}

/// Decides as [`decide`] would, and charges nothing.
pub fn explain(
    table: &Table,
    facts: &RequestFacts<'_>,
    now: Now,
    trace: &mut impl Trace,
) -> Decision {
    run(table, facts, now, Charging::Probe, trace)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charging {
    Charge,
    Probe,
}

fn run(
    table: &Table,
    facts: &RequestFacts<'_>,
    now: Now,
    charging: Charging,
    trace: &mut impl Trace,
) -> Decision {
    let mut deciding = Deciding { table, facts, now, charging, trace };
    match deciding.decide() {
        Ok(forward) => Decision::Forward(forward),
        Err(denial) => Decision::Deny(denial),
    }
}

struct Deciding<'a, T> {
    table: &'a Table,
    facts: &'a RequestFacts<'a>,
    now: Now,
    charging: Charging,
    trace: &'a mut T,
}

impl<'a, T: Trace> Deciding<'a, T> {
    fn decide(&mut self) -> Result<Forward, Denial> {
        let guarded = self.guard()?;
        let host_tenant = self.resolve(&guarded)?;
        let (tenant, caller) =
            authenticate(self.table, self.facts, self.now.unix, host_tenant, self.trace)?;
        let verdict = self.authorise(tenant, &caller)?;
        let plan = self.state(tenant)?;
        self.access(tenant, verdict)?;
        let route = self.route(tenant, &guarded)?;
        self.features(tenant, plan, route, &caller)?;
        let Some(upstream) = self.table.upstream(route.upstream()) else {
            self.trace
                .note(Stage::Route, format_args!("upstream {} is not known", route.upstream()));
            return Err(Denial::new(Reason::UpstreamUnavailable).of(tenant));
        };
        let max_body_bytes =
            EffectiveLimits::new(tenant, plan).request_body_bytes().map(std::num::NonZeroU64::get);
        if guarded.content_length.zip(max_body_bytes).is_some_and(|(length, max)| length > max) {
            return Err(Denial::new(Reason::BodyTooLarge).of(tenant));
        }
        let (in_flight, levels) = self.admit(tenant, plan)?;
        Ok(Forward {
            tenant: Arc::clone(tenant),
            plan: Arc::clone(plan),
            route: Arc::clone(route),
            upstream: Arc::clone(upstream),
            identity: caller.identity,
            path: (guarded.path != self.facts.path).then(|| guarded.path.into_owned()),
            max_body_bytes,
            in_flight,
            levels,
        })
    }

    fn guard(&mut self) -> Result<Guarded<'a>, Denial> {
        match guard(self.facts) {
            Ok(guarded) => {
                self.trace.note(
                    Stage::Guard,
                    format_args!("well formed: host {}, path {}", guarded.host, guarded.path),
                );
                Ok(guarded)
            }
            Err(detail) => {
                self.trace.note(Stage::Guard, format_args!("{detail}"));
                Err(Denial { detail: Some(detail), ..Denial::new(Reason::BadRequest) })
            }
        }
    }

    /// The tenant of the host. A TLS name that belongs to another tenant, or to none where the host
    /// belongs to one, is refused: else a connection that passed one tenant's TLS rules would carry
    /// requests to another.
    fn resolve(
        &mut self,
        guarded: &Guarded<'_>,
    ) -> Result<Option<&'a Arc<CompiledTenant>>, Denial> {
        let tenant = self.table.tenant_of_host(&guarded.host);
        match tenant {
            Some(tenant) => self
                .trace
                .note(Stage::Resolve, format_args!("host {} is {}'s", guarded.host, tenant.slug)),
            None => {
                self.trace.note(Stage::Resolve, format_args!("host {} is nobody's", guarded.host));
            }
        }
        if let Some(sni) = self.facts.sni
            && !sni.eq_ignore_ascii_case(&guarded.host)
        {
            let sni_tenant = self.table.tenant_of_host(&sni.to_ascii_lowercase());
            if sni_tenant.map(|tenant| tenant.id) != tenant.map(|tenant| tenant.id) {
                self.trace.note(
                    Stage::Resolve,
                    format_args!("the TLS name {sni} is not of the same tenant"),
                );
                return Err(Denial::new(Reason::Misdirected));
            }
        }
        Ok(tenant)
    }

    /// Whether the caller has proven what the tenant asks for.
    fn authorise(
        &mut self,
        tenant: &Arc<CompiledTenant>,
        caller: &Caller,
    ) -> Result<AccessVerdict, Denial> {
        let verdict = tenant
            .access
            .as_ref()
            .map_or(AccessVerdict::Open, |access| access.verdict(self.facts.client));
        let needed = authenticate::needed(tenant.auth, verdict);
        self.trace.note(
            Stage::Authenticate,
            format_args!("needed: {needed:?}; presented: {}", caller.identity),
        );
        caller.check(needed).map_err(|reason| Denial::new(reason).of(tenant))?;
        Ok(verdict)
    }

    /// A tenant whose plan is not known has no limits that could be enforced, so it is not served.
    fn state(&mut self, tenant: &Arc<CompiledTenant>) -> Result<&'a Arc<CompiledPlan>, Denial> {
        let plan = self.table.plan_of(tenant);
        self.trace.note(
            Stage::State,
            format_args!(
                "{}, plan {}{}",
                tenant.state.as_str(),
                tenant.plan,
                if plan.is_some() { "" } else { " (not known)" }
            ),
        );
        match (tenant.state, plan) {
            (TenantState::Active, Some(plan)) => Ok(plan),
            (TenantState::Suspended, _) => Err(Denial::new(Reason::TenantSuspended).of(tenant)),
            (TenantState::Active | TenantState::Deleting, _) => {
                Err(Denial::new(Reason::TenantInactive).of(tenant))
            }
        }
    }

    fn access(
        &mut self,
        tenant: &Arc<CompiledTenant>,
        verdict: AccessVerdict,
    ) -> Result<(), Denial> {
        let client = self.facts.client;
        let (says, allowed) = match verdict {
            AccessVerdict::Open => ("may come in", true),
            AccessVerdict::Trusted => ("is in the allow list and needs no credential", true),
            AccessVerdict::Untrusted => ("is not in the allow list and needed a credential", true),
            AccessVerdict::Denied => ("is in the deny list", false),
            AccessVerdict::NotAllowed => ("is not in the allow list", false),
        };
        self.trace.note(Stage::Access, format_args!("{client} {says}"));
        if allowed { Ok(()) } else { Err(Denial::new(Reason::IpDenied).of(tenant)) }
    }

    fn route(
        &mut self,
        tenant: &'a Arc<CompiledTenant>,
        guarded: &Guarded<'_>,
    ) -> Result<&'a Arc<CompiledRoute>, Denial> {
        let find = |routes: &'a crate::route::Routes| {
            routes.find(&guarded.host, guarded.route_path(), self.facts.method)
        };
        let own = tenant.routes.as_deref().and_then(find);
        let Some(route) = own.or_else(|| find(self.table.shared_routes())) else {
            self.trace.note(
                Stage::Route,
                format_args!("no route for {} {}", self.facts.method, guarded.path),
            );
            return Err(Denial::new(Reason::NoRoute).of(tenant));
        };
        let owner = if own.is_some() { "the tenant's own" } else { "shared" };
        self.trace.note(
            Stage::Route,
            format_args!("{} ({owner}) to upstream {}", route.id(), route.upstream()),
        );
        Ok(route)
    }

    fn features(
        &mut self,
        tenant: &Arc<CompiledTenant>,
        plan: &CompiledPlan,
        route: &CompiledRoute,
        caller: &Caller,
    ) -> Result<(), Denial> {
        caller.check(route.auth()).map_err(|reason| Denial::new(reason).of(tenant))?;
        for feature in route.require_features() {
            let (on, decided_by) = self.table.features().is_on(tenant, plan, feature);
            let state = if on { "on" } else { "off" };
            self.trace.note(
                Stage::Features,
                format_args!("{feature} is {state}, by {}", decided_by.as_str()),
            );
            if !on {
                return Err(Denial::new(Reason::FeatureDisabled).of(tenant));
            }
        }
        for scope in route.require_scopes() {
            if !caller.identity.has_scope(scope) {
                self.trace
                    .note(Stage::Features, format_args!("the credential lacks scope {scope}"));
                return Err(Denial::new(Reason::ScopeMissing).of(tenant));
            }
        }
        Ok(())
    }

    fn admit(
        &mut self,
        tenant: &Arc<CompiledTenant>,
        plan: &Arc<CompiledPlan>,
    ) -> Result<(Option<InFlight>, Levels), Denial> {
        let limits = EffectiveLimits::new(tenant, plan);
        let (concurrent, now) = (limits.concurrent_requests(), self.now.monotonic);
        let admitted = match self.charging {
            Charging::Charge => tenant
                .runtime
                .admit(limits.requests(), concurrent, now)
                .map(|(place, levels)| (Some(place), levels)),
            Charging::Probe => tenant
                .runtime
                .probe(limits.requests(), concurrent, now)
                .map(|levels| (None, levels)),
        };
        let denial = match admitted {
            Ok((in_flight, levels)) => {
                self.note_levels(tenant, plan, &levels);
                return Ok((in_flight, levels));
            }
            Err(Refused::RateLimited(limited)) => Denial {
                retry_after: Some(limited.retry_after),
                limited: Some(Box::new((Arc::clone(plan), limited.levels))),
                ..Denial::new(Reason::RateLimited)
            },
            Err(Refused::TooManyConcurrent(levels)) => Denial {
                limited: Some(Box::new((Arc::clone(plan), levels))),
                ..Denial::new(Reason::TooManyConcurrent)
            },
        };
        if let Some((_, levels)) = denial.limited.as_deref() {
            self.note_levels(tenant, plan, levels);
        }
        if denial.reason == Reason::TooManyConcurrent {
            self.trace.note(
                Stage::Admit,
                format_args!("{} requests in progress", tenant.runtime.in_flight()),
            );
        }
        Err(denial.of(tenant))
    }

    fn note_levels(&mut self, tenant: &CompiledTenant, plan: &CompiledPlan, levels: &Levels) {
        for LimitLevel { limit, level } in limit_levels(tenant, plan, levels) {
            let spec = limit.spec();
            self.trace.note(
                Stage::Admit,
                format_args!(
                    "limit {}: {} of {} left ({} per {} s)",
                    spec.name(),
                    level.remaining,
                    spec.burst(),
                    spec.quota(),
                    spec.window_seconds()
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests;
