//! What may be done to a tenant, and to what tenants are built on.
//!
//! Each operation is **one commit** of the store: the record, its index rows and its audit entry are
//! written together or not at all. Nothing is looked at before the write to decide whether the write
//! is allowed: what was read is checked to be unchanged, what must be free is checked to be absent,
//! what must be unused is checked to have no reference, all inside the commit. A check that fails
//! because a row that was only read has changed is decided anew, a bounded number of times; one that
//! fails because something is taken becomes an error that says what.
//!
//! **There is no outbox.** An outbox exists to hand every committed change to somebody else exactly in
//! order, even after a crash. The store's own change log is that already: [`Store::watch`] yields one
//! item per revision, from any revision still kept, and the distributor follows it. A second copy
//! would cost a write per operation and could only ever disagree with the first.
//!
//! **Rows.** [`layout`] names them all. A record's JSON always has the member `resource`, the part
//! that a proxy enforces; [`projection`] takes it out byte for byte, without parsing it.
//!
//! **The audit log** cannot be rewritten unseen: a hash chain over it ([`audit::chain`]) follows.
//!
//! **Audit order.** The revision of a commit is not known before it is made, so audit rows are keyed
//! by a ULID that rises within this process, inverted so that a scan yields the newest first. Two
//! operations in flight at once may be listed in either order; their revisions say which came first.
//!
//! No HTTP here. Store, clock and randomness are passed in.
//!
//! [`Store::watch`]: tenantry_store::Store::watch

pub mod context;
pub mod error;
pub mod layout;
pub mod principal;
pub mod projection;
pub mod record;

pub mod audit;
pub mod certificate;
pub mod changed;
pub mod deciding;
pub mod desired;
pub mod document;
pub mod domain;
pub mod effective;
pub mod history;
pub mod issuer;
pub mod key;
pub mod listing;
pub mod merge;
pub mod quota;
pub mod tenant;

pub mod denial;
pub mod invitation;
pub mod mail;
pub mod member;
pub mod node;
pub mod operator;
pub mod role;
pub mod rollout;
pub mod session;
pub mod token;
pub mod user;

mod access;
mod bounds;
mod directory;
mod draft;
mod due;
pub mod idempotency;
mod rehearsal;
mod removal;
mod settings;
mod tenancy;
mod text;
mod turns;
mod upstream;

pub use audit::{AuditEntry, AuditFilter};
pub use certificate::CertificateSpec;
pub use changed::Changed;
pub use context::{Caller, Clock, Precondition, Terms};
pub use deciding::{Clues, Deciding};
pub use denial::Denial;
pub use desired::{
    Applied, Difference, Exported, ImportTenant, Imported, LabelSelector, Left, MassRemoval,
    OnConflict, Proposed, RolledBack,
};
pub use document::Document;
pub use due::Reconciled;
pub use effective::Effective;
pub use error::{Error, Fault, StoreFault};
pub use history::{FieldChange, RecordChange, RevisionDetail, RevisionEntry, RevisionSummary};
pub use idempotency::Idempotency;
pub use invitation::{InvitationRecord, InvitationState, NewInvitation};
pub use issuer::NewIssuer;
pub use key::{CreatedKey, KeyRoll};
pub use listing::{Listing, PageRequest};
pub use mail::{Letter, Mail};
pub use member::{Joining, MemberRecord};
pub use node::{NewNode, NodeRecord};
pub use operator::{OperatorRecord, OperatorSpec};
pub use principal::{Credential, Principal};
pub use quota::{Count, QuotaAction, QuotaOutcome, QuotaState, Reservation};
pub use record::{
    ApiKeyRecord, CertificateRecord, DeletionCertificate, DomainRecord, IssuerRecord, Record,
    TenantRecord, Versioned,
};
pub use removal::RemovalAllowed;
pub use role::{RoleRecord, RoleSpec};
pub use rollout::{
    ChosenBy, NewRollout, Release, RolloutChange, RolloutRecord, RolloutState, RolloutTerms, Staged,
};
pub use session::{CreatedSession, SessionLife, SessionRecord};
pub use tenancy::Tenancy;
pub use tenant::subscription::{Subscription, SubscriptionAction, SubscriptionSpec};
pub use tenant::{CreatedTenant, NewTenant, TenantFilter, TenantRef, Transition};
pub use tenantry_directory::{Filter, Order};
pub use token::{CreatedToken, NewToken, TenantGrant, TokenHolder, TokenRecord};
pub use user::{UserRecord, UserSpec};
