//! `/api/v1/tenants`.

use reqwest::Method;
use serde_json::Value;
use tenantry_model::TenantSpec;

use super::{
    Client, ClientError,
    send::{if_revision, merge_patch, segment},
};
use crate::{CreateTenant, PageBody, SuspendTenant, TenantBody, TenantQuery};

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
    pub async fn create(&self, tenant: &CreateTenant) -> Result<TenantBody, ClientError> {
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

    /// Removes a tenant, so that it can be brought back with [`undelete`](Self::undelete).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(
        &self,
        tenant: &str,
        revision: Option<u64>,
    ) -> Result<TenantBody, ClientError> {
        let request = self.client.request(Method::DELETE, &path(tenant));
        self.client.send(if_revision(request, revision)).await
    }

    /// Refuses a tenant's requests until it is resumed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn suspend(&self, tenant: &str, reason: &str) -> Result<TenantBody, ClientError> {
        let request = self.client.request(Method::POST, &format!("{}/suspend", path(tenant)));
        self.client.send(request.json(&SuspendTenant { reason: reason.to_owned() })).await
    }

    /// Serves a suspended tenant again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume(&self, tenant: &str) -> Result<TenantBody, ClientError> {
        let request = self.client.request(Method::POST, &format!("{}/resume", path(tenant)));
        self.client.send(request).await
    }

    /// Brings a deleted tenant back to what it was.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn undelete(&self, tenant: &str) -> Result<TenantBody, ClientError> {
        let request = self.client.request(Method::POST, &format!("{}/undelete", path(tenant)));
        self.client.send(request).await
    }
}

fn path(tenant: &str) -> String {
    format!("/tenants/{}", segment(tenant))
}
