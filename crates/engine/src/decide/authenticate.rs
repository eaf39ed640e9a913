//! Who is calling: host, API key and token must all name the same tenant.
//!
//! A credential that is recognisably meant for the gateway (an API key by its prefix, a token of an
//! issuer that is trusted here) must be good, whether it was needed or not. Anything else in those
//! headers is *foreign*: the application's own business. It proves nothing, it is passed on, and
//! where a credential is needed it counts as a wrong one.

use std::{fmt, net::IpAddr, sync::Arc};

use tenantry_credentials::{
    api_key,
    jwt::{Token, TokenError},
};
use tenantry_model::{AuthRequirement, KeyId, ResourceKind, Scope, Slug, TenantId, Timestamp};

use super::Denial;
use crate::{
    Reason, Table,
    facts::{RequestFacts, Single},
    issuer::CompiledIssuer,
    tenant::{AccessVerdict, CompiledTenant, KeyRules},
    token_cache::{TenantName, VerifiedToken},
    trace::{Stage, Trace},
};

/// A good token, and the tenant it names in the table at hand.
type Verified<'a> = (Arc<VerifiedToken>, &'a Arc<CompiledTenant>);

/// Signature checks spent on one token, when several issuers sign under one name.
const MAX_ISSUERS_TRIED: usize = 8;

/// The API key that proved a tenant.
#[derive(Debug, Clone)]
pub struct KeyIdentity {
    /// Which key.
    pub id: KeyId,
    pub(super) rules: Option<Arc<KeyRules>>,
}

/// Who is calling, as far as it was proven.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The API key.
    pub key: Option<KeyIdentity>,
    /// The token.
    pub token: Option<Arc<VerifiedToken>>,
    /// `X-API-Key` holds a credential of ours, which an upstream has no use for.
    pub api_key_is_ours: bool,
    /// `Authorization` holds a credential of ours.
    pub authorization_is_ours: bool,
}

impl Identity {
    /// What the key may and may not do.
    pub(super) fn key_rules(&self) -> Option<&Arc<KeyRules>> {
        self.key.as_ref()?.rules.as_ref()
    }

    /// Whether the key or the token has a scope.
    pub(crate) fn has_scope(&self, scope: &Scope) -> bool {
        self.key_rules().is_some_and(|rules| rules.scopes.contains(scope))
            || self.token.as_ref().is_some_and(|token| token.claims.scopes.contains(scope))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.token) {
            (None, None) => f.write_str("nothing that proves a tenant"),
            (Some(key), None) => write!(f, "API key {}", key.id),
            (None, Some(token)) => write!(f, "a token of {}", token.issuer.spec().issuer()),
            (Some(key), Some(token)) => {
                write!(f, "API key {} and a token of {}", key.id, token.issuer.spec().issuer())
            }
        }
    }
}

/// What was found in a request's credentials.
#[derive(Debug, Default)]
pub(super) struct Caller {
    pub(super) identity: Identity,
    pub(super) has_foreign: bool,
    /// A token was proven that is not at hand.
    pub(super) has_recorded_token: bool,
    /// Whatever is needed was proven, by what is not at hand.
    pub(super) is_recorded_proof: bool,
}

impl Caller {
    /// Whether a requirement is met.
    pub(super) fn check(&self, needed: AuthRequirement) -> Result<(), Reason> {
        let key = self.identity.key.is_some();
        let token = self.identity.token.is_some() || self.has_recorded_token;
        let is_met = match needed {
            AuthRequirement::None => true,
            AuthRequirement::Any => key || token,
            AuthRequirement::ApiKey => key,
            AuthRequirement::Jwt => token,
        };
        match (is_met || self.is_recorded_proof, self.has_foreign) {
            (true, _) => Ok(()),
            (false, true) => Err(Reason::CredentialInvalid),
            (false, false) => Err(Reason::CredentialMissing),
        }
    }
}

