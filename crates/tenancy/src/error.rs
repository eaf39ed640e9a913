//! Everything that can go wrong with an operation, by what whoever asked should do about it.

use tenantry_model::{Email, KeyId, ResourceRef, RolloutId, TenantState};
use tenantry_store::{CommitError, ReadError};

use crate::rollout::RolloutState;

/// Why an operation was not done. Unless it says otherwise, nothing was written.
///
/// The texts are for whoever asked: they hold no secrets and never say whose a taken name is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nothing of this name.
    #[error("there is no {kind} {id}")]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// Its name, as it was given.
        id: String,
    },
    /// A tenant has this slug.
    #[error("the slug {0} is taken, or still reserved for the tenant that had it last")]
    SlugTaken(String),
    /// Somebody has this e-mail address.
    #[error("the e-mail address {0} is taken")]
    EmailTaken(Email),
    /// It was there, and cannot be used any more.
    #[error("{0}")]
    Gone(&'static str),
    /// Somebody must be left who may do everything in the tenant.
    #[error("this is the tenant's last owner; make another member an owner first")]
    LastOwner,
    /// It would take more than the caller may do.
    #[error("{0}")]
    Forbidden(String),
    /// A tenant has this domain.
    #[error("the domain {host} is taken")]
    DomainTaken {
        /// The domain.
        host: String,
        /// Where in the request it stands.
        pointer: String,
    },
    /// A certificate of the same owner's kind is there for this.
    #[error("there is already a certificate for {what}; replace or delete that one")]
    CertificateTaken {
        /// A domain, or the default.
        what: String,
        /// Where in the request it stands.
        pointer: &'static str,
    },
    /// A secret cannot be sealed.
    #[error(
        "there is no master key to seal it with: set TENANTRY_MASTER_KEY or master_key_file for the control plane and for every proxy, and restart them"
    )]
    NoMasterKey,
    /// The identifier is in use.
    #[error("there is already a {kind} {id}")]
    IdTaken {
        /// Of what.
        kind: &'static str,
        /// The identifier.
        id: String,
    },
    /// Something refers to it.
    #[error("the {kind} {id} is used by at least one {user}; change those first")]
    InUse {
        /// What.
        kind: &'static str,
        /// Which.
        id: String,
        /// What refers to it.
        user: &'static str,
    },
    /// Another key has taken its place.
    #[error("it was rolled already: {by} has taken its place; roll that one, or delete it first")]
    KeyReplaced {
        /// The other key.
        by: KeyId,
    },
    /// They belong to the tenant already.
    #[error("{0} is a member of the tenant already")]
    MemberAlready(Email),
    /// There is no room.
    #[error("{current} of at most {max} {meter} are taken, and there is no room for as many more")]
    QuotaExceeded {
        /// Of what.
        meter: String,
        /// How many there may be.
        max: u64,
        /// How many there are.
        current: u64,
    },
    /// The tenant's state does not allow it.
    #[error("the tenant is {}: {rule}", .state.as_str())]
    InvalidState {
        /// The state it is in.
        state: TenantState,
        /// What would be allowed.
        rule: &'static str,
    },
    /// A change of this name was another one.
    #[error(
        "this Idempotency-Key was sent with another request; take a new one for each change, and send \
         the very same request again under its own"
    )]
    IdempotencyKeyReused,
    /// It is not at the revision that was asked for.
    #[error("it is at revision {revision} now; read it again and decide anew")]
    PreconditionFailed {
        /// The revision it is at.
        revision: u64,
    },
    /// Part of what was sent breaks a rule.
    #[error("{detail}")]
    Invalid {
        /// Which part (RFC 6901).
        pointer: String,
        /// Which rule.
        detail: String,
    },
    /// Parts of what was sent break rules. Nothing was written.
    #[error("at fault: {}; nothing was changed", .0.len())]
    Faults(Vec<Fault>),
    /// A parameter of a list breaks a rule.
    #[error("{detail}")]
    InvalidQuery {
        /// Which parameter.
        parameter: &'static str,
        /// Which rule.
        detail: String,
    },
    /// The cursor cannot be used.
    #[error("{0}")]
    InvalidCursor(&'static str),
    /// What would be stored is too large.
    #[error("the {kind} would take {bytes} bytes; at most {limit} can be stored")]
    TooLarge {
        /// What.
        kind: &'static str,
        /// Its size as JSON.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// The revision is older than what is kept.
    #[error("revision {revision} is not kept any more: history goes back to revision {oldest}")]
    RevisionForgotten {
        /// The one that was asked for.
        revision: u64,
        /// The oldest one that could be.
        oldest: u64,
    },
    /// Some of what was there cannot come back. Nothing was written.
    #[error("of what was there then, {} cannot come back; with partial=true all else does", .0.len())]
    NotRestorable(Vec<Fault>),
    /// Too many tenants would go at once. Nothing was written.
    #[error(
        "{removed} of {tenants} tenants would be deleted; if that is meant, say allow_mass_removal=true"
    )]
    MassRemoval {
        /// How many there are, deleted ones apart.
        tenants: u64,
        /// How many would go.
        removed: u64,
    },
    /// There is one at a time.
    #[error("the roll-out {0} is under way; release it or take it back first")]
    RolloutUnderWay(RolloutId),
    /// It cannot be released or taken back any more.
    #[error("the roll-out is {} already", .0.as_str())]
    RolloutEnded(RolloutState),
    /// Somebody else has changed what is rolled out.
    #[error("{0} was changed since the roll-out began, which is taken back for that")]
    RolloutOutdated(ResourceRef),
    /// Others kept changing the same records.
    #[error("others keep changing the same records; try again")]
    ConcurrentChange,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// One part of what was sent that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which part (RFC 6901).
    pub pointer: String,
    /// Which rule.
    pub detail: String,
}

/// How the store failed. The texts say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// The disk is full.
    #[error("the disk of the control plane is full; make space, and changes are taken again")]
    Full,
    /// Nothing was done, and trying again may help.
    #[error("the store cannot be reached; try again")]
    Unavailable,
    /// The write may or may not have been made.
    #[error("it is not known whether the change was made; read the record before you try again")]
    Unknown,
    /// Nothing works before somebody repairs it.
    #[error("the store has failed and takes no changes; see the log of the control plane")]
    Failed,
    /// A row is not what this code writes. The key is for the log only.
    #[error("a stored record cannot be read")]
    Damaged {
        /// The key of the row.
        key: String,
    },
    /// A commit broke a limit of the store, which the checks before it should have caught.
    #[error("the change does not fit one commit")]
    Limit(String),
}

impl Error {
    /// A part of the request that breaks a rule.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid { pointer: pointer.into(), detail: detail.into() }
    }

    /// There is nothing of this name.
    #[must_use]
    pub fn not_found(kind: &'static str, id: impl ToString) -> Self {
        Self::NotFound { kind, id: id.to_string() }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compacted { .. } | ReadError::StoreChanged => Self::InvalidCursor(
                "the state that this cursor walks is no longer kept; start again without it",
            ),
            ReadError::Unavailable => StoreFault::Unavailable.into(),
            ReadError::Fatal => StoreFault::Failed.into(),
        }
    }
}

impl From<CommitError> for StoreFault {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Full => Self::Full,
            CommitError::Unavailable | CommitError::Conflict { .. } => Self::Unavailable,
            CommitError::Unknown => Self::Unknown,
            CommitError::Fatal => Self::Failed,
            CommitError::Invalid(limit) => Self::Limit(limit.to_string()),
        }
    }
}
