//! One request: built, sent, and its answer read.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Request, RequestBuilder, Response, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Client, ClientError, Exchange};
use crate::Problem;

const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');

/// What is sent as a change is, and changes nothing that could be looked at or waited for.
const NO_CHANGES: [&str; 3] = ["/diff", "/explain", "/replay"];
/// What proxies do not concern themselves with, and cannot be waited for.
const SESSIONS: &str = "/sessions";
const DRY_RUN: &str = "dry-run";
const APPLIED: &str = "tenantry-applied";

/// The HTTP client, with the cryptography chosen here: reqwest would otherwise panic if nobody had
/// installed a provider for the whole process. It trusts no certificate authority yet, so `https`
/// fails closed until a control plane that speaks TLS says which one to trust.
pub(super) fn http() -> Result<reqwest::Client, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Setup(error.into()))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .map_err(|error| ClientError::Setup(error.into()))
}

/// A path segment, percent-encoded.
///
/// What would lead elsewhere (RFC 3986, section 5.2.4, also where its dots are encoded) is encoded twice: nothing
/// is called so, and the answer says that.
pub(super) fn segment(text: &str) -> String {
    match text {
        "." => "%252E".to_owned(),
        ".." => "%252E%252E".to_owned(),
        text => encoded(text),
    }
}

/// Text in a path or a query, percent-encoded.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// An answer that is read piece by piece.
#[derive(Debug)]
pub struct Download(Response);

impl Download {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`ClientError::Transport`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let piece = self.0.chunk().await.map_err(ClientError::Transport)?;
        Ok(piece.map(|piece| piece.to_vec()))
    }
}

impl Client {
    /// A request to a path under `/api/v1`.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = format!("{}/api/v1{path}", self.base);
        let is_change = method != Method::GET;
        let is_made = is_change && !NO_CHANGES.iter().any(|start| path.starts_with(start));
        let mark = if path.contains('?') { '&' } else { '?' };
        if is_made && self.is_rehearsal {
            url.push_str(&format!("{mark}dry_run=true"));
        } else if let Some(seconds) = self.wait_seconds
            && is_made
            && !path.starts_with(SESSIONS)
        {
            url.push_str(&format!("{mark}wait=applied&wait_seconds={seconds}"));
        }
        let request = self.http.request(method, url).bearer_auth(&self.token);
        match &self.idempotency_key {
            Some(key) if is_change => request.header("idempotency-key", key),
            _ => request,
        }
    }

    /// A `GET` with the fields of `query` as parameters.
    pub(super) fn list(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<RequestBuilder, ClientError> {
        self.query(Method::GET, path, query)
    }

    /// A request with the fields of `query` as parameters.
    pub(super) fn query(
        &self,
        method: Method,
        path: &str,
        query: &impl Serialize,
    ) -> Result<RequestBuilder, ClientError> {
        let fields =
            serde_json::to_value(query).map_err(|error| ClientError::Setup(error.into()))?;
        let pairs = fields.as_object().into_iter().flatten().map(|(name, value)| match value {
            Value::String(text) => format!("{name}={}", encoded(text)),
            other => format!("{name}={other}"),
        });
        let pairs: Vec<_> = pairs.collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        Ok(self.request(method, &format!("{path}{mark}{}", pairs.join("&"))))
    }

    /// Sends a request whose answer has a body.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let (status, body) = self.answer(request).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Answer { status, source: Some(error) })
    }

    /// Sends any request to a path under `/api/v1`, and returns the body of the answer, if it has one.
    ///
    /// # Errors
    /// [`ClientError`]; one without a status of its own, if this is no method.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, ClientError> {
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
        let method = method.map_err(|error| ClientError::Setup(error.into()))?;
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        let request = self.request(method, &format!("/{}", path.trim_start_matches('/')));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let (status, body) = self.answer(request).await?;
        if body.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&body)
            .map(Some)
            .map_err(|error| ClientError::Answer { status, source: Some(error) })
    }

    /// Sends a request whose answer has none.
    pub(super) async fn send_empty(&self, request: RequestBuilder) -> Result<(), ClientError> {
        self.answer(request).await.map(drop)
    }

    /// Sends a request whose answer is too large to be held. Its witness sees refusals alone.
    pub(super) async fn download(&self, request: RequestBuilder) -> Result<Download, ClientError> {
        let request: Request = request.build().map_err(ClientError::Transport)?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = self.http.execute(request).await.map_err(ClientError::Transport)?;
        if answer.status().is_success() {
            return Ok(Download(answer));
        }
        let (status, body) = self.received(&method, &path, answer).await?;
        Err(refusal(status, &body))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(u16, Bytes), ClientError> {
        let request: Request = request.build().map_err(ClientError::Transport)?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let is_to_be_rehearsed = request.url().query_pairs().any(|(name, _)| name == "dry_run");
        let answer = self.http.execute(request).await.map_err(ClientError::Transport)?;
        let is_success = answer.status().is_success();
        let applied = answer.headers().get(APPLIED).and_then(|value| value.to_str().ok());
        if let Some(applied) = applied.and_then(|applied| applied.parse().ok()) {
            self.has_waited(applied);
        }
        let is_rehearsed = answer.headers().contains_key(DRY_RUN);
        self.marks.has_rehearsed.fetch_or(is_rehearsed, Ordering::Relaxed);
        let (status, body) = self.received(&method, &path, answer).await?;
        if !is_success {
            return Err(refusal(status, &body));
        }
        if is_to_be_rehearsed && !is_rehearsed {
            return Err(ClientError::NotRehearsed);
        }
        Ok((status, body))
    }

    /// The whole answer, shown to the witness.
    async fn received(
        &self,
        method: &Method,
        path: &str,
        answer: Response,
    ) -> Result<(u16, Bytes), ClientError> {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(ClientError::Transport)?;
        if let Some(witness) = &self.witness {
            witness(&Exchange { method, path, status, headers: &headers, body: &body });
        }
        Ok((status, body))
    }
}

fn refusal(status: u16, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(error) => ClientError::Answer { status, source: Some(error) },
    }
}

/// Adds `If-Match`, if a revision is given.
pub(super) fn if_revision(request: RequestBuilder, revision: Option<u64>) -> RequestBuilder {
    match revision {
        Some(revision) => request.header(header::IF_MATCH, format!("\"{revision}\"")),
        None => request,
    }
}

/// The body of a merge patch.
pub(super) fn merge_patch(request: RequestBuilder, patch: &Value) -> RequestBuilder {
    request.header(header::CONTENT_TYPE, "application/merge-patch+json").body(patch.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for below a resource stays below it, as the URL parser reads it.
    #[test]
    fn no_name_leads_out_of_its_place() {
        for name in [".", "..", "%2e%2e", "a/b", "../..", "?", "#", "acme"] {
            let url = format!("http://x/api/v1/tenants/{}/issuers", segment(name));
            let url = reqwest::Url::parse(&url).unwrap();
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            assert_eq!(segments.len(), 5, "{name}: {url}");
            assert_eq!(
                (segments[2], segments[4], url.query()),
                ("tenants", "issuers", None),
                "{name}"
            );
        }
        assert_eq!(encoded(".."), "..", "in a query it is what it is");
    }
}