/// What a tenant asks of a caller at an address.
pub(super) fn needed(auth: AuthRequirement, verdict: AccessVerdict) -> AuthRequirement {
    match (verdict, auth) {
        (AccessVerdict::Trusted, _) => AuthRequirement::None,
        (AccessVerdict::Untrusted, AuthRequirement::None) => AuthRequirement::Any,
        (_, auth) => auth,
    }
}

/// Checks every credential and finds the one tenant that host and credentials name.
pub(super) fn authenticate<'a>(
    table: &'a Table,
    facts: &RequestFacts<'_>,
    now: Timestamp,
    host_tenant: Option<&'a Arc<CompiledTenant>>,
    trace: &mut impl Trace,
) -> Result<(&'a Arc<CompiledTenant>, Caller), Denial> {
    let mut authenticating = Authenticating {
        table,
        now,
        tenant: None,
        mismatch: false,
        caller: Caller::default(),
        trace,
    };
    authenticating.name(host_tenant);
    let refused = authenticating.credentials(facts).err();
    let Authenticating { tenant, mismatch, caller, trace, .. } = authenticating;
    let attributed = |denial: Denial| match host_tenant {
        Some(tenant) => denial.of(tenant),
        None => denial,
    };
    match (refused, tenant) {
        (Some(denial), _) => {
            trace.note(Stage::Authenticate, format_args!("refused: {}", denial.reason.as_str()));
            Err(attributed(denial))
        }
        (None, _) if mismatch => {
            trace.note(
                Stage::Authenticate,
                format_args!("host and credentials name different tenants"),
            );
            Err(attributed(Denial::new(Reason::TenantMismatch)))
        }
        (None, Some(tenant)) => Ok((tenant, caller)),
        (None, None) => Err(Denial::new(Reason::UnknownHost)),
    }
}

struct Authenticating<'a, 't, T> {
    table: &'a Table,
    now: Timestamp,
    tenant: Option<&'a Arc<CompiledTenant>>,
    mismatch: bool,
    caller: Caller,
    trace: &'t mut T,
}

