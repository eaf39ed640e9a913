//! Every path of the control plane, on one page.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use tenantry_distribution::{ANSWER_PATH, STATUS_PATH, STREAM_PATH};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    controllers::{
        audit, certificates, description, desired, distribution, documents, domains, explain,
        health, import, invitations, issuers, keys, members, nodes, operators, proxies, quotas,
        replay, revisions, roles, rollouts, sessions, snapshot, subscriptions, tenants, tokens,
        users,
    },
    http::{changes, cors, enrolment, failure, fields, guard, idempotency, request},
    metrics,
    openapi::{self, Document},
};

/// The largest body of an API request.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The largest body with documents of a desired state.
const MAX_DOCUMENTS_BYTES: usize = 64 << 20;
/// The largest status report of a proxy.
const MAX_REPORT_BYTES: usize = 4 << 20;

/// The API, and what operators and Prometheus look at.
pub fn api(app: Arc<App>) -> Router {
    let (router, collected) = operations().split_for_parts();
    let document = Arc::new(Document::of(collected));
    let router = router
        .layer(from_fn_with_state(Arc::clone(&app), idempotency::named))
        .layer(from_fn_with_state((Arc::clone(&app), Arc::clone(&document)), changes::looked_at))
        .layer(from_fn_with_state(Arc::clone(&document), fields::select))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(Extension(app.body_timeout))
        .layer(Extension(Arc::clone(&document)));
    let router = surrounded(router, Arc::clone(&app))
        .layer(from_fn_with_state((Arc::clone(&app), document), guard::guard))
        .layer(from_fn_with_state(Arc::clone(&app), request::identify));
    let router = match app.cors_origins.as_slice() {
        [] => router,
        origins => router.layer(cors::allowing(origins)),
    };
    router.with_state(app)
}

/// The OpenAPI document of the API.
#[must_use]
pub fn document() -> Document {
    Document::of(operations().into_openapi())
}

