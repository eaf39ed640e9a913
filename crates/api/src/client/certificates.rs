//! `/api/v1/certificates`.

use reqwest::Method;

use super::{
    Client, ClientError,
    send::{if_revision, segment},
};
use crate::{CertificateBody, CertificateQuery, CreateCertificate, PageBody, ReplaceCertificate};

/// Certificates. With `revision`, a change is made only if the certificate is still at that revision.
#[derive(Debug, Clone, Copy)]
pub struct Certificates<'c> {
    client: &'c Client,
}

impl<'c> Certificates<'c> {
    pub(super) fn new(client: &'c Client) -> Self {
        Self { client }
    }

    /// Stores one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create(&self, body: &CreateCertificate) -> Result<CertificateBody, ClientError> {
        self.client.send(self.client.request(Method::POST, "/certificates").json(body)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, id: &str) -> Result<CertificateBody, ClientError> {
        self.client.send(self.client.request(Method::GET, &path(id))).await
    }

    /// One page of them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(
        &self,
        query: &CertificateQuery,
    ) -> Result<PageBody<CertificateBody>, ClientError> {
        self.client.send(self.client.list("/certificates", query)?).await
    }

    /// Replaces chain, key and domains of one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replace(
        &self,
        id: &str,
        body: &ReplaceCertificate,
        revision: Option<u64>,
    ) -> Result<CertificateBody, ClientError> {
        let request = self.client.request(Method::PUT, &path(id)).json(body);
        self.client.send(if_revision(request, revision)).await
    }

    /// Removes one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, id: &str, revision: Option<u64>) -> Result<(), ClientError> {
        let request = self.client.request(Method::DELETE, &path(id));
        self.client.send_empty(if_revision(request, revision)).await
    }
}

fn path(id: &str) -> String {
    format!("/certificates/{}", segment(id))
}