impl<'a, T: Trace> Authenticating<'a, '_, T> {
    /// Notes that something names a tenant. A difference is remembered and not yet answered: a bad
    /// credential is reported as such, wherever it stands.
    fn name(&mut self, tenant: Option<&'a Arc<CompiledTenant>>) {
        match (self.tenant, tenant) {
            (Some(named), Some(tenant)) if named.id != tenant.id => self.mismatch = true,
            (None, Some(_)) => self.tenant = tenant,
            _ => {}
        }
    }

    fn credentials(&mut self, facts: &RequestFacts<'_>) -> Result<(), Denial> {
        if let Some(text) = text(facts.headers.api_key) {
            self.caller.identity.api_key_is_ours = self.api_key(text, facts.client)?;
        }
        if let Some(bearer) = text(facts.headers.authorization).and_then(bearer) {
            let is_key = api_key::looks_like_api_key(bearer);
            self.caller.identity.authorization_is_ours =
                if is_key { self.api_key(bearer, facts.client)? } else { self.token(bearer)? };
        }
        Ok(())
    }

    /// Whether the text is a key of ours; `false` if it is foreign.
    ///
    /// A key that is switched off is refused as if there were none, so that whoever holds it learns
    /// nothing. Where a good key may be used from is told to its holder, who has proven to be that.
    fn api_key(&mut self, text: &str, client: IpAddr) -> Result<bool, Denial> {
        if !api_key::looks_like_api_key(text) {
            self.caller.has_foreign = true;
            return Ok(false);
        }
        let presented = api_key::parse(text).map_err(|_| Denial::new(Reason::CredentialInvalid))?;
        let key = self
            .table
            .key(&presented.digest())
            .ok_or_else(|| Denial::new(Reason::CredentialInvalid))?;
        if !key.enabled {
            self.trace.note(Stage::Authenticate, format_args!("API key {} is off", key.id));
            self.trace.by(ResourceKind::ApiKey, &key.id);
            return Err(Denial::new(Reason::CredentialInvalid));
        }
        if key.expires_at.is_some_and(|expires_at| expires_at <= self.now) {
            return Err(Denial::new(Reason::CredentialExpired));
        }
        let tenant =
            self.table.tenant(key.tenant).ok_or_else(|| Denial::new(Reason::CredentialInvalid))?;
        self.trace
            .note(Stage::Authenticate, format_args!("API key {} is {}'s", key.id, tenant.slug));
        self.trace.by(ResourceKind::ApiKey, &key.id);
        self.trace.by(ResourceKind::Tenant, &tenant.id);
        if key.rules.as_ref().is_some_and(|rules| !rules.allows(client)) {
            let what = format_args!("API key {} may not be used from {client}", key.id);
            self.trace.note(Stage::Authenticate, what);
            self.trace.by(ResourceKind::ApiKey, &key.id);
            return Err(Denial::new(Reason::IpDenied));
        }
        self.name(Some(tenant));
        self.caller.identity.key = Some(KeyIdentity { id: key.id, rules: key.rules.clone() });
        Ok(true)
    }

    /// Whether the text is a token of a trusted issuer; `false` if it is foreign.
    fn token(&mut self, text: &str) -> Result<bool, Denial> {
        let remembered = self.table.runtime().tokens.get(text, self.now);
        let remembered =
            remembered.and_then(|token| self.tenant_of(&token).map(|tenant| (token, tenant)));
        let found = match remembered.filter(|found| self.is_unambiguous(found)) {
            Some(found) => Some(found),
            None => self.verify(text)?,
        };
        let Some((token, tenant)) = found else {
            self.caller.has_foreign = true;
            return Ok(false);
        };
        self.trace.note(
            Stage::Authenticate,
            format_args!("token of {} for {}", token.issuer.spec().issuer(), tenant.slug),
        );
        self.trace.by(ResourceKind::Issuer, &token.issuer.spec().id());
        self.trace.by(ResourceKind::Tenant, &tenant.id);
        self.name(Some(tenant));
        self.caller.identity.token = Some(token);
        Ok(true)
    }

    /// Whether a remembered token may be used. One that several issuers would accept was remembered
    /// under one of them; it counts for the tenant that host or key names, or if there is only one
    /// issuer of its name. Else the answer would depend on who used the token before.
    fn is_unambiguous(&self, (token, tenant): &Verified<'_>) -> bool {
        match self.tenant {
            Some(named) => named.id == tenant.id,
            None => self.table.issuers_named(token.issuer.spec().issuer()).len() == 1,
        }
    }

    /// Verifies a token with the issuers of its name; `None` if it is foreign.
    fn verify(&mut self, text: &str) -> Result<Option<Verified<'a>>, Denial> {
        let Ok(token) = Token::parse(text) else { return Ok(None) };
        let candidates = candidates(self.table.issuers_named(token.issuer()), self.tenant);
        if candidates.is_empty() {
            return Ok(None);
        }
        let mut found: Option<Verified<'a>> = None;
        let mut refused = None;
        for issuer in candidates.into_iter().take(MAX_ISSUERS_TRIED) {
            match self.verify_with(&token, issuer) {
                Ok((_, tenant))
                    if found.as_ref().is_some_and(|(_, other)| other.id != tenant.id) =>
                {
                    // Two tenants trust the same token, and nothing else says which is meant.
                    self.trace.note(
                        Stage::Authenticate,
                        format_args!("the token names more than one tenant"),
                    );
                    return Err(Denial::new(Reason::CredentialInvalid));
                }
                Ok(verified) => found = Some(verified),
                Err(denial) => refused = Some(more_telling(refused, denial)),
            }
        }
        match (found, refused) {
            (Some(found), _) => {
                self.table.runtime().tokens.insert(text, Arc::clone(&found.0));
                Ok(Some(found))
            }
            (None, Some(denial)) => Err(denial),
            (None, None) => Ok(None),
        }
    }

    fn verify_with(
        &mut self,
        token: &Token<'_>,
        issuer: &Arc<CompiledIssuer>,
    ) -> Result<Verified<'a>, Denial> {
        let (generation, keys) = issuer.keys();
        let wanted = || Denial {
            keys_wanted: Some(Arc::clone(issuer)),
            ..Denial::new(Reason::CredentialInvalid)
        };
        let keys = keys.ok_or_else(wanted)?;
        let claims = token.verify(issuer.spec(), &keys, self.now).map_err(|error| {
            self.trace
                .note(Stage::Authenticate, format_args!("issuer {}: {error}", issuer.spec().id()));
            self.trace.by(ResourceKind::Issuer, &issuer.spec().id());
            match error {
                TokenError::UnknownKey => wanted(),
                TokenError::Expired => Denial::new(Reason::CredentialExpired),
                _ => Denial::new(Reason::CredentialInvalid),
            }
        })?;
        let name = tenant_name(claims.tenant.as_deref(), issuer.spec().tenant());
        let invalid = || Denial::new(Reason::CredentialInvalid);
        let verified = VerifiedToken {
            tenant: name.ok_or_else(invalid)?,
            claims,
            issuer: Arc::clone(issuer),
            generation,
        };
        let tenant = self.tenant_of(&verified).ok_or_else(invalid)?;
        Ok((Arc::new(verified), tenant))
    }

    /// The tenant a token names, in this table: a slug may have changed hands since it was verified.
    /// An issuer of one tenant speaks for no other.
    fn tenant_of(&self, token: &VerifiedToken) -> Option<&'a Arc<CompiledTenant>> {
        let tenant = match &token.tenant {
            TenantName::Id(id) => self.table.tenant(*id),
            TenantName::Slug(slug) => self.table.tenant_of_slug(slug),
        }?;
        token.issuer.spec().tenant().is_none_or(|owner| owner == tenant.id).then_some(tenant)
    }
}

