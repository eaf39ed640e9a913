//! Verified tokens, remembered so that a signature is checked once and not per request.
//!
//! The key is the whole token text: two tokens are the same only if every byte is, so no property of
//! a hash function stands between a forged token and a verified one. Memory is bounded by bytes; what
//! is used least is forgotten first, which costs a signature check and nothing else.

use std::sync::Arc;

use foldhash::quality::FixedState;
use quick_cache::{Weighter, sync::Cache, sync::DefaultLifecycle};
use tenantry_credentials::jwt::Claims;
use tenantry_model::{Scope, Slug, TenantId, Timestamp};

use crate::issuer::CompiledIssuer;

/// What a token's place in memory costs beside its text; the struct and the map's own entry.
const OVERHEAD_BYTES: u64 = 512;
const USUAL_TOKEN_BYTES: u64 = 1024;

/// How a token names its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TenantName {
    Id(TenantId),
    Slug(Slug),
}

/// A token whose signature and claims were good.
#[derive(Debug)]
pub struct VerifiedToken {
    pub(crate) claims: Claims,
    pub(crate) tenant: TenantName,
    pub(crate) issuer: Arc<CompiledIssuer>,
    pub(crate) generation: u64,
}

impl VerifiedToken {
    /// Who the token was issued to.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.subject.as_deref()
    }

    /// The roles of whom the token was issued to, separated by commas; none if it names none.
    #[must_use]
    pub fn roles(&self) -> Option<String> {
        let roles: Vec<_> = self.claims.roles.iter().map(Scope::as_str).collect();
        (!roles.is_empty()).then(|| roles.join(","))
    }

    fn holds(&self, now: Timestamp) -> bool {
        now < self.claims.expires_at && self.issuer.vouches_for(self.generation)
    }
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Box<str>, Arc<VerifiedToken>> for Bytes {
    fn weight(&self, token: &Box<str>, _: &Arc<VerifiedToken>) -> u64 {
        token.len() as u64 + OVERHEAD_BYTES
    }
}

type Tokens = Cache<Box<str>, Arc<VerifiedToken>, Bytes, FixedState>;

#[derive(Debug)]
pub(crate) struct TokenCache(Tokens);

impl TokenCache {
    pub(crate) fn new(capacity_bytes: u64, seed: u64) -> Self {
        let estimated_tokens =
            usize::try_from(capacity_bytes / USUAL_TOKEN_BYTES).unwrap_or(usize::MAX).max(1);
        Self(Cache::with(
            estimated_tokens,
            capacity_bytes,
            Bytes,
            FixedState::with_seed(seed),
            DefaultLifecycle::default(),
        ))
    }

    /// The token, if it was verified, has not expired and its issuer still vouches for it.
    pub(crate) fn get(&self, token: &str, now: Timestamp) -> Option<Arc<VerifiedToken>> {
        let verified = self.0.get(token)?;
        if verified.holds(now) {
            return Some(verified);
        }
        self.0.remove(token);
        None
    }

    pub(crate) fn insert(&self, token: &str, verified: Arc<VerifiedToken>) {
        self.0.insert(token.into(), verified);
    }
}
