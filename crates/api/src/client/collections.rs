//! The collections besides tenants.

use std::marker::PhantomData;

use reqwest::{Method, RequestBuilder};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Client, ClientError,
    send::{if_revision, merge_patch, segment},
};
use crate::{
    AddDomain, ApiKeyBody, CreateApiKey, CreateIssuer, CreatedApiKey, DocumentBody, DomainBody,
    IssuerBody, ListQuery, PageBody, RollApiKey,
};

/// Plans, features, upstreams or routes. With `revision`, a change is made only if the document is
/// still at that revision.
#[derive(Debug, Clone, Copy)]
pub struct Documents<'c, T> {
    client: &'c Client,
    collection: &'static str,
    resource: PhantomData<fn() -> T>,
}

impl<'c, T: Serialize + DeserializeOwned> Documents<'c, T> {
    pub(super) fn new(client: &'c Client, collection: &'static str) -> Self {
        Self { client, collection, resource: PhantomData }
    }

    /// Makes one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create(&self, resource: &T) -> Result<DocumentBody<T>, ClientError> {
        let path = format!("/{}", self.collection);
        self.client.send(self.client.request(Method::POST, &path).json(resource)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, id: &str) -> Result<DocumentBody<T>, ClientError> {
        self.client.send(self.client.request(Method::GET, &self.path(id))).await
    }

    /// One page of them, by identifier.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&self, query: &ListQuery) -> Result<PageBody<DocumentBody<T>>, ClientError> {
        self.client.send(self.client.list(&format!("/{}", self.collection), query)?).await
    }

    /// Replaces one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replace(
        &self,
        id: &str,
        resource: &T,
        revision: Option<u64>,
    ) -> Result<DocumentBody<T>, ClientError> {
        let request = self.client.request(Method::PUT, &self.path(id)).json(resource);
        self.client.send(if_revision(request, revision)).await
    }

    /// Changes some fields of one, by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch(
        &self,
        id: &str,
        patch: &Value,
        revision: Option<u64>,
    ) -> Result<DocumentBody<T>, ClientError> {
        let request = merge_patch(self.client.request(Method::PATCH, &self.path(id)), patch);
        self.client.send(if_revision(request, revision)).await
    }

    /// Removes one that nothing refers to.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, id: &str, revision: Option<u64>) -> Result<(), ClientError> {
        let request = self.client.request(Method::DELETE, &self.path(id));
        self.client.send_empty(if_revision(request, revision)).await
    }

    fn path(&self, id: &str) -> String {
        format!("/{}/{}", self.collection, segment(id))
    }
}

/// What is under one path, by the identifier of its items.
#[derive(Debug, Clone)]
pub(super) struct Collection<'c> {
    pub(super) client: &'c Client,
    pub(super) path: String,
}

impl<'c> Collection<'c> {
    pub(super) fn of_tenant(client: &'c Client, tenant: &str, collection: &str) -> Self {
        Self { client, path: format!("/tenants/{}/{collection}", segment(tenant)) }
    }

    pub(super) async fn create<T: DeserializeOwned>(
        &self,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.client.send(self.client.request(Method::POST, &self.path).json(body)).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, id: &str) -> Result<T, ClientError> {
        self.client.send(self.client.request(Method::GET, &self.item(id))).await
    }

    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        query: &ListQuery,
    ) -> Result<PageBody<T>, ClientError> {
        self.client.send(self.client.list(&self.path, query)?).await
    }

    pub(super) async fn delete(&self, id: &str) -> Result<(), ClientError> {
        self.client.send_empty(self.client.request(Method::DELETE, &self.item(id))).await
    }

    pub(super) fn request(&self, method: Method, id: &str) -> RequestBuilder {
        self.client.request(method, &self.item(id))
    }

    async fn replace<T: DeserializeOwned>(
        &self,
        id: &str,
        body: &impl Serialize,
        revision: Option<u64>,
    ) -> Result<T, ClientError> {
        let request = self.client.request(Method::PUT, &self.item(id)).json(body);
        self.client.send(if_revision(request, revision)).await
    }

    async fn patch<T: DeserializeOwned>(
        &self,
        id: &str,
        patch: &Value,
        revision: Option<u64>,
    ) -> Result<T, ClientError> {
        let request = merge_patch(self.client.request(Method::PATCH, &self.item(id)), patch);
        self.client.send(if_revision(request, revision)).await
    }

    async fn act<T: DeserializeOwned>(
        &self,
        id: &str,
        action: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let path = format!("{}/{action}", self.item(id));
        self.client.send(self.client.request(Method::POST, &path).json(body)).await
    }

    fn item(&self, id: &str) -> String {
        format!("{}/{}", self.path, segment(id))
    }
}

macro_rules! collection {
    ($(#[$doc:meta])* $name:ident, $create:ty => $created:ty, $body:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name<'c>(pub(super) Collection<'c>);

        impl $name<'_> {
            /// Makes one.
            ///
            /// # Errors
            /// [`ClientError`].
            pub async fn create(&self, body: &$create) -> Result<$created, ClientError> {
                self.0.create(body).await
            }

            /// One of them.
            ///
            /// # Errors
            /// [`ClientError`].
            pub async fn get(&self, id: &str) -> Result<$body, ClientError> {
                self.0.get(id).await
            }

            /// One page of them.
            ///
            /// # Errors
            /// [`ClientError`].
            pub async fn list(&self, query: &ListQuery) -> Result<PageBody<$body>, ClientError> {
                self.0.list(query).await
            }

            /// Removes one.
            ///
            /// # Errors
            /// [`ClientError`].
            pub async fn delete(&self, id: &str) -> Result<(), ClientError> {
                self.0.delete(id).await
            }
        }
    };
}

pub(super) use collection;

collection!(
    /// Domains of one tenant, by host.
    Domains, AddDomain => DomainBody, DomainBody
);
collection!(
    /// API keys of one tenant; deleting one revokes it.
    Keys, CreateApiKey => CreatedApiKey, ApiKeyBody
);
collection!(
    /// Issuers, of one tenant or of all.
    Issuers, CreateIssuer => IssuerBody, IssuerBody
);

impl<'c> Domains<'c> {
    pub(super) fn new(client: &'c Client, tenant: &str) -> Self {
        Self(Collection::of_tenant(client, tenant, "domains"))
    }
}

impl<'c> Keys<'c> {
    pub(super) fn new(client: &'c Client, tenant: &str) -> Self {
        Self(Collection::of_tenant(client, tenant, "keys"))
    }

    /// Replaces all that may be written of one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replace(
        &self,
        id: &str,
        key: &CreateApiKey,
        revision: Option<u64>,
    ) -> Result<ApiKeyBody, ClientError> {
        self.0.replace(id, key, revision).await
    }

    /// Changes some fields of one, by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch(
        &self,
        id: &str,
        patch: &Value,
        revision: Option<u64>,
    ) -> Result<ApiKeyBody, ClientError> {
        self.0.patch(id, patch, revision).await
    }

    /// Makes a new one that takes the place of an old one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn roll(&self, id: &str, roll: &RollApiKey) -> Result<CreatedApiKey, ClientError> {
        self.0.act(id, "roll", roll).await
    }
}

impl<'c> Issuers<'c> {
    pub(super) fn of_tenant(client: &'c Client, tenant: &str) -> Self {
        Self(Collection::of_tenant(client, tenant, "issuers"))
    }

    pub(super) fn shared(client: &'c Client) -> Self {
        Self(Collection { client, path: "/issuers".to_owned() })
    }
}
