//! The name of every row.
//!
//! | key | value |
//! |---|---|
//! | `{kind}/{id}` | the record of a resource; `kind` as [`ResourceKind`] writes it |
//! | `slug/{slug}` | the id of the tenant that has it |
//! | `certname/{tenant}/{domain}` | the id of the certificate that names it (`-`: one of the platform) |
//! | `certdefault` | the id of the default certificate |
//! | `keydigest/{digest}` | the id of the API key that has it |
//! | `used/{key}` | when an API key was last used, coarsely; outside the audit log and of no proxy's concern |
//! | `ref/{kind}/{id}/{kind}/{id}` | empty; the second refers to the first, which cannot be removed |
//! | `of/{tenant}/{kind}/{id}` | empty; the second belongs to the tenant (`-`: to all of them) |
//! | `count/{tenant}.{meter}` | how much of a meter is taken |
//! | `reservation/{id}` | room that was given for a while |
//! | `due/{time}/{kind}/{id}` | empty; at this time something is to be done |
//! | `idempotency/{digest}` | what a change was answered that a client had named |
//! | `purged/{tenant}` | what is left of a purged tenant |
//! | `audit/{order}` | an audit entry; the order is inverted, so the newest comes first |
//! | `chain/{sequence}` | the link of the hash chain to one audit entry |
//! | `chainhead` | the last link |
//! | `history/{kind}/{id}/{order}` | empty; the audit entry concerns this resource |
//! | `operator/{id}` | an operator |
//! | `operatoremail/{email}` | the id of the operator that has it |
//! | `token/{id}` | an access token, of an operator or of a tenant |
//! | `tokendigest/{digest}` | the id of the access token that has it |
//! | `of/{operator}/token/{token}` | empty; the token is held by the operator |
//! | `tokenused/{id}` | when the token was last used, to some minutes |
//! | `node/{id}` | the enrolment of a node |
//! | `nodedigest/{digest}` | the id of the enrolment whose token has it |
//! | `rollout/{id}` | a roll-out, whatever has become of it |
//! | `rolloutbody/{id}` | what a roll-out that is under way would change, and the documents that say so |
//! | `rolloutactive` | the id of the roll-out that is under way |
//! | `session/{digest}` | a session of an operator |
//! | `user/{id}` | a user |
//! | `useremail/{email}`, `usersubject/{digest}` | the id of the user that has it |
//! | `member/{tenant}/{user}` | a membership |
//! | `memberof/{user}/{tenant}` | empty; the user belongs to the tenant |
//! | `owner/{tenant}/{user}` | empty; the member is an owner |
//! | `role/{tenant}/{role}` | a role that the tenant has defined |
//! | `invitation/{id}` | an invitation, whatever has become of it |
//! | `invitationdigest/{digest}` | the id of the invitation whose token has it |
//! | `invitationpending/{tenant}/{email}` | the id of the invitation that is pending |
//! | `epoch` | the store, and which epoch proxies follow since that was found to have gone back |
//! | `removal` | until when proxies are told that a mass removal is meant |
//! | `mail/{unix_ms, 13 digits}/{id}` | a letter to be sent then; its text is sealed if there is a master key |
//! | `roleuse/{tenant}/{role}/{kind}/{id}` | empty; the last has the role, which cannot be removed |
//!
//! Identifiers hold neither `/` nor a zero byte, so no key is the start of another by accident.

mod access;

use std::fmt::Display;

use tenantry_model::{
    DomainPattern, KeyDigest, KeyId, MeterName, ReservationId, ResourceKind, Slug, TenantId,
    Timestamp,
};
use ulid::Ulid;

pub use access::ROLLOUT_ACTIVE;
pub(crate) use access::*;

/// All audit entries.
pub(crate) const AUDIT: &str = "audit/";

/// Everything that is counted.
pub(crate) const COUNTS: &str = "count/";

/// All links of the chain over the audit entries.
pub(crate) const CHAIN: &str = "chain/";

/// The last link.
pub(crate) const CHAIN_HEAD: &str = "chainhead";

