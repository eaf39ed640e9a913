//! Looks up the names of endpoints, in the background.
//!
//! The system's resolver does not tell how long an answer is good for, so names are looked up again
//! every few seconds. An answer stays in use until there is a better one: a name server that is away
//! takes no endpoint with it. Only the first request to a new name waits.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use pingora::{Error, ErrorType, Result};
use tenantry_model::EndpointAddress;
use tokio::{sync::Mutex as AsyncMutex, task::JoinSet};

use crate::{active::Active, bootstrap::UpstreamBounds, clock::Clock};

/// Names that are looked up side by side.
const AT_ONCE: usize = 16;
/// A look-up that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests do not cause another look-up of a name so soon after one that failed.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// Addresses of names.
#[derive(Debug)]
pub(crate) struct Resolver {
    clock: Clock,
    refresh: Duration,
    names: Mutex<HashMap<String, Arc<Name>>>,
}

#[derive(Debug, Default)]
struct Name {
    addresses: ArcSwapOption<Vec<IpAddr>>,
    /// Which address is next.
    turn: AtomicUsize,
    /// When the last look-up failed. Held while one is under way.
    failed: AsyncMutex<Option<Duration>>,
}

impl Resolver {
    pub(crate) fn new(bounds: &UpstreamBounds, clock: Clock) -> Self {
        let refresh = Duration::from_secs(bounds.dns_refresh_seconds.get());
        Self { clock, refresh, names: Mutex::default() }
    }

    /// An address of an endpoint: of a name that has several, the next one.
    pub(crate) async fn address(&self, endpoint: &EndpointAddress) -> Result<SocketAddr> {
        let (host, port) = match endpoint {
            EndpointAddress::Socket(address) => return Ok(*address),
            EndpointAddress::Name { host, port } => (host, *port),
        };
        let name = self.name(host);
        if name.addresses.load().is_none() {
            self.look_up(host, &name, Some(COOL_DOWN)).await;
        }
        let address = name.next().ok_or_else(|| {
            Error::explain(ErrorType::ConnectNoRoute, "the endpoint's name has no address")
        })?;
        Ok(SocketAddr::new(address, port))
    }

    fn name(&self, host: &str) -> Arc<Name> {
        let mut names = self.names.lock();
        if let Some(name) = names.get(host) {
            return Arc::clone(name);
        }
        Arc::clone(names.entry(host.to_owned()).or_default())
    }

    /// Looks a name up, unless it was found meanwhile or not found just now.
    async fn look_up(&self, host: &str, name: &Name, cool_down: Option<Duration>) {
        let mut failed = name.failed.lock().await;
        let now = self.clock.now().monotonic;
        if let Some(cool_down) = cool_down {
            let is_cooling = failed.is_some_and(|failed| now.saturating_sub(failed) < cool_down);
            if is_cooling || name.addresses.load().is_some() {
                return;
            }
        }
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, 0))).await;
        let addresses: Option<Vec<IpAddr>> = match found {
            Ok(Ok(addresses)) => Some(addresses.map(|address| address.ip()).collect()),
            Ok(Err(_)) | Err(_) => None,
        };
        match addresses.filter(|addresses| !addresses.is_empty()) {
            Some(mut addresses) => {
                *failed = None;
                addresses.sort_unstable();
                addresses.dedup();
                name.addresses.store(Some(Arc::new(addresses)));
            }
            None => {
                if failed.is_none() {
                    tracing::warn!(
                        host,
                        "the name of an endpoint is not known; what was known stays"
                    );
                }
                *failed = Some(self.clock.now().monotonic);
            }
        }
    }

    /// Looks names up again and again, for ever.
    pub(crate) async fn keep_fresh(self: Arc<Self>, active: Arc<Active>) {
        loop {
            tokio::time::sleep(self.refresh).await;
            let hosts = hosts(&active);
            self.names.lock().retain(|host, _| hosts.contains(host));
            let mut look_ups = JoinSet::new();
            for host in hosts {
                if look_ups.len() >= AT_ONCE {
                    look_ups.join_next().await;
                }
                let resolver = Arc::clone(&self);
                look_ups.spawn(async move {
                    resolver.look_up(&host, &resolver.name(&host), None).await;
                });
            }
            while look_ups.join_next().await.is_some() {}
        }
    }
}

impl Name {
    fn next(&self) -> Option<IpAddr> {
        let addresses = self.addresses.load();
        let addresses = addresses.as_ref()?;
        let turn = self.turn.fetch_add(1, Relaxed) % addresses.len().max(1);
        addresses.get(turn).copied()
    }
}

fn hosts(active: &Active) -> HashSet<String> {
    let Some(state) = active.load() else { return HashSet::new() };
    let endpoints =
        state.table.upstreams().flat_map(|upstream| upstream.spec().endpoints.as_slice());
    let host = |address: &EndpointAddress| match address {
        EndpointAddress::Socket(_) => None,
        EndpointAddress::Name { host, .. } => Some(host.clone()),
    };
    endpoints.filter_map(|endpoint| host(&endpoint.address)).collect()
}
