//! `/api/v1/tenants/{tenant}/quotas`.

use std::{sync::Arc, time::Duration};

use axum::{Json as Answered, extract::State};
use tenantry_api::{
    ConfirmQuota, PageBody, QuotaBody, QuotaChange, ReleaseQuota, ReservationBody, ReserveQuota,
    SetQuota,
};
use tenantry_model::MeterName;
use tenantry_tenancy::{Caller, Error, QuotaAction, QuotaOutcome, QuotaState};

use crate::{
    app::App,
    http::{
        body::{Json, Names},
        failure::Failure,
        request::Asking,
    },
    openapi::{QuotaName, TenantName},
};

type Answer = Result<Answered<QuotaChange>, Failure>;

/// A tenant's quotas, and how much of each is taken.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/quotas", operation_id = "listQuotas", tag = "quotas",
    params(TenantName), responses((status = 200, body = PageBody<QuotaBody>)),
    security(("bearer" = ["tenants:read"])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Names(tenant): Names<String>,
) -> Result<Answered<PageBody<QuotaBody>>, Failure> {
    let quotas = app.tenancy.quotas(&tenant.parse()?).await?;
    Ok(Answered(PageBody { items: quotas.into_iter().map(body).collect(), next_cursor: None }))
}

/// Takes room under a quota: all that is asked for, or none.
///
/// With a lease it comes back by itself unless it is confirmed in time.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/quotas/{meter}/reserve", operation_id = "reserveQuota",
    tag = "quotas", params(QuotaName), request_body = ReserveQuota,
    responses((status = 200, body = QuotaChange)), security(("bearer" = ["quotas:write"])),
)]
pub async fn reserve(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, meter)): Names<(String, String)>,
    Json(request): Json<ReserveQuota>,
) -> Answer {
    let lease = request.lease_seconds.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let action = QuotaAction::Reserve { amount: request.amount, lease };
    act(&app, &caller, &tenant, &meter, &action).await
}

/// Keeps leased room for good.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/quotas/{meter}/confirm", operation_id = "confirmQuota",
    tag = "quotas", params(QuotaName), request_body = ConfirmQuota,
    responses((status = 200, body = QuotaChange)), security(("bearer" = ["quotas:write"])),
)]
pub async fn confirm(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, meter)): Names<(String, String)>,
    Json(request): Json<ConfirmQuota>,
) -> Answer {
    let action = QuotaAction::Confirm { reservation: request.reservation };
    act(&app, &caller, &tenant, &meter, &action).await
}

/// Gives room back: a lease, or some of what was kept for good.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/quotas/{meter}/release", operation_id = "releaseQuota",
    tag = "quotas", params(QuotaName), request_body = ReleaseQuota,
    responses((status = 200, body = QuotaChange)), security(("bearer" = ["quotas:write"])),
)]
pub async fn release(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, meter)): Names<(String, String)>,
    Json(request): Json<ReleaseQuota>,
) -> Answer {
    let action = match (request.reservation, request.amount) {
        (Some(reservation), None) => QuotaAction::Cancel { reservation },
        (None, amount) => QuotaAction::Release { amount: amount.unwrap_or(1) },
        (Some(_), Some(_)) => {
            let detail = "a lease is released whole; leave the amount out".to_owned();
            return Err(Error::Invalid { pointer: "/amount".to_owned(), detail }.into());
        }
    };
    act(&app, &caller, &tenant, &meter, &action).await
}

/// Says how much is there in truth, whatever was counted.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/quotas/{meter}", operation_id = "setQuota",
    tag = "quotas", params(QuotaName), request_body = SetQuota,
    responses((status = 200, body = QuotaChange)), security(("bearer" = ["quotas:write"])),
)]
pub async fn set(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Names((tenant, meter)): Names<(String, String)>,
    Json(request): Json<SetQuota>,
) -> Answer {
    let action = QuotaAction::Set { current: request.current };
    act(&app, &caller, &tenant, &meter, &action).await
}

async fn act(
    app: &App,
    caller: &Caller,
    tenant: &str,
    meter: &str,
    action: &QuotaAction,
) -> Answer {
    let meter: MeterName = meter.parse().map_err(|_| Error::not_found("meter", meter))?;
    let done = app.tenancy.quota_action(caller, &tenant.parse()?, &meter, action).await?;
    let QuotaOutcome { state, reservation } = done.value;
    let reservation = reservation.map(|given| ReservationBody {
        id: given.id,
        amount: given.amount,
        expires_at: given.expires_at,
    });
    Ok(Answered(QuotaChange { quota: body(state), reservation }))
}

fn body(state: QuotaState) -> QuotaBody {
    let (current, leased, max) = (state.count.current(), state.count.leased, state.max);
    let can_add = state.left().is_none_or(|left| left > 0);
    let percentage = max.map(|max| current.saturating_mul(100) / max.max(1));
    let meter = state.meter;
    QuotaBody { meter, current, leased, max, percentage, unlimited: max.is_none(), can_add }
}
