//! Which node asks the distribution, and for how long it may.
//!
//! A proxy presents the token that its node was enrolled with, which is good for that node only, or the
//! platform's node token, which is good for any: the one that `tenantry up` and a first set-up use.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tenantry_api::ProblemKind;
use tenantry_credentials::access_token;
use tenantry_model::{KeyDigest, NodeName, RegionId};
use tenantry_tenancy::NodeRecord;

use super::{
    failure::Failure,
    guard::{presented, unauthorized},
};
use crate::app::App;

/// What was presented.
#[derive(Debug, Clone)]
pub enum Enrolment {
    /// The platform's node token.
    Any,
    /// The token of one node.
    Node(Arc<NodeRecord>),
}

impl Enrolment {
    /// Whether it is good for a node of this name.
    ///
    /// # Errors
    /// What to tell one that it is not.
    pub fn admits(&self, name: &NodeName) -> Result<(), Failure> {
        match self {
            Self::Node(node) if node.name != *name => {
                let detail = format!(
                    "this token is of the node {}; this proxy says that it is {name}",
                    node.name
                );
                Err(Failure::new(ProblemKind::Forbidden, detail))
            }
            Self::Node(_) | Self::Any => Ok(()),
        }
    }

    /// Where the node stands, if that was said when it was enrolled.
    #[must_use]
    pub fn region(&self) -> Option<&RegionId> {
        match self {
            Self::Any => None,
            Self::Node(node) => node.region.as_ref(),
        }
    }

    /// Completes when the token is not good any more.
    pub async fn ended(self, app: Arc<App>) {
        let Self::Node(node) = self else { return std::future::pending().await };
        let mut revoked = app.enrolments.subscribe();
        let mut tick = tokio::time::interval(app.heartbeat);
        loop {
            tokio::select! {
                _ = revoked.changed() => {}
                // It may expire.
                _ = tick.tick() => {}
            }
            // Whether it is good is not known while the store cannot be read: then it stays.
            if let Ok(None) = app.tenancy.node_of(&node.digest).await {
                tracing::info!(node = %node.name, id = %node.id, "the node's token is not good any more");
                return;
            }
        }
    }
}

/// Lets pass who presents a good token, and notes which.
pub async fn enrolled(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match enrolment(&app, presented(request.headers())).await {
        Ok(enrolment) => {
            request.extensions_mut().insert(enrolment);
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

async fn enrolment(app: &App, presented: Option<&str>) -> Result<Enrolment, Failure> {
    let refused = || {
        unauthorized(
            "send the token that the node was enrolled with as `Authorization: Bearer ...`",
        )
    };
    let presented = presented.ok_or_else(refused)?;
    if app.node_token.is(presented.as_bytes()) {
        return Ok(Enrolment::Any);
    }
    let digest: KeyDigest = access_token::parse_node(presented).ok_or_else(refused)?;
    let node = app.tenancy.node_of(&digest).await?.ok_or_else(refused)?;
    Ok(Enrolment::Node(Arc::new(node)))
}
