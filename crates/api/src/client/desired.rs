//! Export, diff and apply.

use reqwest::{Method, header};

use super::{Client, ClientError, Download};
use crate::{AppliedBody, ApplyQuery, DiffBody, DiffQuery, ExportQuery};

/// YAML as a body; JSON is YAML, too.
const YAML: &str = "application/yaml";

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
}
