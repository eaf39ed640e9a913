//! Tenants.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use tenantry_model::{DomainPattern, PlanId, TenantId, TenantSpec, TenantState, Timestamp};

/// What a document was not, and where in it.
pub type PlacedError = serde_path_to_error::Error<serde_json::Error>;

/// `POST /api/v1/tenants`: what a tenant is, and in the same commit what it starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateTenant {
    /// What it is.
    #[serde(flatten)]
    pub spec: TenantSpec,
    /// What it starts with.
    #[serde(flatten)]
    pub start: TenantStart,
}

/// What a tenant is made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantStart {
    /// The host names it owns from the start; at most 40.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainPattern>,
}

impl TenantStart {
    const MEMBERS: [&str; 1] = ["domains"];
}

impl CreateTenant {
    /// A tenant with defaults for all that has one.
    #[must_use]
    pub fn new(spec: TenantSpec) -> Self {
        Self { spec, start: TenantStart::default() }
    }

    /// Takes a document apart.
    ///
    /// # Errors
    /// The first rule that is broken, with its place: serde's own way of taking such a document apart
    /// would neither know the place nor see a misspelled member.
    pub fn parse(mut document: Map<String, Value>) -> Result<Self, PlacedError> {
        let mut start = Map::new();
        for member in TenantStart::MEMBERS {
            if let Some(value) = document.remove(member) {
                start.insert(member.to_owned(), value);
            }
        }
        Ok(Self {
            start: serde_path_to_error::deserialize(Value::Object(start))?,
            spec: serde_path_to_error::deserialize(Value::Object(document))?,
        })
    }
}

impl<'de> Deserialize<'de> for CreateTenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// `POST /api/v1/tenants/{tenant}/suspend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspendTenant {
    /// Why, for people.
    pub reason: String,
}

/// A tenant as it is returned. Its domains, keys and issuers are collections of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantBody {
    /// Never changes.
    pub id: TenantId,
    /// What was written of it.
    #[serde(flatten)]
    pub spec: TenantSpec,
    /// Whether it is served.
    pub state: TenantState,
    /// Why it is suspended, or was when it was deleted.
    pub suspended_reason: Option<String>,
    /// When it was deleted; set only in the state `deleting`.
    pub deleted_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that last wrote it; also its `ETag`.
    pub revision: u64,
}

/// Which tenants are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantQuery {
    /// 1 to [`MAX_PAGE_ITEMS`](crate::page::MAX_PAGE_ITEMS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before, with the same filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only tenants in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TenantState>,
    /// Only tenants on this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// Only tenants whose slug starts with this, or whose name contains it, whatever the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
}
