//! What holds for a tenant, and who said so.
//!
//! Put together by the code that proxies compile from ([`tenantry_model::effective`]), of one state of the
//! store: all is read as it was at one revision.

use std::collections::BTreeMap;

use tenantry_model::{
    EffectiveLimits, Feature, FeatureId, FeatureRules, Group, Plan, ResourceKind, Sourced, Tenant,
};
use tenantry_store::Revision;

use crate::{
    Error, Record, Tenancy, TenantRef, Versioned, layout,
    tenancy::{damaged, decoded},
};

const FEATURES_AT_ONCE: usize = 500;

/// What holds for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Which tenant, as it was.
    pub tenant: Tenant,
    /// Its limits.
    pub limits: EffectiveLimits,
    /// All features that are declared or that its plan, its group or itself speak of.
    pub features: BTreeMap<FeatureId, Sourced<bool>>,
}

impl Tenancy {
    /// What holds for a tenant, at the revision in the answer.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what reading can end in.
    pub async fn effective(&self, tenant: &TenantRef) -> Result<Versioned<Effective>, Error> {
        let id = self.tenant(tenant).await?.value.resource.id;
        let (declared, at) = self.declared_features().await?;
        let tenant = self.tenant_at(id, at).await?.value.resource;
        let plan: Plan = self.document_at(ResourceKind::Plan, &tenant.plan.to_string(), at).await?;
        let group: Option<Group> = match &tenant.group {
            Some(id) => Some(self.document_at(ResourceKind::Group, &id.to_string(), at).await?),
            None => None,
        };
        let ceilings = group.as_ref().map(|group| &group.limits);
        let limits = EffectiveLimits::new(&plan.limits, ceilings, &tenant.limits);
        let features = FeatureRules::new(&plan, group.as_ref(), &tenant).all(&declared);
        Ok(Versioned { value: Effective { tenant, limits, features }, revision: at })
    }

    /// What a tenant refers to cannot be removed.
    async fn document_at<T: serde::de::DeserializeOwned>(
        &self,
        kind: ResourceKind,
        id: &str,
        at: Revision,
    ) -> Result<T, Error> {
        let key = layout::record(kind, id);
        let found: Option<Versioned<Record<T>>> = self.find(&key, Some(at)).await?;
        found.map(|found| found.value.resource).ok_or_else(|| damaged(key.as_bytes()))
    }

    /// Every declared feature, and the revision at which it is so.
    async fn declared_features(&self) -> Result<(Vec<Feature>, Revision), Error> {
        let prefix = layout::records(ResourceKind::Feature);
        let (mut features, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.scan(prefix.as_bytes(), cursor, FEATURES_AT_ONCE).await?;
            for row in &page.rows {
                let record: Versioned<Record<Feature>> = decoded(row)?;
                features.push(record.value.resource);
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok((features, page.at)),
            }
        }
    }
}
