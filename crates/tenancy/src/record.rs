//! What is stored: a resource, and what only people need to know about it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{
    ApiKey, Certificate, Domain, DomainPattern, Issuer, KeyId, KeySource, Tenant, TenantId,
    TenantProfile, TenantSpec, TenantState, Timestamp,
};
use tenantry_store::Revision;

use crate::idempotency::Answer;
use crate::tenant::subscription::Subscription;

/// The largest record, as JSON. A commit holds the record and its audit entry, and the store takes
/// 1 MiB.
pub const MAX_RECORD_BYTES: usize = 640 * 1024;

/// What a secret is replaced with.
pub(crate) const HIDDEN: &str = "[hidden]";
/// The private members of a JWK (RFC 7518, section 6).
const SECRET_JWK_MEMBERS: [&str; 8] = ["k", "d", "p", "q", "dp", "dq", "qi", "oth"];
/// What stands in place of `k` where it is sealed. It is shown as if it were not.
const SEALED: &str = "sealed_k";

/// A value, and the revision that last wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// The revision.
    pub revision: Revision,
}

/// A plan, feature, upstream or route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<T> {
    /// What a proxy enforces.
    pub resource: T,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// What a proxy enforces.
    pub resource: Tenant,
    /// What only people need.
    pub profile: TenantProfile,
    /// What it has subscribed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
    /// Why it is suspended, or was when it was deleted.
    pub suspended_reason: Option<String>,
    /// When it was deleted, if it is.
    pub deleted_at: Option<Timestamp>,
    /// What it was before, if it is deleted; what it is again when it is undeleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_from: Option<TenantState>,
    /// Until when a deleted tenant can be brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<Timestamp>,
    /// How far its purge has come, if it was begun. There is no way back from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge: Option<Purge>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// A purge in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// Who asked for it.
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// How many things of each kind were removed so far.
    pub removed: BTreeMap<String, u64>,
    /// A SHA-256 digest over the rows removed so far, each with the digest before it.
    pub digest: String,
}

/// What is left of a purged tenant: enough to show later that it is gone, and nothing it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionCertificate {
    /// The tenant.
    pub tenant: TenantId,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Who asked for its purge.
    pub requested_by: String,
    /// When its purge was asked for.
    pub requested_at: Timestamp,
    /// When the last of it was removed.
    pub purged_at: Timestamp,
    /// How many things of each kind were removed.
    pub removed: BTreeMap<String, u64>,
    /// A SHA-256 digest over all removed rows: who has a backup can show that it is what was removed.
    pub digest: String,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRecord {
    /// What a proxy enforces.
    pub resource: Domain,
    /// When it was added.
    pub created_at: Timestamp,
}

/// An API key; its secret is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRecord {
    /// What a proxy enforces.
    pub resource: ApiKey,
    /// What it is for.
    pub name: String,
    /// The first characters of the secret.
    pub hint: String,
    /// The key that it was made to take the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<KeyId>,
    /// The key that took its place, if it was rolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<KeyId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if it ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// A JWT issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRecord {
    /// What a proxy enforces. Its keys may hold a shared secret.
    pub resource: Issuer,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last replaced, if it ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// A certificate; its key is sealed. What the leaf says is kept beside it, so that nobody has to read
/// the chain again to show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// What a proxy enforces.
    pub resource: Certificate,
    /// All names of the leaf.
    pub names: BTreeSet<DomainPattern>,
    /// From when on the leaf is valid.
    pub not_before: Timestamp,
    /// Until when the leaf is valid.
    pub not_after: Timestamp,
    /// The SHA-256 digest of the leaf.
    pub fingerprint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl TenantRecord {
    /// What was written of it.
    #[must_use]
    pub fn spec(&self) -> TenantSpec {
        TenantSpec::of(&self.resource, &self.profile)
    }
}

impl IssuerRecord {
    /// The inline keys, if there are any, without their secrets.
    #[must_use]
    pub fn shown_keys(&self) -> Option<Value> {
        match self.resource.keys() {
            KeySource::Inline(jwks) => {
                let mut shown = jwks.clone();
                mask_keys(&mut shown);
                Some(shown)
            }
            KeySource::Url(_) => None,
        }
    }
}

impl Answer for IssuerRecord {
    /// With masked keys, as it is shown.
    fn kept(&self) -> Result<Value, serde_json::Error> {
        masked(self)
    }
}

impl Answer for CertificateRecord {
    /// The key is not shown anyway, and what stands in its place opens to nothing.
    fn kept(&self) -> Result<Value, serde_json::Error> {
        let mut kept = masked(self)?;
        if let Some(key) = kept.pointer_mut("/resource/key") {
            *key = format!("v1.{}.{}", "0".repeat(16), "0".repeat(38)).into();
        }
        Ok(kept)
    }
}

/// A record as the audit log shows it: without anything that could be used as a credential.
pub(crate) fn masked(record: &impl Serialize) -> Result<Value, serde_json::Error> {
    let mut shown = serde_json::to_value(record)?;
    for secret in ["/resource/digest", "/digest", "/password"] {
        if let Some(value) = shown.pointer_mut(secret).filter(|value| !value.is_null()) {
            *value = HIDDEN.into();
        }
    }
    if let Some(key) = shown.pointer_mut("/resource/tls/client_key_pem") {
        *key = HIDDEN.into();
    }
    if let Some(jwks) = shown.pointer_mut("/resource/jwks") {
        mask_keys(jwks);
    }
    if let Some(Value::Object(resource)) = shown.get_mut("resource")
        && resource.contains_key("chain_pem")
    {
        resource.insert("key".to_owned(), HIDDEN.into());
    }
    Ok(shown)
}

fn mask_keys(jwks: &mut Value) {
    let keys = jwks.get_mut("keys").and_then(Value::as_array_mut);
    for key in keys.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(sealed) = key.remove(SEALED) {
            key.insert("k".to_owned(), sealed);
        }
        for (name, value) in key {
            if SECRET_JWK_MEMBERS.contains(&name.as_str()) {
                *value = HIDDEN.into();
            }
        }
    }
}
