//! Deciding a request again that was decided before, without its credentials: what they proved stands for them.

use std::sync::Arc;

use tenantry_model::{KeyId, ResourceKind, TenantId};

use super::{Charging, Deciding, Decision, Denial, KeyIdentity, authenticate::Caller};
use crate::{
    Reason, Table,
    facts::{Now, RequestFacts},
    tenant::CompiledTenant,
    trace::{Stage, Trace},
};

/// What the credentials of a request had proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Whose request it was.
    pub tenant: Option<TenantId>,
    /// The API key that proved it.
    pub key: Option<KeyId>,
    /// Whether a token proved it. What else that token said is not known: it has no scopes, and makes no claims.
    pub has_token: bool,
    /// Whether whatever was needed was proven, by credentials that were not recorded.
    pub is_proven: bool,
}

/// Decides as [`decide`](super::decide) would if credentials were sent that prove what is recorded; charges nothing.
pub fn redecide(
    table: &Table,
    facts: &RequestFacts<'_>,
    recorded: &Recorded,
    now: Now,
    trace: &mut impl Trace,
) -> Decision {
    let recorded = Some(recorded);
    let mut deciding = Deciding { table, facts, now, charging: Charging::Probe, recorded, trace };
    deciding.decide().unwrap_or_else(Decision::Deny)
}

impl<'a, T: Trace> Deciding<'a, T> {
    /// What [`authenticate`](super::authenticate::authenticate) does for credentials that are at hand.
    pub(super) fn recognise(
        &mut self,
        recorded: &Recorded,
        host_tenant: Option<&'a Arc<CompiledTenant>>,
    ) -> Result<(&'a Arc<CompiledTenant>, Caller), Denial> {
        let attributed = |reason| match host_tenant {
            Some(tenant) => Denial::new(reason).of(tenant),
            None => Denial::new(reason),
        };
        let mut caller = Caller {
            has_recorded_token: recorded.has_token,
            is_recorded_proof: recorded.is_proven,
            ..Caller::default()
        };
        let is_proven = recorded.key.is_some() || recorded.has_token;
        let mut named = host_tenant;
        if let Some(id) = recorded.key {
            let key = self.key(id).map_err(attributed)?;
            named = Some(key);
            let rules = self.table.key_by_id(id).and_then(|key| key.rules.clone());
            caller.identity.key = Some(KeyIdentity { id, rules });
        } else if let Some(tenant) = recorded
            .tenant
            .filter(|_| recorded.has_token || recorded.is_proven && host_tenant.is_none())
        {
            named = self.table.tenant(tenant);
        }
        self.trace.note(Stage::Authenticate, format_args!("as recorded: {}", caller.identity));
        match (named, host_tenant) {
            (None, _) if is_proven => Err(attributed(Reason::CredentialInvalid)),
            (None, _) => Err(Denial::new(Reason::UnknownHost)),
            (Some(named), Some(host)) if named.id != host.id => {
                Err(attributed(Reason::TenantMismatch))
            }
            (Some(named), _) => Ok((named, caller)),
        }
    }

    /// The tenant of a key that may be used.
    fn key(&mut self, id: KeyId) -> Result<&'a Arc<CompiledTenant>, Reason> {
        let key = self.table.key_by_id(id).filter(|key| key.enabled);
        let key = key.ok_or(Reason::CredentialInvalid)?;
        if key.expires_at.is_some_and(|expires_at| expires_at <= self.now.unix) {
            return Err(Reason::CredentialExpired);
        }
        let tenant = self.table.tenant(key.tenant).ok_or(Reason::CredentialInvalid)?;
        if key.rules.as_ref().is_some_and(|rules| !rules.allows(self.facts.client)) {
            return Err(Reason::IpDenied);
        }
        self.trace.note(Stage::Authenticate, format_args!("API key {id} is {}'s", tenant.slug));
        self.trace.by(ResourceKind::ApiKey, &id);
        Ok(tenant)
    }
}
