//! JWT issuers, of one tenant or of all.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{Algorithm, ClaimPath, IssuerId, TenantId, Timestamp};

/// `POST /api/v1/tenants/{tenant}/issuers`, and `POST /api/v1/issuers` for an issuer of all tenants.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateIssuer {
    /// The exact `iss` claim.
    pub issuer: String,
    /// A token must be meant for one of these (`aud`).
    pub audiences: BTreeSet<String>,
    /// The algorithms its tokens may be signed with.
    pub algorithms: BTreeSet<Algorithm>,
    /// The claim that holds a tenant's id or slug; an issuer of all tenants needs one.
    #[serde(default)]
    pub tenant_claim: Option<String>,
    /// Where its tokens say what the caller may do: a claim, or a JSON pointer such as
    /// `/resource_access/api/roles`; `scope`, else `scp`, if not given.
    #[serde(default)]
    pub scope_claim: Option<ClaimPath>,
    /// Where its tokens name the caller's roles: a claim, or a JSON pointer such as `/realm_access/roles`.
    #[serde(default)]
    pub roles_claim: Option<ClaimPath>,
    /// An inline JWKS document; either this or `jwks_url`.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// The URL of a JWKS document.
    #[serde(default)]
    pub jwks_url: Option<String>,
}

impl fmt::Debug for CreateIssuer {
    /// Leaves out the keys: one of them may be a shared secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// An issuer as it is returned. Secret members of inline keys are left out.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerBody {
    /// Never changes.
    pub id: IssuerId,
    /// The tenant it speaks for; none for an issuer of all tenants.
    pub tenant: Option<TenantId>,
    /// The exact `iss` claim.
    pub issuer: String,
    /// A token must be meant for one of these.
    pub audiences: BTreeSet<String>,
    /// The algorithms its tokens may be signed with.
    pub algorithms: BTreeSet<Algorithm>,
    /// The claim that holds a tenant's id or slug.
    pub tenant_claim: Option<String>,
    /// Where its tokens say what the caller may do, if not in `scope` or `scp`.
    pub scope_claim: Option<ClaimPath>,
    /// Where its tokens name the caller's roles.
    pub roles_claim: Option<ClaimPath>,
    /// The inline JWKS document, with secrets masked.
    pub jwks: Option<Value>,
    /// The URL of a JWKS document.
    pub jwks_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last replaced, if it ever was.
    pub updated_at: Option<Timestamp>,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}