/// The issuers to try: those of the tenant that host or key names, and the shared ones; if neither
/// names one, or there is none of these, all of the name (a token for another tenant must be told from
/// a forged one).
fn candidates<'i>(
    issuers: &'i [Arc<CompiledIssuer>],
    named: Option<&Arc<CompiledTenant>>,
) -> Vec<&'i Arc<CompiledIssuer>> {
    let Some(named) = named else { return issuers.iter().collect() };
    let is_near = |issuer: &&Arc<CompiledIssuer>| {
        issuer.spec().tenant().is_none_or(|owner| owner == named.id)
    };
    let near: Vec<_> = issuers.iter().filter(is_near).collect();
    if near.is_empty() { issuers.iter().collect() } else { near }
}

/// Expired says more than invalid, and a missing key more than both: it can be fetched.
fn more_telling(known: Option<Denial>, denial: Denial) -> Denial {
    let rank = |denial: &Denial| {
        (denial.keys_wanted.is_some(), denial.reason == Reason::CredentialExpired)
    };
    match known {
        Some(known) if rank(&known) >= rank(&denial) => known,
        _ => denial,
    }
}

fn tenant_name(claim: Option<&str>, owner: Option<TenantId>) -> Option<TenantName> {
    match claim {
        Some(claim) if claim.starts_with(TenantId::PREFIX) => {
            claim.parse().ok().map(TenantName::Id)
        }
        Some(claim) => claim.parse::<Slug>().ok().map(TenantName::Slug),
        None => owner.map(TenantName::Id),
    }
}

/// A header's text. One that is not text holds no credential of ours; an empty one holds none at all.
fn text(header: Single<'_>) -> Option<&str> {
    header.one().and_then(|value| std::str::from_utf8(value).ok()).filter(|text| !text.is_empty())
}

/// The text that was taken for a token, where one was proven.
pub(super) fn presented_token<'a>(facts: &RequestFacts<'a>) -> Option<&'a str> {
    text(facts.headers.authorization).and_then(bearer)
}

/// What follows `Bearer` (RFC 6750, section 2.1; the scheme compares without case, RFC 9110, 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}