/// Under which epoch the history goes on, if not under that of the store.
pub const EPOCH: &str = "epoch";

/// Until when proxies are told that a mass removal is meant.
pub(crate) const REMOVAL: &str = "removal";

/// All that is to be done some time.
pub(crate) const DUE: &str = "due/";

/// What is left of all purged tenants.
pub(crate) const PURGED: &str = "purged/";

/// Which certificate is the default.
pub(crate) const CERTIFICATE_DEFAULT: &str = "certdefault";

/// The record of a resource.
#[must_use]
pub fn record(kind: ResourceKind, id: impl Display) -> String {
    format!("{kind}/{id}")
}

/// What all records of a kind start with.
#[must_use]
pub fn records(kind: ResourceKind) -> String {
    format!("{kind}/")
}

pub(crate) fn slug(slug: &Slug) -> String {
    format!("slug/{slug}")
}

pub(crate) fn certificate_name(owner: Option<TenantId>, domain: &DomainPattern) -> String {
    match owner {
        Some(tenant) => format!("certname/{tenant}/{domain}"),
        None => format!("certname/-/{domain}"),
    }
}

pub(crate) fn key_digest(digest: &KeyDigest) -> String {
    format!("keydigest/{digest}")
}

/// What the keys of all rows start with that say when keys were last used.
pub const USED: &str = "used/";

pub(crate) fn used(key: KeyId) -> String {
    format!("{USED}{key}")
}

pub(crate) fn count(tenant: TenantId, meter: &MeterName) -> String {
    format!("{COUNTS}{tenant}.{meter}")
}

pub(crate) fn reservation(id: ReservationId) -> String {
    format!("reservation/{id}")
}

pub(crate) fn chain(sequence: u64) -> String {
    format!("{CHAIN}{sequence:020}")
}

/// Times are written with leading zeros, so that they sort.
pub(crate) fn due(at: Timestamp, kind: &str, id: &str) -> String {
    format!("{DUE}{:015}/{kind}/{id}", at.unix_ms())
}

/// What is left of a purged tenant.
/// What a named change was answered.
pub(crate) fn idempotency(name: &str) -> String {
    format!("idempotency/{name}")
}

/// That a named change concerned a tenant; it goes with the tenant.
pub(crate) fn idempotency_of(tenant: TenantId, name: &str) -> String {
    format!("{}idempotency/{name}", all_owned(tenant))
}

pub(crate) fn purged(tenant: TenantId) -> String {
    format!("{PURGED}{tenant}")
}

/// All references to a resource.
pub(crate) fn references(to: ResourceKind, id: impl Display) -> String {
    format!("ref/{to}/{id}/")
}

pub(crate) fn reference(
    to: ResourceKind,
    id: impl Display,
    by: ResourceKind,
    user: impl Display,
) -> String {
    format!("ref/{to}/{id}/{by}/{user}")
}

/// All resources of a kind that belong to a tenant, or to all tenants.
pub(crate) fn owned(owner: Option<TenantId>, kind: ResourceKind) -> String {
    match owner {
        Some(tenant) => format!("of/{tenant}/{kind}/"),
        None => format!("of/-/{kind}/"),
    }
}

/// Everything that belongs to a tenant.
#[must_use]
pub fn all_owned(owner: TenantId) -> String {
    format!("of/{owner}/")
}

pub(crate) fn audit(id: Ulid) -> String {
    format!("{AUDIT}{}", order(id))
}

/// All audit entries that concern a resource, written `kind/id`.
pub(crate) fn histories(target: &str) -> String {
    format!("history/{target}/")
}

pub(crate) fn history(target: &str, id: Ulid) -> String {
    format!("{}{}", histories(target), order(id))
}

/// Whether a row is an audit entry, or finds one.
pub(crate) fn is_log(key: &[u8]) -> bool {
    key.starts_with(AUDIT.as_bytes()) || key.starts_with(b"history/")
}

fn order(id: Ulid) -> String {
    format!("{:032x}", !id.0)
}
