//! `/api/v1/plans`, `/groups`, `/features`, `/upstreams` and `/routes`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde_json::Value;
use tenantry_api::{DocumentBody, ListQuery};
use tenantry_model::{Feature, Group, Plan, Route, Upstream};
use tenantry_tenancy::{Document, Error, PageRequest, Record, Versioned, merge};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::{Single, page},
    },
};

/// A document with a path of its own.
pub trait Shown: Document {
    /// The path of all of them.
    const PATH: &'static str;
}

impl Shown for Plan {
    const PATH: &'static str = "/api/v1/plans";
}

impl Shown for Group {
    const PATH: &'static str = "/api/v1/groups";
}

impl Shown for Feature {
    const PATH: &'static str = "/api/v1/features";
}

impl Shown for Upstream {
    const PATH: &'static str = "/api/v1/upstreams";
}

impl Shown for Route {
    const PATH: &'static str = "/api/v1/routes";
}

type Answer<D> = Result<Single<DocumentBody<D>>, Failure>;

/// `POST` on the collection.
pub async fn create<D: Shown>(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(document): Json<D>,
) -> Answer<D> {
    let location = format!("{}/{}", D::PATH, document.id());
    let created = body(app.tenancy.create(&caller, document).await?);
    Ok(Single::created(location, created.revision, created))
}

/// `GET` on the collection.
pub async fn list<D: Shown>(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.documents::<D>(&request).await?, body))
}

/// `GET` on one.
pub async fn get<D: Shown>(
    State(app): State<Arc<App>>,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Answer<D> {
    let found = body(app.tenancy.get::<D>(&parsed::<D>(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// `PUT` on one. The identifier may be left out of the body, as the path has it.
pub async fn replace<D: Shown>(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
    Json(mut document): Json<Value>,
) -> Answer<D> {
    let id = parsed::<D>(&id)?;
    if let Some(members) = document.as_object_mut() {
        members.entry("id").or_insert_with(|| id.to_string().into());
    }
    let document: D = merge::parse(document)?;
    if *document.id() != id {
        let detail = "an identifier never changes: it is the one in the path".to_owned();
        return Err(Error::Invalid { pointer: "/id".to_owned(), detail }.into());
    }
    let replaced = body(app.tenancy.replace(&caller, document, &conditions.precondition).await?);
    Ok(Single::ok(replaced.revision, replaced))
}

/// `PATCH` on one.
pub async fn patch<D: Shown>(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
    Json(patch): Json<Value>,
) -> Answer<D> {
    let id = parsed::<D>(&id)?;
    let patched = app.tenancy.patch::<D>(&caller, &id, &patch, &conditions.precondition).await?;
    let patched = body(patched);
    Ok(Single::ok(patched.revision, patched))
}

/// `DELETE` on one.
pub async fn delete<D: Shown>(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    let id = parsed::<D>(&id)?;
    app.tenancy.delete::<D>(&caller, &id, &conditions.precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed<D: Document>(id: &str) -> Result<D::Id, Error> {
    id.parse().map_err(|_| Error::not_found(D::KIND.as_str(), id))
}

fn body<D: Document>(record: Versioned<Record<D>>) -> DocumentBody<D> {
    let Record { resource, created_at, updated_at } = record.value;
    let resource = resource.without_secrets();
    DocumentBody { resource, created_at, updated_at, revision: record.revision.as_u64() }
}
