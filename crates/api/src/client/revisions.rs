//! `/api/v1/revisions`.

use reqwest::Method;

use super::{Client, ClientError};
use crate::{
    DiffBody, PageBody, RevisionBody, RevisionDetailBody, RevisionDiffQuery, RevisionQuery,
    RollbackQuery, RolledBackBody,
};

impl Client {
    /// `GET /api/v1/revisions`, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revisions(
        &self,
        query: &RevisionQuery,
    ) -> Result<PageBody<RevisionBody>, ClientError> {
        self.send(self.list("/revisions", query)?).await
    }

    /// `GET /api/v1/revisions/{revision}`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revision(&self, revision: u64) -> Result<RevisionDetailBody, ClientError> {
        self.send(self.request(Method::GET, &format!("/revisions/{revision}"))).await
    }

    /// `GET /api/v1/revisions/{revision}/diff`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revision_diff(
        &self,
        revision: u64,
        query: &RevisionDiffQuery,
    ) -> Result<DiffBody, ClientError> {
        self.send(self.list(&format!("/revisions/{revision}/diff"), query)?).await
    }

    /// `POST /api/v1/revisions/{revision}/rollback`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn roll_back(
        &self,
        revision: u64,
        query: &RollbackQuery,
    ) -> Result<RolledBackBody, ClientError> {
        let path = format!("/revisions/{revision}/rollback");
        self.send(self.query(Method::POST, &path, query)?).await
    }
}
