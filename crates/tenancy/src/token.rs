//! Access tokens, of an operator or of a tenant: the secret is returned once, and only its digest is
//! stored.
//!
//! A token of an operator may do what the operator's roles allow now, and of that only its scopes. A
//! token of a tenant reaches that tenant only, whatever it may do there.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_credentials::access_token::{AccessSecret, Presented};
use tenantry_model::{
    KeyDigest, OperatorId, Permission, Permissions, RoleId, TenantId, TenantState, Timestamp,
    TokenId, UserId,
};
use tenantry_store::Batch;

use crate::idempotency::Answer;
use crate::{
    Caller, Credential, Error, Listing, MemberRecord, PageRequest, Precondition, Principal,
    Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    layout,
    tenant::not_deleted,
    text,
};

/// How many tokens an operator or a tenant can hold: all of them fit the commit that removes it.
pub const MAX_TOKENS: usize = 25;
/// `tno_` and four of the 30 random characters, which leaves far too many to guess.
const HINT_CHARACTERS: usize = 8;
/// How old the note of the last use may grow before it is written again.
const USE_COARSENESS_MS: u64 = 10 * 60 * 1000;

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken<G> {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub grant: G,
    /// From this instant on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// What a token of a tenant may do there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantGrant {
    /// What the role allows, as it is when the token is used.
    Role(RoleId),
    /// What this member may do, as long as it is one without a break: the token acts in its name.
    Member(UserId),
    /// These permissions.
    Scopes(Permissions),
}

/// Who holds a token, and what of its rights the token carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenHolder {
    /// An operator.
    Operator {
        /// Which.
        id: OperatorId,
        /// Only these of its permissions; all of them, if none are given.
        scopes: Option<Permissions>,
    },
    /// A tenant.
    Tenant {
        /// Which.
        id: TenantId,
        /// What it may do there.
        grant: TenantGrant,
    },
}

impl TokenHolder {
    fn name(&self) -> String {
        match self {
            Self::Operator { id, .. } => id.to_string(),
            Self::Tenant { id, .. } => id.to_string(),
        }
    }

    fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Operator { .. } => None,
            Self::Tenant { id, .. } => Some(*id),
        }
    }
}

/// An access token; its secret is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Never changes, and is not the secret.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// Who holds it.
    pub holder: TokenHolder,
    /// What it is found by.
    pub digest: KeyDigest,
    /// The first characters of the secret.
    pub hint: String,
    /// From this instant on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A token that was just made, with its secret.
#[derive(Serialize, Deserialize)]
pub struct CreatedToken {
    /// What is stored.
    pub record: TokenRecord,
    /// What is not; none where the request was sent before, and was answered with the secret then.
    #[serde(skip)]
    pub secret: Option<AccessSecret>,
}

impl Answer for CreatedToken {
    /// Without the digest as well, which is kept for as long as the token and no longer.
    fn kept(&self) -> Result<Value, serde_json::Error> {
        let mut kept = serde_json::to_value(self)?;
        if let Some(digest) = kept.pointer_mut("/record/digest") {
            *digest = "0".repeat(64).into();
        }
        Ok(kept)
    }
}

impl fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

impl Tenancy {
    /// Makes a token of an operator, with these of its permissions or with all.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Error::Forbidden`] if the operator or the token may
    /// do more than the caller.
    pub async fn create_operator_token(
        &self,
        caller: &Caller,
        operator: OperatorId,
        token: NewToken<Option<Permissions>>,
    ) -> Result<Versioned<CreatedToken>, Error> {
        self.run(caller, &CreateOfOperator { caller, operator, token }).await
    }

    /// Makes a token of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Error::Forbidden`] if it may do more than the caller,
    /// [`Error::InvalidState`] if the tenant is deleted.
    pub async fn create_tenant_token(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        token: NewToken<TenantGrant>,
    ) -> Result<Versioned<CreatedToken>, Error> {
        self.run(caller, &CreateOfTenant { caller, tenant, token }).await
    }

