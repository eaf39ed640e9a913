//! `/api/v1/nodes`: which nodes may subscribe.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tenantry_api::{EnrollNode, EnrolledNode, ListQuery, NodeBody, PageBody};
use tenantry_model::NodeId;
use tenantry_tenancy::{Error, NewNode, NodeRecord, PageRequest, Versioned, node};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
    openapi::{IfMatch, NodeIdName},
};

/// Enrols a node: gives its proxy a token of its own.
///
/// The answer is the only one that ever holds the token.
#[utoipa::path(
    post, path = "/api/v1/nodes", operation_id = "enrollNode", tag = "platform",
    request_body = EnrollNode,
    responses((status = 201, body = EnrolledNode)),
    security(("bearer" = ["nodes:write"])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(request): Json<EnrollNode>,
) -> Result<Single<EnrolledNode>, Failure> {
    let EnrollNode { name, region, labels, expires_at } = request;
    let new = NewNode { name, region, labels, expires_at };
    let Versioned { value, revision } = app.tenancy.enroll_node(&caller, new).await?;
    let node::EnrolledNode { record, secret } = value;
    let node = body(Versioned { value: record, revision });
    let location = format!("/api/v1/nodes/{}", node.id);
    let secret = secret.map(|secret| secret.expose().to_owned());
    Ok(Single::created(location, revision.as_u64(), EnrolledNode { node, secret }))
}

/// The nodes that are enrolled, without their tokens.
#[utoipa::path(
    get, path = "/api/v1/nodes", operation_id = "listNodes", tag = "platform",
    params(ListQuery),
    responses((status = 200, body = PageBody<NodeBody>)),
    security(("bearer" = ["gateway:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.nodes(&request).await?, body))
}

/// One enrolled node.
#[utoipa::path(
    get, path = "/api/v1/nodes/{id}", operation_id = "getNode", tag = "platform",
    params(NodeIdName),
    responses((status = 200, body = NodeBody)),
    security(("bearer" = ["gateway:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Result<Single<NodeBody>, Failure> {
    let found = body(app.tenancy.node(parsed(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Revokes a node's token for good, and ends what was subscribed with it. Its proxy goes on serving what it has.
#[utoipa::path(
    delete, path = "/api/v1/nodes/{id}", operation_id = "revokeNode", tag = "platform",
    params(NodeIdName, IfMatch),
    responses((status = 204)),
    security(("bearer" = ["nodes:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    app.tenancy.revoke_node(&caller, parsed(&id)?, &conditions.precondition).await?;
    app.enrolments.send_replace(());
    Ok(StatusCode::NO_CONTENT)
}

fn parsed(id: &str) -> Result<NodeId, Error> {
    id.parse().map_err(|_| Error::not_found("node", id))
}

fn body(record: Versioned<NodeRecord>) -> NodeBody {
    let NodeRecord { id, name, region, labels, hint, expires_at, created_at, .. } = record.value;
    let revision = record.revision.as_u64();
    NodeBody { id, name, region, labels, hint, expires_at, created_at, revision }
}
