//! What every change has in common: `dry_run`, `wait`, and the revision that its answer names.
//!
//! A request that asks for a rehearsal is answered by the handler as ever, as a caller whose operations commit
//! nothing (`tenantry_tenancy::rehearsal`). Here the parameter is read and taken out of the query, and the answer is
//! marked, so that nobody takes it for a change. Whoever asks an operation that cannot be rehearsed for it
//! is refused: to do what was only to be looked at would be worse. For the same reason a change
//! takes no parameter that its description does not know.
//!
//! A request with `wait=applied` is answered once the proxies have said what they made of the change
//! ([`enforcement`](crate::distributor::wait)). What it has changed is found in the store's change log.

mod asked;

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    body::HttpBody as _,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tenantry_api::Enforcement;
use tenantry_distribution::ResourceName;
use tenantry_model::{Permission, Revision};
use tenantry_tenancy::Principal;

use asked::{Asked, Waiting, asked};

use super::request::RequestId;
use crate::{
    app::App,
    distributor::{Awaited, wait},
    openapi::Document,
};

const DRY_RUN_HEADER: HeaderName = HeaderName::from_static("dry-run");
const REVISION: HeaderName = HeaderName::from_static("tenantry-revision");
const APPLIED: HeaderName = HeaderName::from_static("tenantry-applied");

/// With this among its extensions, a request is looked at and not done.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal;

/// Reads whether a change is to be done or only to be looked at, and whether it is to be waited for, and marks the
/// answer accordingly.
pub async fn looked_at(
    State((app, document)): State<(Arc<App>, Arc<Document>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let waiting = match asked(&document, &request) {
        Err(failure) => return failure.into_response(),
        Ok(Asked { is_rehearsal, waiting, uri }) => {
            if let Some(uri) = uri {
                *request.uri_mut() = uri;
            }
            if is_rehearsal {
                request.extensions_mut().insert(Rehearsal);
                return rehearsed(next.run(request).await);
            }
            waiting
        }
    };
    let awaiter = match waiting {
        Some(waiting) => {
            let before = app.store.status().await.head;
            let awaiter = Awaiter::new(waiting, before, &request);
            // What is told piece by piece waits by itself, at its end.
            request.extensions_mut().insert(awaiter.clone());
            Some(awaiter)
        }
        None => None,
    };
    let mut response = next.run(request).await;
    // What is told piece by piece begins before the change is made.
    let is_whole = response.body().size_hint().exact().is_some();
    if is_change && is_whole && response.status().is_success() {
        let head = app.store.status().await.head;
        response.headers_mut().insert(REVISION, head.as_u64().into());
        if let Some(awaiter) = awaiter {
            let applied = awaiter.wait(&app, head).await.to_string();
            if let Ok(applied) = HeaderValue::try_from(applied) {
                response.headers_mut().insert(APPLIED, applied);
            }
        }
    }
    response
}

fn rehearsed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(DRY_RUN_HEADER, HeaderValue::from_static("true"));
    headers.remove(header::ETAG);
    headers.remove(header::LOCATION);
    response
}

/// Whoever waits for a change that is yet to be made.
#[derive(Debug, Clone)]
pub struct Awaiter {
    waiting: Waiting,
    request_id: String,
    sees_proxies: bool,
    /// The change comes after this.
    before: Revision,
}

impl Awaiter {
    fn new(waiting: Waiting, before: Revision, request: &Request) -> Self {
        let (id, principal) = (request.extensions().get::<RequestId>(), request.extensions().get());
        Self {
            waiting,
            request_id: id.map(RequestId::as_str).unwrap_or_default().to_owned(),
            sees_proxies: sees_proxies(principal),
            before,
        }
    }

    /// Waits, once the change is made; all of it is held by this revision.
    pub(crate) async fn wait(self, app: &Arc<App>, head: Revision) -> Enforcement {
        let changed = app.tenancy.changed_by(&self.request_id, self.before, head).await;
        let awaited = match changed {
            Some(changed) => Awaited {
                revision: changed.revision,
                resources: changed.resources.into_iter().map(name).collect(),
            },
            // It was made before, by an earlier request of the same name, or there was nothing to change.
            None => Awaited { revision: head, resources: BTreeSet::new() },
        };
        let enforcement = wait(app, &awaited, self.waiting.0).await;
        if self.sees_proxies { enforcement } else { enforcement.without_names() }
    }
}

fn name((kind, id): (tenantry_model::ResourceKind, String)) -> ResourceName {
    ResourceName { kind: kind.as_str().to_owned(), id }
}

/// Whether who asks may see the proxies.
pub(crate) fn sees_proxies(principal: Option<&Principal>) -> bool {
    principal.is_some_and(|principal| {
        principal.confinement().is_none() && principal.may(Permission::GatewayRead)
    })
}
