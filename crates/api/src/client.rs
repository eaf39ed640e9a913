//! A typed client of the API.
//!
//! One method for each endpoint, grouped by resource as the paths are:
//! `client.tenants().suspend("acme", "unpaid")`, `client.plans().list(&query)`. It repeats nothing on its own: only the caller knows
//! whether a request may be sent twice.

mod access;
mod certificates;
mod collections;
mod desired;
mod invitations;
mod people;
mod quotas;
mod revisions;
mod rollouts;
mod send;
mod subscriptions;
mod tenants;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::{Method, header::HeaderMap};
use tenantry_model::{Feature, Group, Plan, Route, Upstream};

pub use access::{Nodes, Operators, TenantTokens, Tokens};
pub use certificates::Certificates;
pub use collections::{Documents, Domains, Issuers, Keys};
pub use invitations::Invitations;
pub use people::{Members, Roles, Users};
pub use quotas::Quotas;
/// What is sent, whole or as a stream.
pub use reqwest::Body;
pub use send::Download;
pub use subscriptions::Subscription;
pub use tenants::Tenants;

use crate::{
    AllowRemoval, AuditEntryBody, AuditQuery, AuditVerification, Enforcement, ExplainRequest,
    ExplainResponse, PageBody, Problem, ProxyBody, RemovalAllowedBody, VerifyAuditQuery,
};

/// The API of one control plane.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Without a final slash.
    base: String,
    token: String,
    idempotency_key: Option<String>,
    is_rehearsal: bool,
    /// For how many seconds changes are waited for.
    wait_seconds: Option<u8>,
    marks: Arc<Marks>,
    witness: Option<Arc<Witness>>,
}

/// What was seen in the answers to changes.
#[derive(Debug, Default)]
struct Marks {
    has_rehearsed: AtomicBool,
    /// What proxies made of the changes that were waited for.
    applied: Mutex<Vec<Enforcement>>,
}

/// A request that was answered, as it was on the wire.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, without the query.
    pub path: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// The headers of the answer.
    pub headers: &'a HeaderMap,
    /// The body of the answer.
    pub body: &'a [u8],
}

/// Sees every answer before the client reads it: for logs, and for tests that hold the answers against
/// the API's description.
pub type Witness = dyn Fn(&Exchange<'_>) + Send + Sync;

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The control plane refused the request and said why.
    #[error("{}: {}", .0.title, .0.detail)]
    Problem(Box<Problem>),
    /// There was no answer.
    #[error("the control plane could not be reached")]
    Transport(#[source] reqwest::Error),
    /// The answer is not one of this API.
    #[error("an answer with status {status} that this client cannot read")]
    Answer {
        /// Its HTTP status.
        status: u16,
        /// What the parser said, if it got that far.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A change that was only to be looked at was made.
    #[error("the control plane knows no dry runs, and has made the change")]
    NotRehearsed,
    /// The client could not be set up.
    #[error("the HTTP client could not be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClientError {
    /// What the control plane said, if it did.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Transport(_) | Self::Answer { .. } | Self::NotRehearsed | Self::Setup(_) => None,
        }
    }
}

