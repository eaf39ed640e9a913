//! `/api/v1/tenants/{tenant}/subscription`.

use reqwest::Method;
use serde_json::json;

use super::{Client, ClientError, send::segment};
use crate::{CancelSubscription, PutSubscription, SubscriptionBody};

/// The subscription of one tenant.
#[derive(Debug, Clone)]
pub struct Subscription<'c> {
    client: &'c Client,
    path: String,
}

impl<'c> Subscription<'c> {
    pub(super) fn new(client: &'c Client, tenant: &str) -> Self {
        Self { client, path: format!("/tenants/{}/subscription", segment(tenant)) }
    }

    /// What the tenant has subscribed to.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self) -> Result<SubscriptionBody, ClientError> {
        self.client.send(self.client.request(Method::GET, &self.path)).await
    }

    /// Gives the tenant a subscription, or other terms of the one it has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put(&self, body: &PutSubscription) -> Result<SubscriptionBody, ClientError> {
        self.client.send(self.client.request(Method::PUT, &self.path).json(body)).await
    }

    /// Takes it away.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self) -> Result<(), ClientError> {
        self.client.send_empty(self.client.request(Method::DELETE, &self.path)).await
    }

    /// Notes that the period that contains now is paid.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn renew(&self) -> Result<SubscriptionBody, ClientError> {
        self.act("renew", &json!({})).await
    }

    /// Notes that the current period is not paid.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn past_due(&self) -> Result<SubscriptionBody, ClientError> {
        self.act("past-due", &json!({})).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel(&self, at_period_end: bool) -> Result<SubscriptionBody, ClientError> {
        self.act("cancel", &CancelSubscription { at_period_end }).await
    }

    async fn act(
        &self,
        action: &str,
        body: &impl serde::Serialize,
    ) -> Result<SubscriptionBody, ClientError> {
        let path = format!("{}/{action}", self.path);
        self.client.send(self.client.request(Method::POST, &path).json(body)).await
    }
}
