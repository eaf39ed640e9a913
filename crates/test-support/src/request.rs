//! Requests to the gateway, written as prose.

use std::net::SocketAddr;

use crate::Echo;

/// A request in the making.
#[derive(Debug)]
#[must_use]
pub struct Request {
    builder: reqwest::RequestBuilder,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: String,
}

impl Request {
    pub(crate) fn new(
        client: &reqwest::Client,
        proxy: SocketAddr,
        method: http::Method,
        host: &str,
        path: &str,
    ) -> Self {
        let builder = client.request(method, format!("http://{proxy}{path}"));
        Self { builder: builder.header("host", host) }
    }

    pub(crate) fn of(builder: reqwest::RequestBuilder) -> Self {
        Self { builder }
    }

    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self { builder: self.builder.header(name, value) }
    }

    /// Presents an API key.
    pub fn key(self, secret: &str) -> Self {
        self.header("x-api-key", secret)
    }

    /// Presents a token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends a body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self { builder: self.builder.body(body) }
    }

    /// Sends it; an error if no whole answer came.
    ///
    /// # Errors
    /// What the transport said.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let response = self.builder.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.text().await? })
    }

    /// Sends it; panics if no whole answer came.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("the gateway answers")
    }

    /// Sends it and returns the status.
    pub async fn status(self) -> u16 {
        self.send().await.status
    }

    /// Sends it, expects that it reached the origin, and returns what arrived there.
    pub async fn echo(self) -> Echo {
        let answer = self.send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("the origin answers with an echo")
    }
}

impl Answer {
    /// A header's text; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The name of the problem, which is what its `type` ends with; empty if it is none.
    #[must_use]
    pub fn problem(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let kind = problem.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
        kind.rsplit(':').next().unwrap_or_default().to_owned()
    }
}
