//! What outlives a snapshot: limiter state, requests in progress, counters, verified tokens.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tenantry_model::TenantId;

use crate::{
    limiter::{CompiledRateLimit, Levels, Limited, RateLimiters, has_room},
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
    /// Seeds the hash functions whose keys come from clients; random, and secret.
    pub seed: u64,
}

/// State shared by every table of one process.
#[derive(Debug)]
pub struct Runtime {
    /// Counters.
    pub usages: Usages,
    /// Which upstreams are counted by name.
    pub upstream_names: Arc<UpstreamNames>,
    pub(crate) tokens: TokenCache,
}

impl Runtime {
    /// An empty state.
    #[must_use]
    pub fn new(options: RuntimeOptions) -> Self {
        Self {
            usages: Usages::new(options.named_tenants),
            upstream_names: Arc::new(UpstreamNames::new(NAMED_UPSTREAMS)),
            tokens: TokenCache::new(options.token_cache_bytes, options.seed),
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
    usage: OnceLock<Arc<Usage>>,
}

/// Why a request was not let in; nothing was charged.
#[derive(Debug)]
pub(crate) enum Refused {
    RateLimited(Limited),
    TooManyConcurrent(Levels),
}

impl TenantRuntime {
    /// Charges the limits and takes a place among the requests in progress, or neither.
    pub(crate) fn admit<'a>(
        self: &Arc<Self>,
        limits: impl Iterator<Item = &'a CompiledRateLimit>,
        concurrent: Option<NonZeroU32>,
        now: Duration,
    ) -> Result<(InFlight, Levels), Refused> {
        match self.limiters.charge(limits, now, || self.enter(concurrent)) {
            Ok((Some(in_flight), levels)) => Ok((in_flight, levels)),
            Ok((None, levels)) => Err(Refused::TooManyConcurrent(levels)),
            Err(limited) => Err(Refused::RateLimited(limited)),
        }
    }

    /// What [`Self::admit`] would say, without charging anything.
    pub(crate) fn probe<'a>(
        &self,
        limits: impl Iterator<Item = &'a CompiledRateLimit>,
        concurrent: Option<NonZeroU32>,
        now: Duration,
    ) -> Result<Levels, Refused> {
        match self.limiters.charge(limits, now, || None::<()>) {
            Err(limited) => Err(Refused::RateLimited(limited)),
            Ok((_, levels)) if has_room(self.in_flight(), concurrent) => Ok(levels),
            Ok((_, levels)) => Err(Refused::TooManyConcurrent(levels)),
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

    fn enter(self: &Arc<Self>, limit: Option<NonZeroU32>) -> Option<InFlight> {
        let entered = self.in_flight.fetch_update(Relaxed, Relaxed, |in_flight| {
            has_room(in_flight, limit).then(|| in_flight.saturating_add(1))
        });
        entered.ok().map(|_| InFlight(Arc::clone(self)))
    }
}

/// A place among a tenant's requests in progress; given back when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<TenantRuntime>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let runtime = Arc::new(TenantRuntime::default());
        let two = NonZeroU32::new(2);
        let admit = || runtime.admit([].into_iter(), two, Duration::ZERO);
        let first = admit().unwrap();
        let _second = admit().unwrap();
        assert!(matches!(admit(), Err(Refused::TooManyConcurrent(_))));
        assert!(matches!(
            runtime.probe([].into_iter(), two, Duration::ZERO),
            Err(Refused::TooManyConcurrent(_))
        ));
        drop(first);
        assert!(runtime.probe([].into_iter(), two, Duration::ZERO).is_ok());
        assert_eq!(runtime.in_flight(), 1);
        let _third = admit().unwrap();
        assert_eq!(runtime.in_flight(), 2);
    }
}