    /// One token of an operator or a tenant, given by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another's.
    pub async fn token(
        &self,
        holder: impl Display,
        id: TokenId,
    ) -> Result<Versioned<TokenRecord>, Error> {
        let found: Option<Versioned<TokenRecord>> = self.find(&layout::token(id), None).await?;
        let holder = holder.to_string();
        found
            .filter(|found| found.value.holder.name() == holder)
            .ok_or_else(|| Error::not_found("token", id))
    }

    /// The tokens of an operator or a tenant, given by its id, in the order in which they were made.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn tokens(
        &self,
        holder: impl Display,
        request: &PageRequest,
    ) -> Result<Listing<TokenRecord>, Error> {
        self.list_indexed(&layout::tokens_of(holder), layout::TOKENS, request).await
    }

    /// When a token was last used, to some minutes.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn token_used(&self, id: TokenId) -> Result<Option<Timestamp>, Error> {
        Ok(self.find(&layout::token_used(id), None).await?.map(|found| found.value))
    }

    /// Revokes a token of an operator or a tenant, given by its id, for good.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another's.
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        holder: impl Display,
        id: TokenId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        let holder = holder.to_string();
        self.run(caller, &Revoke { caller, holder, id, precondition }).await.map(drop)
    }

    /// Who presents this, if anybody who may act now.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn principal(&self, presented: Presented) -> Result<Option<Principal>, Error> {
        match presented {
            Presented::Token(digest) => self.holder_of(&digest).await,
            Presented::Session(digest) => self.session_holder(&digest).await,
        }
    }

    async fn holder_of(&self, digest: &KeyDigest) -> Result<Option<Principal>, Error> {
        let id: Option<Versioned<TokenId>> = self.find(&layout::token_digest(digest), None).await?;
        let Some(id) = id else { return Ok(None) };
        let found: Option<Versioned<TokenRecord>> =
            self.find(&layout::token(id.value), None).await?;
        let Some(token) = found.map(|found| found.value) else { return Ok(None) };
        if token.expires_at.is_some_and(|expires_at| expires_at <= self.now()) {
            return Ok(None);
        }
        let principal = match token.holder {
            TokenHolder::Operator { id, scopes } => {
                self.operator_principal(id, Credential::Token(token.id), scopes).await?
            }
            TokenHolder::Tenant { id, grant } => {
                self.tenant_principal(token.id, id, &grant, token.created_at).await?
            }
        };
        if principal.is_some() {
            self.note_use(token.id).await;
        }
        Ok(principal)
    }

    pub(crate) async fn operator_principal(
        &self,
        id: OperatorId,
        credential: Credential,
        scopes: Option<Permissions>,
    ) -> Result<Option<Principal>, Error> {
        let operator = match self.operator(id).await {
            Ok(operator) => operator.value,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if operator.spec.disabled {
            return Ok(None);
        }
        let mut permissions = operator.spec.permissions();
        permissions.retain(|p| scopes.as_ref().is_none_or(|scopes| scopes.contains(p)));
        Ok(Some(Principal::Operator { operator: id, credential, permissions }))
    }

    /// The tokens of a deleted tenant do not work before it is back.
    async fn tenant_principal(
        &self,
        token: TokenId,
        tenant: TenantId,
        grant: &TenantGrant,
        made_at: Timestamp,
    ) -> Result<Option<Principal>, Error> {
        match self.tenant(&TenantRef::Id(tenant)).await {
            Ok(found) if found.value.resource.state != TenantState::Deleting => {}
            Ok(_) | Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        let permissions = self.granted(tenant, grant, made_at).await?;
        Ok(permissions.map(|permissions| Principal::Tenant { token, tenant, permissions }))
    }

    /// What a grant that was made then comes to now; none if there is no such role, or no such member any more.
    async fn granted(
        &self,
        tenant: TenantId,
        grant: &TenantGrant,
        made_at: Timestamp,
    ) -> Result<Option<Permissions>, Error> {
        let role = match grant {
            TenantGrant::Scopes(scopes) => return Ok(Some(scopes.clone())),
            TenantGrant::Role(role) => role.clone(),
            TenantGrant::Member(user) => {
                let member: Option<Versioned<MemberRecord>> =
                    self.find(&layout::member(tenant, *user), None).await?;
                // Who went and came back is a member anew, for whom nobody has made a token yet.
                let since = member.filter(|member| member.value.created_at <= made_at);
                let Some(member) = since else { return Ok(None) };
                member.value.role
            }
        };
        Ok(self.assignable(tenant, &role).await?.map(|assigned| assigned.permissions))
    }

    /// Notes that a token was used: now and then, unaudited, and not at all if that fails.
    async fn note_use(&self, id: TokenId) {
        let (now, key) = (self.now(), layout::token_used(id));
        let last = self.token_used(id).await.unwrap_or_default().map_or(0, Timestamp::unix_ms);
        if now.unix_ms() < last.saturating_add(USE_COARSENESS_MS) {
            return;
        }
        if let Ok(json) = encoded("time", &now) {
            // A token revoked meanwhile leaves nothing behind: its row is checked.
            let token = self.find::<TokenRecord>(&layout::token(id), None).await.ok().flatten();
            let Some(token) = token else { return };
            let batch = Batch::new().unchanged(layout::token(id), token.revision).put(key, json);
            let _ = self.store.commit(batch).await;
        }
    }

    /// Removes all tokens of an operator together with it.
    pub(crate) async fn without_tokens<T>(
        &self,
        mut draft: Draft<T>,
        holder: impl Display,
    ) -> Result<Draft<T>, Error> {
        let request = PageRequest::new(Some(MAX_TOKENS * 2), None)?;
        for token in self.tokens(&holder, &request).await?.items {
            draft = removed(draft, &token.value);
        }
        Ok(draft)
    }

    async fn made<G>(
        &self,
        token: &NewToken<G>,
        holder: TokenHolder,
    ) -> Result<Draft<CreatedToken>, Error> {
        let NewToken { name, expires_at, .. } = token;
        let now = self.now();
        text::name("/name", name)?;
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Error::invalid("/expires_at", "the token would have expired already"));
        }
        let request = PageRequest::new(Some(MAX_TOKENS), None)?;
        let (owner, tenant) = (holder.name(), holder.tenant());
        if self.tokens(&owner, &request).await?.items.len() >= MAX_TOKENS {
            let detail = format!("at most {MAX_TOKENS} tokens can be held; revoke one first");
            return Err(Error::invalid("", detail));
        }
        let id = TokenId::from_parts(now.unix_ms(), self.identifiers.random());
        let secret = AccessSecret::token(|| self.random_byte());
        let digest = secret.digest();
        let hint = secret.expose().chars().take(HINT_CHARACTERS).collect();
        let record = TokenRecord {
            id,
            name: name.clone(),
            holder,
            digest,
            hint,
            expires_at: *expires_at,
            created_at: now,
        };
        let (key, json) = (layout::token(id), encoded("token", &record)?);
        Ok(Draft::about("token.create", key.clone(), tenant, record)
            .shown_after()?
            .answering(|record| CreatedToken { record, secret: Some(secret) })
            .absent(layout::token_digest(&digest))
            .put(layout::token_digest(&digest), encoded("id", &id)?)
            .put(format!("{}{id}", layout::tokens_of(owner)), Vec::new())
            .put(key, json))
    }
}

