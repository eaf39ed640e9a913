//! Attempts that were refused, in the audit log.

use serde::Serialize;
use tenantry_model::TenantId;

use crate::{
    Caller, Error, Tenancy,
    draft::{Draft, Operation},
};

/// What was refused: one attempt, or many of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The method, if it is one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path, if it is one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The status that was answered, if it is one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How many attempts.
    pub count: u64,
    /// Where they came from, if the entry does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Tenancy {
    /// Writes down what was refused. Whoever calls bounds how often.
    ///
    /// # Errors
    /// What a commit can end in.
    pub async fn record_denial(&self, caller: &Caller, denial: &Denial) -> Result<(), Error> {
        self.run(caller, &Denied { denial, tenant: caller.principal.confinement() }).await.map(drop)
    }
}

struct Denied<'a> {
    denial: &'a Denial,
    tenant: Option<TenantId>,
}

impl Operation for Denied<'_> {
    type Output = ();

    async fn draft(&self, _: &Tenancy) -> Result<Draft<()>, Error> {
        let said = serde_json::to_value(self.denial).unwrap_or_default();
        let target = "access/denied".to_owned();
        Ok(Draft::about("access.denied", target, self.tenant, ()).saying(said))
    }
}
