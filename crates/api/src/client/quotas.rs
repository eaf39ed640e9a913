//! `/api/v1/tenants/{tenant}/quotas`.

use reqwest::Method;
use serde::Serialize;

use super::{Client, ClientError, send::segment};
use crate::{ConfirmQuota, PageBody, QuotaBody, QuotaChange, ReleaseQuota, ReserveQuota, SetQuota};

/// The quotas of one tenant.
#[derive(Debug, Clone)]
pub struct Quotas<'c> {
    client: &'c Client,
    path: String,
}

impl<'c> Quotas<'c> {
    pub(super) fn new(client: &'c Client, tenant: &str) -> Self {
        Self { client, path: format!("/tenants/{}/quotas", segment(tenant)) }
    }

    /// All of them, and how much of each is taken.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&self) -> Result<PageBody<QuotaBody>, ClientError> {
        self.client.send(self.client.request(Method::GET, &self.path)).await
    }

    /// Takes room: all that is asked for, or none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reserve(
        &self,
        meter: &str,
        body: &ReserveQuota,
    ) -> Result<QuotaChange, ClientError> {
        self.act(Method::POST, meter, "/reserve", body).await
    }

    /// Keeps leased room for good.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn confirm(
        &self,
        meter: &str,
        body: &ConfirmQuota,
    ) -> Result<QuotaChange, ClientError> {
        self.act(Method::POST, meter, "/confirm", body).await
    }

    /// Gives room back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release(
        &self,
        meter: &str,
        body: &ReleaseQuota,
    ) -> Result<QuotaChange, ClientError> {
        self.act(Method::POST, meter, "/release", body).await
    }

    /// Says how much is there in truth.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set(&self, meter: &str, body: &SetQuota) -> Result<QuotaChange, ClientError> {
        self.act(Method::PUT, meter, "", body).await
    }

    async fn act(
        &self,
        method: Method,
        meter: &str,
        action: &str,
        body: &impl Serialize,
    ) -> Result<QuotaChange, ClientError> {
        let path = format!("{}/{}{action}", self.path, segment(meter));
        self.client.send(self.client.request(method, &path).json(body)).await
    }
}