/// Every operation with what it says of itself. The path of each stands in its attribute, and nothing
/// is added here in another way than this: what the document does not know does not exist.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::introduction())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(description::openapi))
        .routes(routes!(description::page))
        .routes(routes!(documents::plans::list, documents::plans::create))
        .routes(routes!(
            documents::plans::get,
            documents::plans::replace,
            documents::plans::patch,
            documents::plans::delete
        ))
        .routes(routes!(documents::groups::list, documents::groups::create))
        .routes(routes!(
            documents::groups::get,
            documents::groups::replace,
            documents::groups::patch,
            documents::groups::delete
        ))
        .routes(routes!(documents::features::list, documents::features::create))
        .routes(routes!(
            documents::features::get,
            documents::features::replace,
            documents::features::patch,
            documents::features::delete
        ))
        .routes(routes!(documents::upstreams::list, documents::upstreams::create))
        .routes(routes!(
            documents::upstreams::get,
            documents::upstreams::replace,
            documents::upstreams::patch,
            documents::upstreams::delete
        ))
        .routes(routes!(documents::routes::list, documents::routes::create))
        .routes(routes!(
            documents::routes::get,
            documents::routes::replace,
            documents::routes::patch,
            documents::routes::delete
        ))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::get, tenants::replace, tenants::patch, tenants::delete))
        .routes(routes!(tenants::effective))
        .routes(routes!(proxies::tenant_status))
        .routes(routes!(tenants::activate))
        .routes(routes!(tenants::suspend))
        .routes(routes!(tenants::resume))
        .routes(routes!(tenants::undelete))
        .routes(routes!(tenants::purge))
        .routes(routes!(tenants::settings))
        .routes(routes!(tenants::patch_settings))
        .routes(routes!(subscriptions::get, subscriptions::put, subscriptions::delete))
        .routes(routes!(subscriptions::renew))
        .routes(routes!(quotas::list))
        .routes(routes!(quotas::set))
        .routes(routes!(quotas::reserve))
        .routes(routes!(quotas::confirm))
        .routes(routes!(quotas::release))
        .routes(routes!(subscriptions::past_due))
        .routes(routes!(subscriptions::cancel))
        .routes(routes!(tenants::list_purged))
        .routes(routes!(tenants::purged))
        .routes(routes!(domains::list, domains::create))
        .routes(routes!(domains::get, domains::delete))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::get, keys::replace, keys::patch, keys::delete))
        .routes(routes!(keys::roll))
        .routes(routes!(issuers::list_of_tenant, issuers::create_of_tenant))
        .routes(routes!(
            issuers::get_of_tenant,
            issuers::replace_of_tenant,
            issuers::delete_of_tenant
        ))
        .routes(routes!(issuers::list_shared, issuers::create_shared))
        .routes(routes!(issuers::get_shared, issuers::replace_shared, issuers::delete_shared))
        .routes(routes!(certificates::list, certificates::create))
        .routes(routes!(certificates::get, certificates::replace, certificates::delete))
        .routes(routes!(tokens::list_of_tenant, tokens::create_of_tenant))
        .routes(routes!(tokens::get_of_tenant, tokens::delete_of_tenant))
        .routes(routes!(members::list, members::create))
        .routes(routes!(members::get, members::change, members::delete))
        .routes(routes!(invitations::list, invitations::create))
        .routes(routes!(invitations::get, invitations::delete))
        .routes(routes!(invitations::resend))
        .routes(routes!(invitations::accept))
        .routes(routes!(roles::list, roles::create))
        .routes(routes!(roles::get, roles::replace, roles::delete))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::patch, users::delete))
        .routes(routes!(users::memberships))
        .routes(routes!(operators::list, operators::create))
        .routes(routes!(operators::get, operators::patch, operators::delete))
        .routes(routes!(operators::set_password))
        .routes(routes!(tokens::list_of_operator, tokens::create_of_operator))
        .routes(routes!(tokens::get_of_operator, tokens::delete_of_operator))
        .routes(routes!(sessions::create))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::me))
        .routes(routes!(proxies::list))
        .routes(routes!(proxies::allow_removal))
        .routes(routes!(explain::explain))
        .routes(routes!(snapshot::export_snapshot))
        .routes(routes!(nodes::list, nodes::create))
        .routes(routes!(nodes::get, nodes::delete))
        .routes(routes!(audit::list))
        .routes(routes!(audit::list_of_tenant))
        .routes(routes!(audit::export))
        .routes(routes!(audit::verify))
        .routes(routes!(revisions::list))
        .routes(routes!(revisions::get))
        .routes(routes!(revisions::diff))
        .routes(routes!(revisions::roll_back))
        .routes(routes!(rollouts::list, rollouts::start))
        .routes(routes!(rollouts::get))
        .routes(routes!(rollouts::release))
        .routes(routes!(rollouts::take_back))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(desired::export))
                .routes(routes!(desired::diff))
                .routes(routes!(desired::apply))
                .routes(routes!(replay::replay))
                .layer(DefaultBodyLimit::max(MAX_DOCUMENTS_BYTES)),
        )
        // Reads its body line by line, within bounds of its own.
        .routes(routes!(import::import))
}

/// What proxies talk to.
pub fn distribution(app: Arc<App>) -> Router {
    let router = Router::new()
        .route(STREAM_PATH, get(distribution::stream))
        .route(STATUS_PATH, post(distribution::status))
        .route(ANSWER_PATH, post(distribution::answer))
        .layer(DefaultBodyLimit::max(MAX_REPORT_BYTES))
        .layer(Extension(app.body_timeout));
    surrounded(router, Arc::clone(&app))
        .layer(from_fn_with_state(Arc::clone(&app), enrolment::enrolled))
        .layer(from_fn_with_state(Arc::clone(&app), request::identify))
        .with_state(app)
}

/// What stands around every handler, from the inside out: panics become problems, and every request
/// is counted.
fn surrounded(router: Router<Arc<App>>, app: Arc<App>) -> Router<Arc<App>> {
    router
        .fallback(failure::no_such_path)
        .method_not_allowed_fallback(failure::no_such_method)
        .layer(CatchPanicLayer::custom(failure::panicked))
        .layer(from_fn_with_state(app, metrics::count))
}
