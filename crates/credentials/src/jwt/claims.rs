//! Reading the claims of a token whose signature has been verified.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Number, Value};
use tenantry_model::{Issuer, Scope, Slug, TenantId, Timestamp};

use super::{Claim, TokenError, json::Object};

/// How far the clocks of issuer and gateway may differ: `exp` counts this much later and `nbf` this
/// much earlier (RFC 7519, sections 4.1.4 and 4.1.5, allow "no more than a few minutes").
pub const LEEWAY: Duration = Duration::from_secs(60);

/// What stands before the name of a role where scopes are demanded.
pub const ROLE_PREFIX: &str = "role:";

/// The longest `sub` (OpenID Connect Core 1.0, section 2).
pub const MAX_SUBJECT_BYTES: usize = 255;

/// What a genuine token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who calls (`sub`): 1 to [`MAX_SUBJECT_BYTES`] printable ASCII characters with no space first
    /// or last, because it becomes a header value, and a value that an upstream would trim could
    /// turn one subject into another.
    pub subject: Option<String>,
    /// The text of the issuer's tenant claim, which should be a tenant's id or slug; always there
    /// if the issuer has such a claim. Ask [`Self::is_for`] before believing it.
    pub tenant: Option<String>,
    /// The only tenant that the issuer may speak for; none for an issuer of all tenants.
    pub issuer_tenant: Option<TenantId>,
    /// What the caller may do. Entries of the token that are no valid [`Scope`] are left out. A role
    /// counts as the scope [`ROLE_PREFIX`] and its name.
    pub scopes: BTreeSet<Scope>,
    /// The caller's roles, if the issuer names them; each is spelled like a [`Scope`].
    pub roles: BTreeSet<Scope>,
    /// `exp` and [`LEEWAY`]: from this instant on the token is refused.
    pub expires_at: Timestamp,
}

impl Claims {
    /// Whether the token is good for a tenant: its issuer may speak for that tenant, and its tenant
    /// claim, if there is one, names that tenant by id or slug. An issuer of one tenant that signs
    /// another tenant's name is thus good for neither.
    #[must_use]
    pub fn is_for(&self, id: TenantId, slug: &Slug) -> bool {
        let by_issuer = self.issuer_tenant.map(|tenant| tenant == id);
        let by_claim = self
            .tenant
            .as_deref()
            .map(|name| name == slug.as_str() || name.parse::<TenantId>().is_ok_and(|t| t == id));
        match (by_issuer, by_claim) {
            (None, None) => false,
            (issuer, claim) => issuer.unwrap_or(true) && claim.unwrap_or(true),
        }
    }
}

/// Checks and reads the claims; what identifies the token comes before what only dates it.
pub(super) fn read(
    claims: &Object,
    claimed_issuer: &str,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    if claimed_issuer != issuer.issuer() {
        return Err(TokenError::WrongIssuer);
    }
    check_audience(claims, issuer.audiences())?;
    let expires_at = check_dates(claims, now)?;
    let tenant = match issuer.tenant_claim() {
        Some(name) => Some(tenant(claims, name)?),
        None => None,
    };
    let roles = roles(claims, issuer)?;
    Ok(Claims {
        subject: subject(claims)?,
        tenant,
        issuer_tenant: issuer.tenant(),
        scopes: scopes(claims, issuer, &roles)?,
        roles,
        expires_at,
    })
}

fn check_audience(claims: &Object, accepted: &BTreeSet<String>) -> Result<(), TokenError> {
    let bad = TokenError::BadClaim(Claim::Audience);
    let named = match claims.get("aud") {
        None => return Err(TokenError::MissingClaim(Claim::Audience)),
        Some(Value::String(audience)) => accepted.contains(audience),
        Some(Value::Array(audiences)) => {
            let audiences: Option<Vec<&str>> = audiences.iter().map(Value::as_str).collect();
            audiences.ok_or(bad)?.iter().any(|audience| accepted.contains(*audience))
        }
        Some(_) => return Err(bad),
    };
    if named { Ok(()) } else { Err(TokenError::WrongAudience) }
}

