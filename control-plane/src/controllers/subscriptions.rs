//! `/api/v1/tenants/{tenant}/subscription`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use tenantry_api::{CancelSubscription, PutSubscription, SubscriptionBody};
use tenantry_tenancy::{
    Caller, Error, SubscriptionAction, SubscriptionSpec, TenantRecord, Versioned,
};

use crate::{
    app::App,
    http::{
        body::{Json, Names},
        conditions::Conditions,
        failure::Failure,
        request::Asking,
        response::Single,
    },
    openapi::{IfMatch, TenantName},
};

type Answer = Result<Single<SubscriptionBody>, Failure>;

/// A tenant's subscription.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/subscription", operation_id = "getSubscription",
    tag = "subscriptions", params(TenantName), responses((status = 200, body = SubscriptionBody)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    let found = body(app.tenancy.tenant(&tenant.parse()?).await?)?;
    Ok(Single::ok(found.revision, found).unless(&conditions.known))
}

/// Gives a tenant a subscription, or other terms of the one it has.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/subscription", operation_id = "putSubscription",
    tag = "subscriptions", params(TenantName, IfMatch), request_body = PutSubscription,
    responses((status = 200, body = SubscriptionBody)),
    security(("bearer" = ["subscriptions:write"])),
)]
pub async fn put(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(request): Json<PutSubscription>,
) -> Answer {
    let PutSubscription { period, anchor, auto_renew, grace_days } = request;
    let spec = SubscriptionSpec { period, anchor, auto_renew, grace_days };
    let (tenant, precondition) = (tenant.parse()?, &conditions.precondition);
    changed(app.tenancy.put_subscription(&caller, &tenant, &spec, precondition).await?)
}

/// Takes a tenant's subscription away.
///
/// A tenant that was suspended for it stays so.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/subscription", operation_id = "deleteSubscription",
    tag = "subscriptions", params(TenantName, IfMatch), responses((status = 204)),
    security(("bearer" = ["subscriptions:write"])),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Result<StatusCode, Failure> {
    let (tenant, precondition) = (tenant.parse()?, &conditions.precondition);
    app.tenancy.delete_subscription(&caller, &tenant, precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Notes that the period that contains now is paid.
///
/// A tenant that was suspended for its subscription is served again.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/subscription/renew", operation_id = "renewSubscription",
    tag = "subscriptions", params(TenantName, IfMatch),
    responses((status = 200, body = SubscriptionBody)),
    security(("bearer" = ["subscriptions:write"])),
)]
pub async fn renew(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    act(&app, &caller, &tenant, SubscriptionAction::Renew, &conditions).await
}

/// Notes that the current period is not paid; its grace begins.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/subscription/past-due",
    operation_id = "markSubscriptionPastDue", tag = "subscriptions", params(TenantName, IfMatch),
    responses((status = 200, body = SubscriptionBody)),
    security(("bearer" = ["subscriptions:write"])),
)]
pub async fn past_due(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
) -> Answer {
    act(&app, &caller, &tenant, SubscriptionAction::PastDue, &conditions).await
}

/// Ends a subscription, with its current period or at once.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/subscription/cancel",
    operation_id = "cancelSubscription", tag = "subscriptions", params(TenantName, IfMatch),
    request_body = CancelSubscription, responses((status = 200, body = SubscriptionBody)),
    security(("bearer" = ["subscriptions:write"])),
)]
pub async fn cancel(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names(tenant): Names<String>,
    conditions: Conditions,
    Json(request): Json<CancelSubscription>,
) -> Answer {
    let action = SubscriptionAction::Cancel { at_period_end: request.at_period_end };
    act(&app, &caller, &tenant, action, &conditions).await
}

async fn act(
    app: &App,
    caller: &Caller,
    tenant: &str,
    action: SubscriptionAction,
    conditions: &Conditions,
) -> Answer {
    let (tenant, precondition) = (tenant.parse()?, &conditions.precondition);
    changed(app.tenancy.subscription_action(caller, &tenant, action, precondition).await?)
}

fn changed(record: Versioned<TenantRecord>) -> Answer {
    let changed = body(record)?;
    Ok(Single::ok(changed.revision, changed))
}

fn body(record: Versioned<TenantRecord>) -> Result<SubscriptionBody, Error> {
    let Versioned { value, revision } = record;
    let slug = value.resource.slug;
    let found = value.subscription.ok_or_else(|| Error::not_found("subscription of", slug))?;
    Ok(SubscriptionBody {
        status: found.status,
        period: found.period,
        anchor: found.anchor,
        period_start: found.period_start(),
        period_end: found.period_end(),
        auto_renew: found.auto_renew,
        grace_days: found.grace_days,
        grace_end: found.grace_end(),
        cancel_at_period_end: found.cancel_at_period_end,
        revision: revision.as_u64(),
    })
}
