//! What outlives a snapshot: limiter state, requests in progress, counters, verified tokens.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tenantry_model::TenantId;

use crate::{
    key_uses::KeyUses,
    limiter::{Bucket, Budget, CompiledRateLimit, Levels, Limited, RateLimiters, has_room},
    overload::Overload,
    pacer::Pacer,
    token_cache::TokenCache,
    upstream::UpstreamNames,
    usage::{Usage, Usages},
};

/// Upstreams that are counted by name, if nothing else is said.
const NAMED_UPSTREAMS: usize = 200;

/// Sizes of what a [`Runtime`] keeps.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeOptions {
    /// How many tenants are counted by name.
    pub named_tenants: usize,
    /// How many bytes of verified tokens are remembered.
    pub token_cache_bytes: u64,
    /// How many callers, addresses and routes can have rate limits of their own, over all tenants.
    pub limited_subjects: usize,
    /// How many requests of all tenants may be in progress before those of the tenants with most are
    /// refused.
    pub max_in_flight: u32,
    /// Seeds the hash functions whose keys come from clients; random, and secret.
    pub seed: u64,
}

/// State shared by every table of one process.
#[derive(Debug)]
pub struct Runtime {
    /// Counters.
    pub usages: Usages,
    /// Which keys were used.
    pub key_uses: KeyUses,
    /// Which upstreams are counted by name.
    pub upstream_names: Arc<UpstreamNames>,
    pub(crate) tokens: TokenCache,
    pub(crate) subjects: Arc<Budget>,
    pub(crate) overload: Arc<Overload>,
}

impl Runtime {
    /// An empty state.
    #[must_use]
    pub fn new(options: RuntimeOptions) -> Self {
        Self {
            usages: Usages::new(options.named_tenants),
            key_uses: KeyUses::default(),
            upstream_names: Arc::new(UpstreamNames::new(NAMED_UPSTREAMS)),
            tokens: TokenCache::new(options.token_cache_bytes, options.seed),
            subjects: Budget::new(options.limited_subjects),
            overload: Arc::new(Overload::new(options.max_in_flight)),
        }
    }

    /// Counts so many upstreams by name; to be said before there is a table.
    #[must_use]
    pub fn naming_upstreams(self, named: usize) -> Self {
        Self { upstream_names: Arc::new(UpstreamNames::new(named)), ..self }
    }
}

/// State of one tenant, handed from table to table.
#[derive(Debug, Default)]
pub struct TenantRuntime {
    limiters: RateLimiters,
    in_flight: AtomicU32,
    connections: AtomicU32,
    received: Pacer,
    sent: Pacer,
    usage: OnceLock<Arc<Usage>>,
}

/// Why a request was not let in; nothing was charged.
#[derive(Debug)]
pub(crate) enum Refused {
    RateLimited(Limited),
    TooManyConcurrent(Levels),
    /// Too much is in progress over all tenants, and of this one more than its share.
    Overloaded,
}

impl TenantRuntime {
    /// Charges the limits and takes a place among the requests in progress, or neither.
    pub(crate) fn admit<'a>(
        self: &Arc<Self>,
        limits: impl Iterator<Item = (&'a CompiledRateLimit, Bucket)>,
        concurrent: Option<NonZeroU32>,
        now: Duration,
        shared: &Runtime,
    ) -> Result<(InFlight, Levels), Refused> {
        let mut is_overloaded = false;
        let enter = || {
            let entered = self.enter(concurrent, &shared.overload);
            is_overloaded = matches!(entered, Err(NoPlace::InAll));
            entered.ok()
        };
        match self.limiters.charge(limits, &shared.subjects, now, enter) {
            Ok((Some(in_flight), levels)) => Ok((in_flight, levels)),
            Ok((None, _)) if is_overloaded => Err(Refused::Overloaded),
            Ok((None, levels)) => Err(Refused::TooManyConcurrent(levels)),
            Err(limited) => Err(Refused::RateLimited(limited)),
        }
    }