impl Client {
    /// Of the control plane at a base URL such as `http://127.0.0.1:7070`, with a token: the root token, an access
    /// token or a session.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn new(base: &str, token: impl Into<String>) -> Result<Self, ClientError> {
        Ok(Self {
            http: send::http()?,
            base: base.trim_end_matches('/').to_owned(),
            token: token.into(),
            idempotency_key: None,
            is_rehearsal: false,
            wait_seconds: None,
            marks: Arc::default(),
            witness: None,
        })
    }

    /// The same client with somebody who sees every answer.
    #[must_use]
    pub fn witnessed(self, witness: Arc<Witness>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// The same client, whose next change is named by this key: sent again under it, it is not made
    /// again. Use it for one change and its repetitions.
    #[must_use]
    pub fn keyed(&self, idempotency_key: impl Into<String>) -> Self {
        Self { idempotency_key: Some(idempotency_key.into()), ..self.clone() }
    }

    /// The same client, whose changes are looked at and not done.
    #[must_use]
    pub fn rehearsing(&self) -> Self {
        Self { is_rehearsal: true, ..self.clone() }
    }

    /// The same client, whose changes are answered once every connected proxy enforces them or refuses them, or
    /// after so many seconds, 1 to 60.
    #[must_use]
    pub fn waiting(&self, seconds: u8) -> Self {
        Self { wait_seconds: Some(seconds), ..self.clone() }
    }

    /// What the proxies made of the changes that were waited for, in order.
    #[must_use]
    pub fn applied(&self) -> Vec<Enforcement> {
        self.marks.applied.lock().map(|applied| applied.clone()).unwrap_or_default()
    }

    /// Says what the proxies made of a change, where an answer says so at its end.
    pub fn has_waited(&self, enforcement: Enforcement) {
        if let Ok(mut applied) = self.marks.applied.lock() {
            applied.push(enforcement);
        }
    }

    /// Whether an answer was that of a dry run.
    #[must_use]
    pub fn has_rehearsed(&self) -> bool {
        self.marks.has_rehearsed.load(Ordering::Relaxed)
    }

    /// `/api/v1/tenants`.
    #[must_use]
    pub fn tenants(&self) -> Tenants<'_> {
        Tenants::new(self)
    }

    /// `/api/v1/plans`.
    #[must_use]
    pub fn plans(&self) -> Documents<'_, Plan> {
        Documents::new(self, "plans")
    }

    /// `/api/v1/groups`.
    #[must_use]
    pub fn groups(&self) -> Documents<'_, Group> {
        Documents::new(self, "groups")
    }

    /// `/api/v1/features`.
    #[must_use]
    pub fn features(&self) -> Documents<'_, Feature> {
        Documents::new(self, "features")
    }

    /// `/api/v1/upstreams`.
    #[must_use]
    pub fn upstreams(&self) -> Documents<'_, Upstream> {
        Documents::new(self, "upstreams")
    }

    /// `/api/v1/routes`.
    #[must_use]
    pub fn routes(&self) -> Documents<'_, Route> {
        Documents::new(self, "routes")
    }

    /// `/api/v1/tenants/{tenant}/domains`; the tenant's id or slug.
    #[must_use]
    pub fn domains(&self, tenant: &str) -> Domains<'_> {
        Domains::new(self, tenant)
    }

    /// `/api/v1/tenants/{tenant}/keys`; the tenant's id or slug.
    #[must_use]
    pub fn keys(&self, tenant: &str) -> Keys<'_> {
        Keys::new(self, tenant)
    }

    /// `/api/v1/tenants/{tenant}/quotas`; the tenant's id or slug.
    #[must_use]
    pub fn quotas(&self, tenant: &str) -> Quotas<'_> {
        Quotas::new(self, tenant)
    }

    /// `/api/v1/tenants/{tenant}/subscription`; the tenant's id or slug.
    #[must_use]
    pub fn subscription(&self, tenant: &str) -> Subscription<'_> {
        Subscription::new(self, tenant)
    }

    /// `/api/v1/tenants/{tenant}/issuers`; the tenant's id or slug.
    #[must_use]
    pub fn issuers(&self, tenant: &str) -> Issuers<'_> {
        Issuers::of_tenant(self, tenant)
    }

    /// `/api/v1/issuers`: those of all tenants.
    #[must_use]
    pub fn shared_issuers(&self) -> Issuers<'_> {
        Issuers::shared(self)
    }

    /// `/api/v1/certificates`.
    #[must_use]
    pub fn certificates(&self) -> Certificates<'_> {
        Certificates::new(self)
    }

    /// `GET /api/v1/proxies`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn proxies(&self) -> Result<PageBody<ProxyBody>, ClientError> {
        self.send(self.request(Method::GET, "/proxies")).await
    }

    /// `POST /api/v1/distribution/removal`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn allow_removal(
        &self,
        request: &AllowRemoval,
    ) -> Result<RemovalAllowedBody, ClientError> {
        self.send(self.request(Method::POST, "/distribution/removal").json(request)).await
    }

    /// `POST /api/v1/explain`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn explain(&self, request: &ExplainRequest) -> Result<ExplainResponse, ClientError> {
        self.send(self.request(Method::POST, "/explain").json(request)).await
    }

    /// `GET /api/v1/snapshot`: a recorded stream, piece by piece as it comes.
    ///
    /// # Errors
    /// [`ClientError`], also between two pieces.
    pub async fn export_snapshot(&self) -> Result<Download, ClientError> {
        self.download(self.request(Method::GET, "/snapshot")).await
    }

    /// `GET /api/v1/audit`, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(&self, query: &AuditQuery) -> Result<PageBody<AuditEntryBody>, ClientError> {
        self.send(self.list("/audit", query)?).await
    }

    /// `GET /api/v1/tenants/{tenant}/audit`, newest first; the tenant's id or slug.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tenant_audit(
        &self,
        tenant: &str,
        query: &AuditQuery,
    ) -> Result<PageBody<AuditEntryBody>, ClientError> {
        let path = format!("/tenants/{}/audit", send::segment(tenant));
        self.send(self.list(&path, query)?).await
    }

    /// `GET /api/v1/audit/verify`: follows the whole chain, which takes a while.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn verify_audit(
        &self,
        query: &VerifyAuditQuery,
    ) -> Result<AuditVerification, ClientError> {
        self.send(self.list("/audit/verify", query)?).await
    }

    /// `GET /api/v1/audit/export`: all of it as lines of JSON, piece by piece as they come.
    ///
    /// # Errors
    /// [`ClientError`], also between two pieces.
    pub async fn export_audit(&self, query: &AuditQuery) -> Result<Download, ClientError> {
        self.download(self.list("/audit/export", query)?).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}
