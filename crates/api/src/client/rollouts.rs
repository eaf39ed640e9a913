//! `/api/v1/rollouts`.

use reqwest::{Method, header};

use super::{Client, ClientError, desired::YAML, send::segment};
use crate::{
    ListQuery, PageBody, RolloutBody, RolloutDetailBody, StartRolloutQuery, TakeBackRollout,
};

impl Client {
    /// `POST /api/v1/rollouts`, with documents in YAML or JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn start_rollout(
        &self,
        documents: Vec<u8>,
        query: &StartRolloutQuery,
    ) -> Result<RolloutDetailBody, ClientError> {
        let request = self.query(Method::POST, "/rollouts", query)?;
        self.send(request.header(header::CONTENT_TYPE, YAML).body(documents)).await
    }

    /// `GET /api/v1/rollouts`, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollouts(&self, query: &ListQuery) -> Result<PageBody<RolloutBody>, ClientError> {
        self.send(self.list("/rollouts", query)?).await
    }

    /// `GET /api/v1/rollouts/{id}`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollout(&self, id: &str) -> Result<RolloutDetailBody, ClientError> {
        self.send(self.request(Method::GET, &format!("/rollouts/{}", segment(id)))).await
    }

    /// `POST /api/v1/rollouts/{id}/release`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release_rollout(&self, id: &str) -> Result<RolloutDetailBody, ClientError> {
        let path = format!("/rollouts/{}/release", segment(id));
        self.send(self.request(Method::POST, &path)).await
    }

    /// `POST /api/v1/rollouts/{id}/take-back`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn take_back_rollout(
        &self,
        id: &str,
        request: &TakeBackRollout,
    ) -> Result<RolloutDetailBody, ClientError> {
        let path = format!("/rollouts/{}/take-back", segment(id));
        self.send(self.request(Method::POST, &path).json(request)).await
    }
}