/// Returns the instant from which the token is refused.
///
/// `iat` must be a date if it is there, but may lie in the future: the standard gives it no meaning
/// for validity, and an issuer that means one sends `nbf`.
fn check_dates(claims: &Object, now: Timestamp) -> Result<Timestamp, TokenError> {
    let expiry =
        date(claims, "exp", Claim::Expiry)?.ok_or(TokenError::MissingClaim(Claim::Expiry))?;
    if expiry.unix_ms() == 0 {
        return Err(TokenError::BadClaim(Claim::Expiry));
    }
    let not_before = date(claims, "nbf", Claim::NotBefore)?;
    date(claims, "iat", Claim::IssuedAt)?;
    let expires_at = expiry.after(LEEWAY);
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    if not_before.is_some_and(|not_before| now.after(LEEWAY) < not_before) {
        return Err(TokenError::NotYetValid);
    }
    Ok(expires_at)
}

/// A NumericDate (RFC 7519, section 2): seconds since 1970, possibly with a fraction, of which
/// milliseconds are kept. Dates before 1970 or after the year 9999 are refused; the latter is also
/// what milliseconds taken for seconds look like.
fn date(claims: &Object, name: &str, claim: Claim) -> Result<Option<Timestamp>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(seconds)) => unix_ms(seconds)
            .map(|unix_ms| Some(Timestamp::from_unix_ms(unix_ms)))
            .ok_or(TokenError::BadClaim(claim)),
        Some(_) => Err(TokenError::BadClaim(claim)),
    }
}

fn unix_ms(seconds: &Number) -> Option<u64> {
    let last = Timestamp::from_unix_ms(u64::MAX).unix_ms();
    if let Some(seconds) = seconds.as_u64() {
        return seconds.checked_mul(1000).filter(|unix_ms| *unix_ms <= last);
    }
    let unix_ms = seconds.as_f64()? * 1000.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked on both sides of the conversion, and less than 1 ms is cut"
    )]
    (unix_ms >= 0.0).then_some(unix_ms as u64).filter(|unix_ms| *unix_ms <= last)
}

fn tenant(claims: &Object, name: &str) -> Result<String, TokenError> {
    match claims.get(name) {
        None => Err(TokenError::MissingClaim(Claim::Tenant)),
        Some(Value::String(tenant)) if !tenant.is_empty() => Ok(tenant.clone()),
        Some(_) => Err(TokenError::BadClaim(Claim::Tenant)),
    }
}

fn subject(claims: &Object) -> Result<Option<String>, TokenError> {
    match claims.get("sub") {
        None => Ok(None),
        Some(Value::String(subject)) if is_header_value(subject) => Ok(Some(subject.clone())),
        Some(_) => Err(TokenError::BadClaim(Claim::Subject)),
    }
}

fn is_header_value(subject: &str) -> bool {
    (1..=MAX_SUBJECT_BYTES).contains(&subject.len())
        && subject.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && subject.trim_matches(' ') == subject
}

/// Where the issuer says; else `scope` (RFC 8693, section 4.2: one string, separated by spaces), or else
/// `scp`, which issuers write as an array or as such a string. Each is read in either form.
///
/// Roles count as scopes too. Where the issuer has a claim for them no scope can pass for one: what a
/// client asked for in a scope is not what it was made.
fn scopes(
    claims: &Object,
    issuer: &Issuer,
    roles: &BTreeSet<Scope>,
) -> Result<BTreeSet<Scope>, TokenError> {
    let claim = match issuer.scope_claim() {
        Some(path) => path.find(claims),
        None => claims.get("scope").or_else(|| claims.get("scp")),
    };
    let mut scopes = listed(claim, Claim::Scope)?;
    if issuer.roles_claim().is_some() {
        scopes.retain(|scope| !scope.as_str().starts_with(ROLE_PREFIX));
    }
    let as_scopes = roles.iter().filter_map(|role| format!("{ROLE_PREFIX}{role}").parse().ok());
    scopes.extend(as_scopes);
    Ok(scopes)
}

fn roles(claims: &Object, issuer: &Issuer) -> Result<BTreeSet<Scope>, TokenError> {
    let Some(path) = issuer.roles_claim() else { return Ok(BTreeSet::new()) };
    listed(path.find(claims), Claim::Roles)
}

fn listed(value: Option<&Value>, claim: Claim) -> Result<BTreeSet<Scope>, TokenError> {
    match value {
        None => Ok(BTreeSet::new()),
        Some(Value::String(names)) => Ok(valid(names.split(' '))),
        Some(Value::Array(names)) => Ok(valid(names.iter().filter_map(Value::as_str))),
        Some(_) => Err(TokenError::BadClaim(claim)),
    }
}

fn valid<'s>(scopes: impl Iterator<Item = &'s str>) -> BTreeSet<Scope> {
    scopes.filter_map(|scope| scope.parse().ok()).collect()
}
