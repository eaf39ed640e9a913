//! `/api/v1/replay`.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use tenantry_api::{ProblemKind, ReplayRequest, ReplayResponse, ReplayedRequest};
use tenantry_engine::{Change, Table};
use tenantry_explain::{host, redecide};
use tenantry_model::{ResourceKind, Revision};
use tenantry_tenancy::{Clues, Proposed};

use super::explain::{now, table};
use crate::{
    app::App,
    http::{
        body::{Json, parameter},
        failure::Failure,
        request::Asking,
    },
};

/// What would become of recorded requests if documents were applied.
///
/// The documents are looked at as `apply` looks at them, and nothing is changed. Each request is decided as things are
/// and as they would be, by the code that decides live ones. What its credentials had proven stands for them: what a
/// token said beside that is not known, nor is what is left of rate limits, so none is ever spent.
#[utoipa::path(
    post, path = "/api/v1/replay", operation_id = "replay", tag = "platform",
    request_body = ReplayRequest,
    responses((status = 200, body = ReplayResponse)),
    security(("bearer" = ["tenants:read", "plans:read", "gateway:read"])),
)]
pub async fn replay(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(asked): Json<ReplayRequest>,
) -> Result<Answer<ReplayResponse>, Failure> {
    let ReplayRequest { documents, prune, requests } = asked;
    if requests.len() > ReplayRequest::MAX_REQUESTS {
        let detail =
            format!("at most {} requests are decided at once", ReplayRequest::MAX_REQUESTS);
        return Err(Failure::new(ProblemKind::Invalid, detail).at("/requests"));
    }
    let prune = parameter("prune", prune.as_deref())?;
    let proposed = app.tenancy.proposed(&caller, &documents, prune.as_ref()).await?;
    let mut clues = Clues::default();
    for request in &requests {
        clues.hosts.extend(host(&request.host));
        clues.tenants.extend(request.tenant_id);
        clues.keys.extend(request.key_id);
    }
    proposed.extend(&mut clues);
    let deciding = app.tenancy.deciding(&clues).await?;
    let revision = deciding.revision;
    let (before, _) = table(&app, deciding.value);
    let changes = proposed.changes.len() as u64;
    let after = changed(&app, &before, proposed);
    let now = now(&app);
    let requests = requests.iter().map(|request| ReplayedRequest {
        before: redecide(&before, &before, request, now),
        after: redecide(&after, &before, request, now),
    });
    let requests = requests.collect();
    Ok(Answer(ReplayResponse { revision: Revision::as_u64(revision), changes, requests }))
}

/// The table as the documents would have it. What cannot be used here stays as it is.
fn changed(app: &App, table: &Table, proposed: Proposed) -> Table {
    let changes = proposed.changes.into_iter();
    // No decision is made by certificates.
    let changes = changes.filter(|(reference, _)| reference.kind != ResourceKind::Certificate);
    let changes = changes.filter_map(|(reference, resource)| match resource {
        None => Some(Change::Delete(reference)),
        Some(resource) => app.tenancy.usable(resource).ok().map(Change::Put),
    });
    table.apply(changes).table
}