/// Adds to a draft that a token goes, with all its rows.
fn removed<T>(draft: Draft<T>, token: &TokenRecord) -> Draft<T> {
    let id = token.id;
    removed_index(draft, token)
        .delete(layout::token(id))
        .delete(format!("{}{id}", layout::tokens_of(token.holder.name())))
}

/// Adds to a draft that the rows go that lead to a token.
pub(crate) fn removed_index<T>(mut draft: Draft<T>, token: &TokenRecord) -> Draft<T> {
    let id = token.id;
    if let TokenHolder::Tenant { id: tenant, grant: TenantGrant::Role(role) } = &token.holder {
        draft = draft.delete(layout::role_use(*tenant, role, "token", id));
    }
    draft.delete(layout::token_digest(&token.digest)).delete(layout::token_used(id))
}

struct CreateOfOperator<'a> {
    caller: &'a Caller,
    operator: OperatorId,
    token: NewToken<Option<Permissions>>,
}

impl Operation for CreateOfOperator<'_> {
    type Output = CreatedToken;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CreatedToken>, Error> {
        let operator = tenancy.operator(self.operator).await?;
        let (principal, scopes) = (&self.caller.principal, self.token.grant.clone());
        // Whoever holds the token acts in the operator's name.
        principal.can_grant(&operator.value.spec.permissions())?;
        principal.can_grant(&scopes.clone().unwrap_or_default())?;
        let holder = TokenHolder::Operator { id: self.operator, scopes };
        let draft = tenancy.made(&self.token, holder).await?;
        Ok(draft.unchanged(layout::operator(self.operator), operator.revision))
    }
}

