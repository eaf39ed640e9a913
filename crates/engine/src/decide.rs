//! Deciding one request.
//!
//! The order is part of the contract: guard, resolve, routes that are exempt from tenancy,
//! authenticate, state, access, route, features, admit. What is cheap and cannot be forged comes
//! first, and nothing is charged to a tenant before the request is proven to be its own.

mod outcome;

mod authenticate;
mod buckets;
mod recorded;
mod routing;

use std::{num::NonZeroU64, sync::Arc};

use authenticate::{Caller, authenticate};
pub use authenticate::{Identity, KeyIdentity};
pub use outcome::{Admission, Decision, Denial, Forward, LimitLevel, LimitOwner, Redirection};
use outcome::{LimitedBy, limit_levels};
pub use recorded::{Recorded, redecide};
use routing::body_fits;
use tenantry_model::{ResourceKind, TenantState};

use crate::{
    Reason, Table,
    facts::{Now, RequestFacts},
    guard::{Guarded, guard},
    limiter::Levels,
    policy::Policy,
    runtime::{InFlight, Refused},
    tenant::{AccessVerdict, CompiledTenant, KeyRules},
    trace::{Stage, Trace},
};

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
    let mut deciding = Deciding { table, facts, now, charging, recorded: None, trace };
    deciding.decide().unwrap_or_else(Decision::Deny)
}

struct Deciding<'a, T> {
    table: &'a Table,
    facts: &'a RequestFacts<'a>,
    now: Now,
    charging: Charging,
    /// What stands for the credentials, if these are not at hand.
    recorded: Option<&'a Recorded>,
    trace: &'a mut T,
}

