//! `/api/v1/plans`, `/groups`, `/features`, `/upstreams` and `/routes`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde_json::Value;
use tenantry_api::{DocumentBody, ListQuery, PageBody};
use tenantry_model::{Feature, Group, Plan, Route, Upstream};
use tenantry_tenancy::{Document, Error, PageRequest, Record, Versioned, merge};

use crate::{
    app::App,
    http::{
        body::{Json, Names, Parameters, without_bookkeeping},
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

/// The operations of each kind. What they do is the same for all and stands below; only what they are
/// called in the API differs.
macro_rules! documents {
    ($(
        $(#[$doc:meta])*
        $module:ident: $type:ident named by $name:ident,
        path $path:literal, tag $tag:literal, noun $noun:literal,
        reads $reads:literal, writes $writes:literal,
        $create:literal, $list:literal, $get:literal, $replace:literal, $patch:literal, $delete:literal;
    )*) => {
        $(
            impl Shown for $type {
                const PATH: &'static str = $path;
            }

            $(#[$doc])*
            pub mod $module {
                use super::*;
                use crate::openapi::{IfMatch, MergePatch, $name};

                #[doc = concat!("Makes ", $noun, ".")]
                #[utoipa::path(
                    post, path = $path, operation_id = $create, tag = $tag,
                    summary = concat!("Makes ", $noun, "."),
                    request_body = $type, responses((status = 201, body = DocumentBody<$type>)),
                    security(("bearer" = [$writes])),
                )]
                pub async fn create(
                    app: State<Arc<App>>,
                    caller: Asking,
                    document: Json<$type>,
                ) -> Answer<$type> {
                    super::create(app, caller, document).await
                }

                #[doc = concat!("All ", $tag, ", by identifier.")]
                #[utoipa::path(
                    get, path = $path, operation_id = $list, tag = $tag,
                    summary = concat!("All ", $tag, ", by identifier."),
                    params(ListQuery), responses((status = 200, body = PageBody<DocumentBody<$type>>)),
                    security(("bearer" = [$reads])),
                )]
                pub async fn list(
                    app: State<Arc<App>>,
                    query: Parameters<ListQuery>,
                ) -> Result<impl IntoResponse, Failure> {
                    super::list::<$type>(app, query).await
                }

                #[doc = concat!("Reads ", $noun, ".")]
                #[utoipa::path(
                    get, path = concat!($path, "/{id}"), operation_id = $get, tag = $tag,
                    summary = concat!("Reads ", $noun, "."),
                    params($name), responses((status = 200, body = DocumentBody<$type>)),
                    security(("bearer" = [$reads])),
                )]
                pub async fn get(
                    app: State<Arc<App>>,
                    id: Names<String>,
                    conditions: Conditions,
                ) -> Answer<$type> {
                    super::get(app, id, conditions).await
                }

                #[doc = concat!("Replaces ", $noun, ".")]
                #[utoipa::path(
                    put, path = concat!($path, "/{id}"), operation_id = $replace, tag = $tag,
                    summary = concat!("Replaces ", $noun, "."),
                    description = "What is read can be sent back as it is; the times and the revision are passed over.",
                    params($name, IfMatch), request_body = $type,
                    responses((status = 200, body = DocumentBody<$type>)),
                    security(("bearer" = [$writes])),
                )]
                pub async fn replace(
                    app: State<Arc<App>>,
                    caller: Asking,
                    id: Names<String>,
                    conditions: Conditions,
                    document: Json<Value>,
                ) -> Answer<$type> {
                    super::replace(app, caller, id, conditions, document).await
                }

                #[doc = concat!("Changes some fields of ", $noun, ".")]
                #[utoipa::path(
                    patch, path = concat!($path, "/{id}"), operation_id = $patch, tag = $tag,
                    summary = concat!("Changes some fields of ", $noun, "."),
                    params($name, IfMatch),
                    request_body(content = MergePatch, content_type = "application/merge-patch+json"),
                    responses((status = 200, body = DocumentBody<$type>)),
                    security(("bearer" = [$writes])),
                )]
                pub async fn patch(
                    app: State<Arc<App>>,
                    caller: Asking,
                    id: Names<String>,
                    conditions: Conditions,
                    patch: Json<Value>,
                ) -> Answer<$type> {
                    super::patch(app, caller, id, conditions, patch).await
                }

                #[doc = concat!("Removes ", $noun, " that nothing refers to.")]
                #[utoipa::path(
                    delete, path = concat!($path, "/{id}"), operation_id = $delete, tag = $tag,
                    summary = concat!("Removes ", $noun, " that nothing refers to."),
                    params($name, IfMatch), responses((status = 204)),
                    security(("bearer" = [$writes])),
                )]
                pub async fn delete(
                    app: State<Arc<App>>,
                    caller: Asking,
                    id: Names<String>,
                    conditions: Conditions,
                ) -> Result<StatusCode, Failure> {
                    super::delete::<$type>(app, caller, id, conditions).await
                }
            }
        )*
    };
}