struct CreateOfTenant<'a> {
    caller: &'a Caller,
    tenant: &'a TenantRef,
    token: NewToken<TenantGrant>,
}

impl Operation for CreateOfTenant<'_> {
    type Output = CreatedToken;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CreatedToken>, Error> {
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let (id, grant) = (owner.value.resource.id, self.token.grant.clone());
        let permissions = tenancy.granted(id, &grant, tenancy.now()).await?;
        let pointer = match &grant {
            TenantGrant::Member(_) => "/member",
            TenantGrant::Role(_) | TenantGrant::Scopes(_) => "/role",
        };
        let missing = || Error::invalid(pointer, "the tenant has no such role or member");
        let permissions = permissions.ok_or_else(missing)?;
        if let Some(beyond) = beyond_tenants(&permissions) {
            let detail = format!("{beyond} cannot be held in a tenant");
            return Err(Error::invalid("/scopes", detail));
        }
        self.caller.principal.can_grant(&permissions)?;
        if let TenantGrant::Member(_) = &grant {
            // Whatever the member will be allowed to do, the token will be.
            self.caller.principal.can_grant(&Permission::of_tenants().collect())?;
        }
        let holder = TokenHolder::Tenant { id, grant: grant.clone() };
        let mut draft = tenancy.made(&self.token, holder).await?;
        if let TenantGrant::Role(role) = &grant {
            let token = draft.value.record.id;
            let assigned = tenancy.assigned(id, role).await?;
            draft = assigned.used_by(draft, layout::role_use(id, role, "token", token));
        }
        let key = layout::record(tenantry_model::ResourceKind::Tenant, id);
        Ok(draft.unchanged(key, owner.revision))
    }
}

/// A permission among these that nobody can hold in a tenant.
pub(crate) fn beyond_tenants(permissions: &Permissions) -> Option<Permission> {
    let mut permissions = permissions.iter().copied();
    permissions.find(|permission| !Permission::of_tenants().any(|own| own == *permission))
}

struct Revoke<'a> {
    caller: &'a Caller,
    holder: String,
    id: TokenId,
    precondition: &'a Precondition,
}

impl Operation for Revoke<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let current = tenancy.token(&self.holder, self.id).await?;
        self.precondition.check(current.revision)?;
        let (token, key) = (current.value, layout::token(self.id));
        // Nobody takes from a tenant what they could not have given.
        if let TokenHolder::Tenant { id, grant } = &token.holder {
            let granted = tenancy.granted(*id, grant, token.created_at).await?;
            let permissions = granted.unwrap_or_default();
            self.caller.principal.can_grant(&permissions)?;
        }
        let draft = Draft::about("token.revoke", key.clone(), token.holder.tenant(), ())
            .before(&token)?
            .unchanged(key, current.revision);
        Ok(removed(draft, &token))
    }
}