    /// What [`Self::admit`] would say, without charging anything.
    pub(crate) fn probe<'a>(
        &self,
        limits: impl Iterator<Item = (&'a CompiledRateLimit, Bucket)>,
        concurrent: Option<NonZeroU32>,
        now: Duration,
        shared: &Runtime,
    ) -> Result<Levels, Refused> {
        match self.limiters.charge(limits, &shared.subjects, now, || None::<()>) {
            Err(limited) => Err(Refused::RateLimited(limited)),
            Ok((_, levels)) if !has_room(self.in_flight(), concurrent) => {
                Err(Refused::TooManyConcurrent(levels))
            }
            Ok((_, levels)) if shared.overload.has_room(self.in_flight()) => Ok(levels),
            Ok(_) => Err(Refused::Overloaded),
        }
    }

    /// The tenant's counters.
    pub fn usage(&self, tenant: TenantId, usages: &Usages) -> &Arc<Usage> {
        self.usage.get_or_init(|| usages.admit(tenant))
    }

    /// Requests in progress.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    fn enter(
        self: &Arc<Self>,
        limit: Option<NonZeroU32>,
        overload: &Arc<Overload>,
    ) -> Result<InFlight, NoPlace> {
        let entered = self.in_flight.fetch_update(Relaxed, Relaxed, |in_flight| {
            has_room(in_flight, limit).then(|| in_flight.saturating_add(1))
        });
        let before = entered.map_err(|_| NoPlace::OfTenant)?;
        if overload.enter(before.saturating_add(1)) {
            Ok(InFlight { tenant: Arc::clone(self), overload: Arc::clone(overload) })
        } else {
            self.in_flight.fetch_sub(1, Relaxed);
            Err(NoPlace::InAll)
        }
    }

    /// Counts a connection that carries requests of the tenant.
    #[must_use]
    pub fn connect(self: &Arc<Self>, limit: Option<NonZeroU32>) -> Option<TenantConnection> {
        let entered = self.connections.fetch_update(Relaxed, Relaxed, |connections| {
            has_room(connections, limit).then(|| connections.saturating_add(1))
        });
        entered.ok().map(|_| TenantConnection(Arc::clone(self)))
    }

    /// How long bytes of a request body have to wait.
    #[must_use]
    pub fn receiving_delay(&self, bytes: u64, per_second: NonZeroU64, now: Duration) -> Duration {
        self.received.delay(bytes, per_second, now)
    }

    /// How long bytes of a response body have to wait.
    #[must_use]
    pub fn sending_delay(&self, bytes: u64, per_second: NonZeroU64, now: Duration) -> Duration {
        self.sent.delay(bytes, per_second, now)
    }
}

/// Why there is no place among the requests in progress.
#[derive(Debug)]
enum NoPlace {
    OfTenant,
    InAll,
}

/// A place among a tenant's requests in progress; given back when dropped.
#[derive(Debug)]
pub struct InFlight {
    tenant: Arc<TenantRuntime>,
    overload: Arc<Overload>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.overload.leave(self.tenant.in_flight.fetch_sub(1, Relaxed));
    }
}

/// A connection that carries requests of a tenant; no longer counted when dropped.
#[derive(Debug)]
pub struct TenantConnection(Arc<TenantRuntime>);

impl TenantConnection {
    /// Whether it is counted for this tenant.
    #[must_use]
    pub fn is_of(&self, tenant: &Arc<TenantRuntime>) -> bool {
        Arc::ptr_eq(&self.0, tenant)
    }
}

impl Drop for TenantConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> RuntimeOptions {
        RuntimeOptions {
            named_tenants: 1,
            token_cache_bytes: 1,
            limited_subjects: 100,
            max_in_flight: 1_000,
            seed: 1,
        }
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let runtime = Arc::new(TenantRuntime::default());
        let two = NonZeroU32::new(2);
        let shared = Runtime::new(options());
        let admit = || runtime.admit([].into_iter(), two, Duration::ZERO, &shared);
        let first = admit().unwrap();
        let _second = admit().unwrap();
        assert!(matches!(admit(), Err(Refused::TooManyConcurrent(_))));
        assert!(matches!(
            runtime.probe([].into_iter(), two, Duration::ZERO, &shared),
            Err(Refused::TooManyConcurrent(_))
        ));
        drop(first);
        assert!(runtime.probe([].into_iter(), two, Duration::ZERO, &shared).is_ok());
        assert_eq!(runtime.in_flight(), 1);
        let _third = admit().unwrap();
        assert_eq!(runtime.in_flight(), 2);
    }
}