impl<'a, T: Trace> Deciding<'a, T> {
    fn decide(&mut self) -> Result<Decision, Denial> {
        let guarded = self.guard()?;
        let host_tenant = self.resolve(&guarded)?;
        let shared = self.shared_route(&guarded);
        if let Some(route) = shared.filter(|route| route.is_exempt()) {
            return self.exempt(route, guarded);
        }
        // Before any credential is looked at, so that nobody without a certificate can try them out;
        // and again below, because a credential may name a tenant where the host names none.
        if let Some(tenant) = host_tenant {
            self.client_certificate(tenant)?;
        }
        let (tenant, caller) = match self.recorded {
            None => authenticate(self.table, self.facts, self.now.unix, host_tenant, self.trace)?,
            Some(recorded) => self.recognise(recorded, host_tenant)?,
        };
        if host_tenant.is_none() {
            self.client_certificate(tenant)?;
        }
        let verdict = self.authorise(tenant, &caller)?;
        let policy = self.state(tenant)?;
        self.access(tenant, verdict)?;
        let route = self.route(tenant, shared, &guarded)?;
        self.demands(tenant, &policy, route, &caller)?;
        let destination =
            self.destination(route, Some(tenant), &guarded).map_err(|denial| denial.of(tenant))?;
        let limits = [policy.limits.request_body_bytes, route.request_body_bytes()];
        let max_body_bytes = limits.into_iter().flatten().min().map(NonZeroU64::get);
        body_fits(&guarded, max_body_bytes).map_err(|denial| denial.of(tenant))?;
        let (in_flight, levels) = self.admit(tenant, &policy, route, &caller.identity)?;
        let admission = Admission {
            tenant: Arc::clone(tenant),
            policy,
            identity: caller.identity,
            in_flight,
            levels,
        };
        Ok(self.decided(Some(admission), route, destination, guarded, max_body_bytes))
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
            Some(tenant) => {
                let what = format_args!("host {} is {}'s", guarded.host, tenant.slug);
                self.trace.note(Stage::Resolve, what);
                if self.trace.is_heard() {
                    if let Some(domain) = self.table.domain_of_host(&guarded.host) {
                        self.trace.by(ResourceKind::Domain, &domain);
                    }
                    self.trace.by(ResourceKind::Tenant, &tenant.id);
                }
            }
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

    /// A tenant with authorities of its own is reached only over connections on which a certificate
    /// of these very authorities was verified for this very tenant, however the request names it.
    fn client_certificate(&mut self, tenant: &Arc<CompiledTenant>) -> Result<(), Denial> {
        let Some(authorities) = &tenant.client_ca else { return Ok(()) };
        let verified = self.facts.client_certificate;
        if verified.is_some_and(|verified| {
            verified.tenant == tenant.id && verified.authorities.is(authorities)
        }) {
            let what = format_args!("a client certificate was verified for {}", tenant.slug);
            self.trace.note(Stage::Authenticate, what);
            self.trace.by(ResourceKind::Tenant, &tenant.id);
            return Ok(());
        }
        self.trace.note(
            Stage::Authenticate,
            format_args!("{} needs a client certificate, verified on this connection", tenant.slug),
        );
        self.trace.by(ResourceKind::Tenant, &tenant.id);
        Err(Denial::new(Reason::ClientCertificateRequired).of(tenant))
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
        self.trace.by(ResourceKind::Tenant, &tenant.id);
        caller.check(needed).map_err(|reason| Denial::new(reason).of(tenant))?;
        Ok(verdict)
    }

    /// A tenant whose plan or group is not known has no limits that could be enforced, so it is not
    /// served.
    fn state(&mut self, tenant: &Arc<CompiledTenant>) -> Result<Arc<Policy>, Denial> {
        let policy = self.table.policy_of(tenant);
        let (state, plan) = (tenant.state.as_str(), &tenant.plan);
        let unknown = if policy.is_some() { "" } else { " (not known)" };
        match &tenant.group {
            None => self.trace.note(Stage::State, format_args!("{state}, plan {plan}{unknown}")),
            Some(group) => {
                let what = format_args!("{state}, plan {plan} in group {group}{unknown}");
                self.trace.note(Stage::State, what);
            }
        }
        self.trace.by(ResourceKind::Tenant, &tenant.id);
        self.trace.by(ResourceKind::Plan, plan);
        if let Some(group) = &tenant.group {
            self.trace.by(ResourceKind::Group, group);
        }
        match (tenant.state, policy) {
            (TenantState::Active, Some(policy)) => Ok(policy),
            (TenantState::Suspended, _) => Err(Denial::new(Reason::TenantSuspended).of(tenant)),
            (TenantState::Active | TenantState::Provisioning | TenantState::Deleting, _) => {
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
        self.trace.by(ResourceKind::Tenant, &tenant.id);
        if allowed { Ok(()) } else { Err(Denial::new(Reason::IpDenied).of(tenant)) }
    }

    fn admit(
        &mut self,
        tenant: &Arc<CompiledTenant>,
        policy: &Arc<Policy>,
        route: &crate::CompiledRoute,
        identity: &Identity,
    ) -> Result<(Option<InFlight>, Levels), Denial> {
        let limits = &policy.limits;
        let (concurrent, now) = (limits.concurrent_requests, self.now.monotonic);
        let caller = buckets::Caller { route: route.id(), identity, client: self.facts.client };
        let buckets = limits.requests.iter().map(|limit| (limit, caller.bucket(self.table, limit)));
        let own = identity.key.iter().flat_map(|key| {
            let limits = key.rules.iter().flat_map(|rules| &rules.limits);
            limits.map(|limit| (limit, caller.bucket_of_key(self.table, key, limit)))
        });
        let buckets = buckets.chain(own);
        let shared = self.table.runtime();
        let admitted = match self.charging {
            Charging::Charge => tenant
                .runtime
                .admit(buckets, concurrent, now, shared)
                .map(|(place, levels)| (Some(place), levels)),
            Charging::Probe => {
                tenant.runtime.probe(buckets, concurrent, now, shared).map(|levels| (None, levels))
            }
        };
        let key = identity.key_rules();
        let limited_by = |levels| {
            let (policy, key) = (Arc::clone(policy), key.cloned());
            Some(Box::new(LimitedBy { policy, key, levels }))
        };
        let denial = match admitted {
            Ok((in_flight, levels)) => {
                if let (Charging::Charge, Some(key)) = (self.charging, &identity.key) {
                    shared.key_uses.note(key.id, self.now.unix);
                }
                self.note_levels(tenant, policy, key, &levels);
                return Ok((in_flight, levels));
            }
            Err(Refused::RateLimited(limited)) => Denial {
                retry_after: Some(limited.retry_after),
                limited: limited_by(limited.levels),
                ..Denial::new(Reason::RateLimited)
            },
            Err(Refused::Overloaded) => {
                self.trace.note(
                    Stage::Admit,
                    format_args!(
                        "too much is in progress, and more than a share of it the tenant's"
                    ),
                );
                Denial::new(Reason::Overloaded)
            }
            Err(Refused::TooManyConcurrent(levels)) => {
                Denial { limited: limited_by(levels), ..Denial::new(Reason::TooManyConcurrent) }
            }
        };
        if let Some(LimitedBy { levels, .. }) = denial.limited.as_deref() {
            self.note_levels(tenant, policy, key, levels);
        }
        if denial.reason == Reason::TooManyConcurrent {
            self.trace.note(
                Stage::Admit,
                format_args!("{} requests in progress", tenant.runtime.in_flight()),
            );
        }
        Err(denial.of(tenant))
    }

    fn note_levels(
        &mut self,
        tenant: &CompiledTenant,
        policy: &Policy,
        key: Option<&Arc<KeyRules>>,
        levels: &Levels,
    ) {
        for limit in limit_levels(policy, key, levels) {
            let (spec, level) = (limit.limit.spec(), limit.level);
            self.trace.note(
                Stage::Admit,
                format_args!(
                    "limit {}: {} of {} left ({} per {} s)",
                    limit.name(),
                    level.remaining,
                    spec.burst(),
                    spec.quota(),
                    spec.window_seconds()
                ),
            );
            if limit.owner == LimitOwner::Tenant {
                self.trace.by(ResourceKind::Plan, &tenant.plan);
                self.trace.by(ResourceKind::Tenant, &tenant.id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
