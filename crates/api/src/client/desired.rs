//! Export, diff, apply and import.

use reqwest::{Body, Method, header};

use super::{Client, ClientError, Download};
use crate::{
    AppliedBody, ApplyQuery, DiffBody, DiffQuery, ExportQuery, ImportQuery, ReplayRequest,
    ReplayResponse,
};

/// YAML as a body; JSON is YAML, too.
pub(super) const YAML: &str = "application/yaml";
/// Lines of JSON.
const LINES: &str = "application/x-ndjson";

impl Client {
    /// `GET /api/v1/export`, piece by piece as it comes.
    ///
    /// # Errors
    /// [`ClientError`], also between two pieces.
    pub async fn export(&self, query: &ExportQuery) -> Result<Download, ClientError> {
        self.download(self.list("/export", query)?).await
    }

    /// `POST /api/v1/diff` with documents in YAML or JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn diff(
        &self,
        documents: Vec<u8>,
        query: &DiffQuery,
    ) -> Result<DiffBody, ClientError> {
        let request = self.query(Method::POST, "/diff", query)?;
        self.send(request.header(header::CONTENT_TYPE, YAML).body(documents)).await
    }

    /// `POST /api/v1/apply` with documents in YAML or JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn apply(
        &self,
        documents: Vec<u8>,
        query: &ApplyQuery,
    ) -> Result<AppliedBody, ClientError> {
        let request = self.query(Method::POST, "/apply", query)?;
        self.send(request.header(header::CONTENT_TYPE, YAML).body(documents)).await
    }

    /// `POST /api/v1/replay`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replay(&self, request: &ReplayRequest) -> Result<ReplayResponse, ClientError> {
        self.send(self.request(Method::POST, "/replay").json(request)).await
    }

    /// `POST /api/v1/import` with a tenant in each line. The answer begins at once and is to be read while
    /// the lines are sent: [`ImportEvent`](crate::ImportEvent)s, one in each of its lines.
    ///
    /// # Errors
    /// [`ClientError`], also between two pieces.
    pub async fn import(
        &self,
        lines: impl Into<Body>,
        query: &ImportQuery,
    ) -> Result<Download, ClientError> {
        let request = self.query(Method::POST, "/import", query)?;
        self.download(request.header(header::CONTENT_TYPE, LINES).body(lines)).await
    }
}
