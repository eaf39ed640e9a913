//! Who asks, when, and under which condition; and where identifiers come from.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use parking_lot::Mutex;
use rand::{CryptoRng, Rng as _};
use tenantry_model::Timestamp;
use tenantry_store::Revision;
use ulid::Ulid;

use crate::{Error, Idempotency, Principal, SessionLife};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Who asks for an operation; it goes into the audit entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who acts, and what it may do.
    pub principal: Principal,
    /// The request that asks.
    pub request_id: String,
    /// Where the request came from.
    pub source_address: Option<IpAddr>,
    /// The name that the caller has given to the change, if it has one.
    pub idempotency: Option<Idempotency>,
    /// Whether everything is looked at and nothing is done.
    pub is_rehearsal: bool,
}

impl Caller {
    /// The platform itself, when it does what is due.
    pub(crate) fn system() -> Self {
        Self {
            principal: Principal::System,
            request_id: String::new(),
            source_address: None,
            idempotency: None,
            is_rehearsal: false,
        }
    }
}

/// What must hold of a record before it is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// It is at one of these revisions.
    AnyOf(Vec<u64>),
}

impl Precondition {
    /// Whether it holds for a record at this revision.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`].
    pub(crate) fn check(&self, revision: Revision) -> Result<(), Error> {
        match self {
            Self::None => Ok(()),
            Self::AnyOf(revisions) if revisions.contains(&revision.as_u64()) => Ok(()),
            Self::AnyOf(_) => Err(Error::PreconditionFailed { revision: revision.as_u64() }),
        }
    }
}

/// For how long things are kept, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A deleted tenant, unless whoever deletes it says otherwise.
    pub retention: Duration,
    /// A slug that its tenant gave up, before another one can take it.
    pub slug_reserve: Duration,
    /// A session of an operator.
    pub sessions: SessionLife,
    /// An invitation, before it must be sent anew.
    pub invitations: Duration,
    /// How much of each kind a tenant's own people can make.
    pub owned_by_tenant: NonZeroU32,
}

impl Default for Terms {
    /// 30 days, half a day for sessions, a week for invitations; a thousand of each kind.
    fn default() -> Self {
        let days = Duration::from_secs(30 * 86_400);
        Self {
            retention: days,
            slug_reserve: days,
            sessions: SessionLife::default(),
            invitations: Duration::from_secs(7 * 86_400),
            owned_by_tenant: NonZeroU32::MIN.saturating_add(999),
        }
    }
}

/// Randomness, and identifiers made of it.
pub(crate) struct Identifiers(Mutex<Source>);

struct Source {
    random: Box<dyn CryptoRng + Send>,
    last: u128,
}

impl Identifiers {
    pub(crate) fn new(random: Box<dyn CryptoRng + Send>) -> Self {
        Self(Mutex::new(Source { random, last: 0 }))
    }

    /// 128 random bits.
    pub(crate) fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().random.fill_bytes(bytes);
    }

    /// A ULID above all that this process has made before, even when the clock stands or goes back.
    pub(crate) fn rising(&self, now: Timestamp) -> Ulid {
        let random = self.random();
        let mut source = self.0.lock();
        let fresh = Ulid::from_parts(now.unix_ms(), random).0;
        source.last = fresh.max(source.last.saturating_add(1));
        Ulid(source.last)
    }
}
