//! A trusted issuer and its keys, which may arrive later than the issuer does.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use tenantry_credentials::jwt::{JwksError, KeySet};
use tenantry_model::{Issuer, KeySource};

/// The generation of an issuer that is no longer trusted.
const RETIRED: u64 = u64::MAX;

/// An issuer with its keys.
///
/// Inline keys are there from the start. Keys behind a URL are fetched by whoever owns the sockets
/// and [installed](Self::install); the last good ones stay until then.
#[derive(Debug)]
pub struct CompiledIssuer {
    spec: Issuer,
    keys: ArcSwapOption<KeySet>,
    /// Rises when the keys change, so that tokens remembered under the old ones are checked again.
    generation: AtomicU64,
}

impl CompiledIssuer {
    /// Compiles an issuer. Keys that were fetched for its previous form are kept if they come from
    /// the same URL for the same algorithms.
    ///
    /// # Errors
    /// The inline JWKS document has no usable key.
    pub(crate) fn new(spec: Issuer, previous: Option<&Self>) -> Result<Self, JwksError> {
        let keys = match spec.keys() {
            KeySource::Inline(jwks) => Some(Arc::new(KeySet::from_jwks(jwks, spec.algorithms())?)),
            KeySource::Url(_) => previous
                .filter(|previous| {
                    previous.spec.keys() == spec.keys()
                        && previous.spec.algorithms() == spec.algorithms()
                })
                .and_then(|previous| previous.keys.load_full()),
        };
        Ok(Self { spec, keys: ArcSwapOption::new(keys), generation: AtomicU64::new(0) })
    }

    /// The issuer as it was written.
    #[must_use]
    pub fn spec(&self) -> &Issuer {
        &self.spec
    }

    /// Whether there are keys to check a token with.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.keys.load().is_some()
    }

    /// Replaces the keys with newly fetched ones.
    ///
    /// # Errors
    /// The document has no usable key; the present keys stay.
    pub fn install(&self, jwks: &serde_json::Value) -> Result<(), JwksError> {
        let keys = KeySet::from_fetched_jwks(jwks, self.spec.algorithms())?;
        self.keys.store(Some(Arc::new(keys)));
        // Not for a retired issuer: its generation must stay the last one.
        let _ = self.generation.fetch_update(Ordering::AcqRel, Ordering::Acquire, |generation| {
            (generation != RETIRED).then(|| generation + 1)
        });
        Ok(())
    }

    /// The keys, with the generation they belong to (or an older one, which only costs a check).
    pub(crate) fn keys(&self) -> (u64, Option<Arc<KeySet>>) {
        (self.generation.load(Ordering::Acquire), self.keys.load_full())
    }

    /// Forgets every token that was verified with this issuer.
    pub(crate) fn retire(&self) {
        self.generation.store(RETIRED, Ordering::Release);
    }

    /// Whether a token verified under a generation may still be trusted.
    pub(crate) fn vouches_for(&self, generation: u64) -> bool {
        generation != RETIRED && self.generation.load(Ordering::Acquire) == generation
    }
}
