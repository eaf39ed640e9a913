//! `/api/v1/tenants`.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tenantry_model::TenantSpec;

use super::{
    Client, ClientError,
    send::{if_revision, merge_patch, segment},
};
use crate::{
    CreateTenant, CreatedTenant, DeleteTenantQuery, DeletionCertificateBody, EffectiveBody,
    EffectiveQuery, ListQuery, PageBody, PurgeTenant, SuspendTenant, TenantBody, TenantQuery,
    TenantStatusBody,
};

/// Tenants. Wherever a `tenant` is named, its id or its slug will do. With `if_revision`, a change is
/// made only if the tenant is still at that revision.
#[derive(Debug, Clone, Copy)]
pub struct Tenants<'c> {
    client: &'c Client,
}

impl<'c> Tenants<'c> {
    pub(super) fn new(client: &'c Client) -> Self {
        Self { client }
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create(&self, tenant: &CreateTenant) -> Result<CreatedTenant, ClientError> {
        self.client.send(self.client.request(Method::POST, "/tenants").json(tenant)).await
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, tenant: &str) -> Result<TenantBody, ClientError> {
        self.client.send(self.client.request(Method::GET, &path(tenant))).await
    }

    /// One page of tenants.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&self, query: &TenantQuery) -> Result<PageBody<TenantBody>, ClientError> {
        self.client.send(self.client.list("/tenants", query)?).await
    }

    /// Replaces what may be written of a tenant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replace(
        &self,
        tenant: &str,
        body: &TenantSpec,
        revision: Option<u64>,
    ) -> Result<TenantBody, ClientError> {
        let request = self.client.request(Method::PUT, &path(tenant)).json(body);
        self.client.send(if_revision(request, revision)).await
    }

    /// Changes some fields of a tenant, by a merge patch (RFC 7396) of [`TenantSpec`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch(
        &self,
        tenant: &str,
        patch: &Value,
        revision: Option<u64>,
    ) -> Result<TenantBody, ClientError> {
        let request = merge_patch(self.client.request(Method::PATCH, &path(tenant)), patch);
        self.client.send(if_revision(request, revision)).await
    }

    /// Removes a tenant, so that it can be brought back with [`undelete`](Self::undelete) for a while.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(
        &self,
        tenant: &str,
        query: &DeleteTenantQuery,
        revision: Option<u64>,
    ) -> Result<TenantBody, ClientError> {
        let request = self.client.query(Method::DELETE, &path(tenant), query)?;
        self.client.send(if_revision(request, revision)).await
    }

    /// What holds for a tenant once default, plan, group and its own overrides are put together.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn effective(
        &self,
        tenant: &str,
        query: &EffectiveQuery,
    ) -> Result<EffectiveBody, ClientError> {
        let path = format!("{}/effective", path(tenant));
        self.client.send(self.client.query(Method::GET, &path, query)?).await
    }

    /// What the proxies have made of a tenant's last change.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self, tenant: &str) -> Result<TenantStatusBody, ClientError> {
        let path = format!("{}/status", path(tenant));
        self.client.send(self.client.request(Method::GET, &path)).await
    }

    /// Serves a tenant that was still to be set up.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn activate(&self, tenant: &str) -> Result<TenantBody, ClientError> {
        self.client.send(self.action(tenant, "activate")).await
    }

    /// Refuses a tenant's requests until it is resumed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn suspend(&self, tenant: &str, reason: &str) -> Result<TenantBody, ClientError> {
        let body = SuspendTenant { reason: reason.to_owned() };
        self.client.send(self.action(tenant, "suspend").json(&body)).await
    }

    /// Serves a suspended tenant again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume(&self, tenant: &str) -> Result<TenantBody, ClientError> {
        self.client.send(self.action(tenant, "resume")).await
    }

    /// Brings a deleted tenant back to what it was.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn undelete(&self, tenant: &str) -> Result<TenantBody, ClientError> {
        self.client.send(self.action(tenant, "undelete")).await
    }

    /// Removes a deleted tenant for good. `confirm` is its slug.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn purge(
        &self,
        tenant: &str,
        confirm: &str,
    ) -> Result<DeletionCertificateBody, ClientError> {
        let body = PurgeTenant { confirm: confirm.to_owned() };
        self.client.send(self.action(tenant, "purge").json(&body)).await
    }

    /// What is left of a purged tenant, by its id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn purged(&self, tenant: &str) -> Result<DeletionCertificateBody, ClientError> {
        let path = format!("/purged-tenants/{}", segment(tenant));
        self.client.send(self.client.request(Method::GET, &path)).await
    }

    /// What is left of purged tenants.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_purged(
        &self,
        query: &ListQuery,
    ) -> Result<PageBody<DeletionCertificateBody>, ClientError> {
        self.client.send(self.client.list("/purged-tenants", query)?).await
    }

    /// The settings that a tenant can have: the JSON Schema of each key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn settings(&self) -> Result<BTreeMap<String, Value>, ClientError> {
        self.client.send(self.client.request(Method::GET, "/settings")).await
    }

    /// Changes some settings of a tenant by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch_settings(
        &self,
        tenant: &str,
        patch: &Value,
        revision: Option<u64>,
    ) -> Result<TenantBody, ClientError> {
        let path = format!("{}/settings", path(tenant));
        let request = merge_patch(self.client.request(Method::PATCH, &path), patch);
        self.client.send(if_revision(request, revision)).await
    }

    fn action(&self, tenant: &str, action: &str) -> RequestBuilder {
        self.client.request(Method::POST, &format!("{}/{action}", path(tenant)))
    }
}

fn path(tenant: &str) -> String {
    format!("/tenants/{}", segment(tenant))
}
