//! Which state of each rate limit a request is charged to.

use std::net::IpAddr;

use tenantry_model::{LimitScope, RouteId};

use super::{Identity, KeyIdentity};
use crate::{
    CompiledRateLimit, Table,
    limiter::{Bucket, Subject},
};

/// Who asks for what, as far as limits tell it apart.
pub(super) struct Caller<'a> {
    pub(super) route: &'a RouteId,
    pub(super) identity: &'a Identity,
    pub(super) client: IpAddr,
}

impl Caller<'_> {
    /// The state of one limit.
    pub(super) fn bucket(&self, table: &Table, limit: &CompiledRateLimit) -> Bucket {
        let spec = limit.spec();
        if !spec.counts(self.route) {
            return Bucket::None;
        }
        let name = spec.name().as_str().as_bytes();
        let hash = |kind: &[u8], subject: &[u8]| table.subject_hash(&[name, kind, subject]);
        let subject = match spec.per() {
            LimitScope::Tenant => return Bucket::Tenant,
            LimitScope::Route => hash(b"route", self.route.as_str().as_bytes()),
            LimitScope::Client => self.of_client(&hash),
            LimitScope::Key => self.of_key(table, name).unwrap_or_else(|| self.of_client(&hash)),
        };
        Bucket::Subject { subject, shared: hash(b"newcomers", b"") }
    }

    /// The state of one of the key's own limits. Whatever the limit is told apart by, it is the key's
    /// alone. What a key has in all needs no place among newcomers: only good keys get as far as this.
    pub(super) fn bucket_of_key(
        &self,
        table: &Table,
        key: &KeyIdentity,
        limit: &CompiledRateLimit,
    ) -> Bucket {
        let spec = limit.spec();
        if !spec.counts(self.route) {
            return Bucket::None;
        }
        let (name, id) = (spec.name().as_str().as_bytes(), key.id.to_u128().to_be_bytes());
        let hash =
            |kind: &[u8], subject: &[u8]| table.subject_hash(&[b"own", &id, name, kind, subject]);
        let (subject, shared) = match spec.per() {
            LimitScope::Tenant | LimitScope::Key => (hash(b"key", b""), hash(b"key", b"")),
            LimitScope::Route => {
                (hash(b"route", self.route.as_str().as_bytes()), hash(b"newcomers", b""))
            }
            LimitScope::Client => (self.of_client(&hash), hash(b"newcomers", b"")),
        };
        Bucket::Subject { subject, shared }
    }

    /// A key before a token: it names one caller for certain.
    fn of_key(&self, table: &Table, name: &[u8]) -> Option<Subject> {
        if let Some(key) = &self.identity.key {
            return Some(table.subject_hash(&[name, b"key", key.id.to_string().as_bytes()]));
        }
        let token = self.identity.token.as_ref()?;
        let issuer = token.issuer.spec().issuer().as_bytes();
        Some(table.subject_hash(&[name, b"token", issuer, token.subject()?.as_bytes()]))
    }

    /// One customer of a provider usually has a whole /64 of IPv6 (RFC 6177): it counts as one.
    fn of_client(&self, hash: &impl Fn(&[u8], &[u8]) -> Subject) -> Subject {
        match self.client.to_canonical() {
            IpAddr::V4(address) => hash(b"v4", &address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                hash(b"v6", &[a, b, c, d, e, f, g, h])
            }
        }
    }
}
