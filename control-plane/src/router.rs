//! Every path of the control plane, on one page.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{delete, get, post},
};
use tenantry_distribution::{STATUS_PATH, STREAM_PATH};
use tenantry_model::{Feature, Group, Plan, Route, Upstream};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    app::App,
    controllers::{
        audit, certificates, distribution, documents, domains, health, issuers, keys, proxies,
        tenants,
    },
    http::{auth, failure, request},
    metrics,
};

/// The largest body of an API request.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The largest status report of a proxy.
const MAX_REPORT_BYTES: usize = 4 << 20;

/// The API, and what operators and Prometheus look at.
pub fn api(app: Arc<App>) -> Router {
    let router = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/plans", collection::<Plan>())
        .route("/api/v1/plans/{id}", item::<Plan>())
        .route("/api/v1/groups", collection::<Group>())
        .route("/api/v1/groups/{id}", item::<Group>())
        .route("/api/v1/features", collection::<Feature>())
        .route("/api/v1/features/{id}", item::<Feature>())
        .route("/api/v1/upstreams", collection::<Upstream>())
        .route("/api/v1/upstreams/{id}", item::<Upstream>())
        .route("/api/v1/routes", collection::<Route>())
        .route("/api/v1/routes/{id}", item::<Route>())
        .route("/api/v1/tenants", get(tenants::list).post(tenants::create))
        .route(
            "/api/v1/tenants/{tenant}",
            get(tenants::get).put(tenants::replace).patch(tenants::patch).delete(tenants::delete),
        )
        .route("/api/v1/tenants/{tenant}/effective", get(tenants::effective))
        .route("/api/v1/tenants/{tenant}/activate", post(tenants::activate))
        .route("/api/v1/tenants/{tenant}/suspend", post(tenants::suspend))
        .route("/api/v1/tenants/{tenant}/resume", post(tenants::resume))
        .route("/api/v1/tenants/{tenant}/undelete", post(tenants::undelete))
        .route("/api/v1/tenants/{tenant}/purge", post(tenants::purge))
        .route("/api/v1/purged-tenants", get(tenants::list_purged))
        .route("/api/v1/purged-tenants/{tenant}", get(tenants::purged))
        .route("/api/v1/tenants/{tenant}/domains", get(domains::list).post(domains::create))
        .route("/api/v1/tenants/{tenant}/domains/{host}", get(domains::get).delete(domains::delete))
        .route("/api/v1/tenants/{tenant}/keys", get(keys::list).post(keys::create))
        .route(
            "/api/v1/tenants/{tenant}/keys/{id}",
            get(keys::get).put(keys::replace).patch(keys::patch).delete(keys::delete),
        )
        .route("/api/v1/tenants/{tenant}/keys/{id}/roll", post(keys::roll))
        .route(
            "/api/v1/tenants/{tenant}/issuers",
            get(issuers::list_of_tenant).post(issuers::create_of_tenant),
        )
        .route(
            "/api/v1/tenants/{tenant}/issuers/{id}",
            get(issuers::get_of_tenant).delete(issuers::delete_of_tenant),
        )
        .route("/api/v1/issuers", get(issuers::list_shared).post(issuers::create_shared))
        .route("/api/v1/issuers/{id}", get(issuers::get_shared).delete(issuers::delete_shared))
        .route("/api/v1/certificates", get(certificates::list).post(certificates::create))
        .route(
            "/api/v1/certificates/{id}",
            get(certificates::get).put(certificates::replace).delete(certificates::delete),
        )
        .route("/api/v1/proxies", get(proxies::list))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/audit/export", get(audit::export))
        .route("/api/v1/audit/verify", get(audit::verify))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    surrounded(router, Arc::clone(&app))
        .layer(from_fn_with_state(Arc::clone(&app), auth::root))
        .layer(from_fn_with_state(Arc::clone(&app), request::identify))
        .with_state(app)
}

/// What proxies talk to.
pub fn distribution(app: Arc<App>) -> Router {
    let router = Router::new()
        .route(STREAM_PATH, get(distribution::stream))
        .route(STATUS_PATH, post(distribution::status))
        .layer(DefaultBodyLimit::max(MAX_REPORT_BYTES));
    surrounded(router, Arc::clone(&app))
        .layer(from_fn_with_state(Arc::clone(&app), auth::node))
        .layer(from_fn_with_state(Arc::clone(&app), request::identify))
        .with_state(app)
}

fn collection<D: documents::Shown>() -> axum::routing::MethodRouter<Arc<App>> {
    get(documents::list::<D>).post(documents::create::<D>)
}

fn item<D: documents::Shown>() -> axum::routing::MethodRouter<Arc<App>> {
    get(documents::get::<D>)
        .put(documents::replace::<D>)
        .patch(documents::patch::<D>)
        .merge(delete(documents::delete::<D>))
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
