//! Changes of tenants as parts of a larger one.

use super::{
    Change, NewTenant, Transition,
    create::{Create, note},
    respecified, subscription,
};
use crate::{
    Caller, Error, Precondition, SubscriptionSpec, Tenancy, TenantRecord, TenantRef,
    draft::{Draft, Operation as _},
    key,
};
use tenantry_model::{KeyDigest, KeySpec, TenantSpec};

impl Tenancy {
    pub(crate) async fn draft_tenant(
        &self,
        caller: &Caller,
        tenant: NewTenant,
    ) -> Result<Draft<()>, Error> {
        Ok(Create { caller, tenant }.draft(self).await?.answering(drop))
    }

    /// With a key that somebody else has made.
    pub(crate) async fn draft_imported(
        &self,
        caller: &Caller,
        tenant: &NewTenant,
        key: Option<&(KeySpec, KeyDigest)>,
    ) -> Result<Draft<()>, Error> {
        let draft = Create { caller, tenant: tenant.clone() }.draft(self).await?;
        let id = draft.value.record.resource.id;
        let Some((spec, digest)) = key else { return Ok(draft.answering(drop)) };
        let (mut draft, key) = key::imported(self, draft, id, spec, *digest)?;
        if let Some(entry) = &mut draft.entry {
            note(&mut entry.after, "first_key", key.to_string());
        }
        Ok(draft.answering(drop))
    }

    pub(crate) async fn draft_respecified(
        &self,
        tenant: &TenantRef,
        spec: &TenantSpec,
    ) -> Result<Draft<()>, Error> {
        let change = |record: &TenantRecord| respecified(self, record, spec.clone());
        self.draft_change(tenant, "tenant.update", change).await
    }

    pub(crate) async fn draft_subscribed(
        &self,
        tenant: &TenantRef,
        spec: &SubscriptionSpec,
    ) -> Result<Draft<()>, Error> {
        let now = self.now();
        let change = |record: &TenantRecord| subscription::subscribed(record, spec, now);
        self.draft_change(tenant, "subscription.update", change).await
    }

    pub(crate) async fn draft_unsubscribed(&self, tenant: &TenantRef) -> Result<Draft<()>, Error> {
        self.draft_change(tenant, "subscription.delete", subscription::unsubscribed).await
    }

    pub(crate) async fn draft_moved(
        &self,
        tenant: &TenantRef,
        transition: &Transition,
    ) -> Result<Draft<()>, Error> {
        let now = self.now();
        let change = |record: &TenantRecord| transition.of(record, now, self.terms.retention);
        self.draft_change(tenant, transition.action(), change).await
    }

    async fn draft_change(
        &self,
        tenant: &TenantRef,
        action: &'static str,
        change: impl Fn(&TenantRecord) -> Result<TenantRecord, Error> + Sync,
    ) -> Result<Draft<()>, Error> {
        let precondition = &Precondition::None;
        let change = Change { tenant, action, precondition, change };
        Ok(change.draft(self).await?.answering(drop))
    }
}