documents! {
    /// `/api/v1/plans`.
    plans: Plan named by PlanName,
    path "/api/v1/plans", tag "plans", noun "a plan", reads "plans:read", writes "plans:write",
    "createPlan", "listPlans", "getPlan", "replacePlan", "patchPlan", "deletePlan";
    /// `/api/v1/groups`.
    groups: Group named by GroupName,
    path "/api/v1/groups", tag "groups", noun "a group", reads "plans:read", writes "plans:write",
    "createGroup", "listGroups", "getGroup", "replaceGroup", "patchGroup", "deleteGroup";
    /// `/api/v1/features`.
    features: Feature named by FeatureName,
    path "/api/v1/features", tag "features", noun "a feature",
    reads "plans:read", writes "plans:write",
    "createFeature", "listFeatures", "getFeature", "replaceFeature", "patchFeature", "deleteFeature";
    /// `/api/v1/upstreams`.
    upstreams: Upstream named by UpstreamName,
    path "/api/v1/upstreams", tag "upstreams", noun "an upstream",
    reads "gateway:read", writes "gateway:write",
    "createUpstream", "listUpstreams", "getUpstream", "replaceUpstream", "patchUpstream",
    "deleteUpstream";
    /// `/api/v1/routes`.
    routes: Route named by RouteName,
    path "/api/v1/routes", tag "routes", noun "a route", reads "gateway:read", writes "gateway:write",
    "createRoute", "listRoutes", "getRoute", "replaceRoute", "patchRoute", "deleteRoute";
}

type Answer<D> = Result<Single<DocumentBody<D>>, Failure>;

/// `POST` on the collection.
async fn create<D: Shown>(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Json(document): Json<D>,
) -> Answer<D> {
    let location = format!("{}/{}", D::PATH, document.id());
    let created = body(app.tenancy.create(&caller, document).await?);
    Ok(Single::created(location, created.revision, created))
}

/// `GET` on the collection.
async fn list<D: Shown>(
    State(app): State<Arc<App>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<impl IntoResponse, Failure> {
    let request = PageRequest::new(query.limit, query.cursor)?;
    Ok(page(app.tenancy.documents::<D>(&request).await?, body))
}

/// `GET` on one.
async fn get<D: Shown>(
    State(app): State<Arc<App>>,
    Names(id): Names<String>,
    conditions: Conditions,
) -> Answer<D> {
    let found = body(app.tenancy.get::<D>(&parsed::<D>(&id)?).await?);
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// `PUT` on one. The identifier may be left out of the body, as the path has it.
async fn replace<D: Shown>(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(id): Names<String>,
    conditions: Conditions,
    Json(mut document): Json<Value>,
) -> Answer<D> {
    let id = parsed::<D>(&id)?;
    if let Some(members) = document.as_object_mut() {
        without_bookkeeping(members);
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
async fn patch<D: Shown>(
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
async fn delete<D: Shown>(
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
