//! Fetches the keys of issuers that publish them at a URL.
//!
//! Each issuer's keys are fetched when it is first seen, then every few minutes, and once more when a
//! token names a key that is not there; then the request waits for the answer, shortly. Fetches of one
//! issuer never run side by side, and after any attempt there is a cool-down, so that made-up key
//! names cannot turn the proxy against the issuer. Keys that were good stay until better ones come. Private
//! addresses are not asked ([`guard`]).

mod guard;

use std::{collections::HashMap, sync::Arc, time::Duration};

use guard::{Guard, PrivateAddress};
use parking_lot::Mutex;
use tenantry_engine::CompiledIssuer;
use tenantry_model::{IssuerId, KeySource};
use tokio::sync::Mutex as AsyncMutex;

use crate::{active::Active, bootstrap::JwksBounds, clock::Clock};

const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// How often new issuers are looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Between attempts for an issuer that has no keys yet.
const FIRST_KEYS_INTERVAL: Duration = Duration::from_secs(2);

/// The fetcher.
#[derive(Debug)]
pub(crate) struct Jwks {
    client: reqwest::Client,
    bounds: JwksBounds,
    guard: Guard,
    clock: Clock,
    attempts: Mutex<HashMap<IssuerId, Arc<AsyncMutex<Attempt>>>>,
}

/// The last attempt to fetch one issuer's keys.
#[derive(Debug, Default)]
struct Attempt {
    at: Option<Duration>,
    issuer: Option<Arc<CompiledIssuer>>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Private(#[from] PrivateAddress),
    #[error("the keys cannot be fetched")]
    Transport(#[from] reqwest::Error),
    #[error("the answer is {0}, not 200")]
    Status(reqwest::StatusCode),
    #[error("the document is larger than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    #[error("the document is not JSON")]
    NotJson(#[from] serde_json::Error),
    #[error("the document cannot be used: {0}")]
    Unusable(String),
}

impl Jwks {
    /// A fetcher that follows no redirects: the operator named the place.
    pub(crate) fn new(bounds: JwksBounds, clock: Clock) -> Result<Self, reqwest::Error> {
        let guard = Guard::new(&bounds.allow_private);
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(guard.clone()))
            .timeout(Duration::from_secs(bounds.fetch_timeout_seconds.get()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, bounds, guard, clock, attempts: Mutex::default() })
    }

    /// Fetches an issuer's keys because a token named one that is not there. Whether it is worth
    /// deciding again: keys came, by this call or by one that this call waited for.
    pub(crate) async fn refresh(&self, issuer: &Arc<CompiledIssuer>) -> bool {
        let asked_at = self.clock.now().monotonic;
        let cool_down = Duration::from_secs(self.bounds.cool_down_seconds);
        self.fetch_if(issuer, |last| match last {
            Some(last) if last >= asked_at => Due::JustDone,
            Some(last) if asked_at.saturating_sub(last) < cool_down => Due::No,
            _ => Due::Yes,
        })
        .await
    }

    /// Keeps the keys of all issuers fresh, for as long as it is polled.
    pub(crate) async fn keep_fresh(self: Arc<Self>, active: Arc<Active>) {
        let mut interval = tokio::time::interval(LOOK_INTERVAL);
        loop {
            interval.tick().await;
            let Some(state) = active.load() else { continue };
            for (_, issuer) in state.table.issuers_to_fetch() {
                let (fetcher, issuer) = (Arc::clone(&self), Arc::clone(issuer));
                let now = self.clock.now().monotonic;
                if fetcher.is_due(&issuer, now) {
                    tokio::spawn(async move {
                        fetcher
                            .fetch_if(&issuer, |last| fetcher.due_again(&issuer, last, now))
                            .await
                    });
                }
            }
        }
    }

    fn is_due(&self, issuer: &Arc<CompiledIssuer>, now: Duration) -> bool {
        let attempt = self.attempt(issuer);
        // A fetch in progress needs no second one.
        attempt
            .try_lock()
            .is_ok_and(|attempt| self.due_again(issuer, attempt.last(issuer), now) == Due::Yes)
    }

    fn due_again(&self, issuer: &CompiledIssuer, last: Option<Duration>, now: Duration) -> Due {
        let refresh_interval = Duration::from_secs(self.bounds.refresh_interval_seconds.get());
        let interval = if issuer.has_keys() { refresh_interval } else { FIRST_KEYS_INTERVAL };
        if last.is_none_or(|last| now.saturating_sub(last) >= interval) {
            Due::Yes
        } else {
            Due::No
        }
    }

    fn attempt(&self, issuer: &CompiledIssuer) -> Arc<AsyncMutex<Attempt>> {
        Arc::clone(self.attempts.lock().entry(issuer.spec().id()).or_default())
    }

    async fn fetch_if(
        &self,
        issuer: &Arc<CompiledIssuer>,
        due: impl FnOnce(Option<Duration>) -> Due,
    ) -> bool {
        let attempt = self.attempt(issuer);
        let mut attempt = attempt.lock().await;
        match due(attempt.last(issuer)) {
            Due::No => return false,
            Due::JustDone => return issuer.has_keys(),
            Due::Yes => {}
        }
        let fetched = self.fetch(issuer).await;
        *attempt =
            Attempt { at: Some(self.clock.now().monotonic), issuer: Some(Arc::clone(issuer)) };
        let id = issuer.spec().id();
        match &fetched {
            Ok(()) => tracing::info!(issuer = %id, "keys fetched"),
            Err(error) => {
                tracing::warn!(issuer = %id, error = %Chain(error), "keys not fetched, the last good ones stay");
            }
        }
        fetched.is_ok()
    }

    async fn fetch(&self, issuer: &CompiledIssuer) -> Result<(), FetchError> {
        let KeySource::Url(url) = issuer.spec().keys() else { return Ok(()) };
        self.guard.check(url)?;
        let mut response = self.client.get(url).header("accept", "application/json").send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if document.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(FetchError::TooLarge);
            }
            document.extend_from_slice(&chunk);
        }
        let jwks = serde_json::from_slice(&document)?;
        issuer.install(&jwks).map_err(|error| FetchError::Unusable(error.to_string()))
    }
}

impl Attempt {
    /// When this issuer was last tried. A changed issuer was not tried yet.
    fn last(&self, issuer: &Arc<CompiledIssuer>) -> Option<Duration> {
        self.at.filter(|_| self.issuer.as_ref().is_some_and(|tried| Arc::ptr_eq(tried, issuer)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Yes,
    No,
    /// Somebody else fetched while this one waited.
    JustDone,
}

/// An error with everything that caused it, on one line.
struct Chain<'a>(&'a FetchError);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
