//! Subscriptions, with a clock that only moves when it is told to.

use tenantry_model::{BillingPeriod, Bounded, PeriodUnit, SubscriptionStatus, TenantState};
use tenantry_tenancy::{
    Error, Precondition, SubscriptionAction, SubscriptionSpec, TenantRecord, Transition,
};

use crate::platform::{Platform, caller, named};

const NONE: Precondition = Precondition::None;

fn monthly(auto_renew: bool, grace_days: u16) -> SubscriptionSpec {
    let period = BillingPeriod { unit: PeriodUnit::Month, count: Bounded::clamped(1) };
    SubscriptionSpec { period, anchor: None, auto_renew, grace_days }
}

async fn subscribed(spec: &SubscriptionSpec) -> Platform {
    let platform = Platform::new().await;
    platform.clock.stand_still_at("2027-01-31T12:00:00Z");
    platform.create_tenant("acme").await;
    platform.tenancy.put_subscription(&caller(), &named("acme"), spec, &NONE).await.unwrap();
    platform
}

async fn act(platform: &Platform, action: SubscriptionAction) -> TenantRecord {
    let (caller, acme) = (caller(), named("acme"));
    platform.tenancy.subscription_action(&caller, &acme, action, &NONE).await.unwrap().value
}

/// At this time, after what was due is done: the status, the state, and when the current period ends.
async fn check(
    platform: &Platform,
    time: &str,
    status: SubscriptionStatus,
    state: TenantState,
    end: &str,
) {
    platform.clock.stand_still_at(time);
    let reconciled = platform.tenancy.reconcile().await.unwrap();
    assert!(reconciled.failed.is_empty(), "{reconciled:?}");
    let found = platform.tenancy.tenant(&named("acme")).await.unwrap().value;
    let subscription = found.subscription.unwrap();
    assert_eq!(
        (subscription.status, found.resource.state, subscription.period_end().to_string()),
        (status, state, end.to_owned()),
        "{time}"
    );
}

use SubscriptionStatus::{Active, Cancelled, PastDue};
use TenantState::{Active as Served, Suspended};

#[tokio::test]
async fn unpaid_it_is_past_due_then_suspended_at_the_tick_and_served_again_when_paid() {
    let platform = subscribed(&monthly(false, 14)).await;
    let end = "2027-02-28T12:00:00Z";
    check(&platform, "2027-02-28T11:59:59.999Z", Active, Served, end).await;
    check(&platform, "2027-02-28T12:00:00Z", PastDue, Served, end).await;
    check(&platform, "2027-03-14T11:59:59.999Z", PastDue, Served, end).await;
    check(&platform, "2027-03-14T12:00:00Z", PastDue, Suspended, end).await;
    let found = act(&platform, SubscriptionAction::Renew).await;
    assert_eq!((found.resource.state, found.suspended_reason), (Served, None));
    check(&platform, "2027-03-14T12:00:00Z", Active, Served, "2027-03-31T12:00:00Z").await;
    let actions: Vec<_> =
        platform.audit().await.into_iter().map(|entry| entry.value.action).collect();
    let expected = [
        "subscription.renew",
        "subscription.suspend",
        "subscription.past_due",
        "subscription.update",
    ];
    assert_eq!(actions.get(..4).unwrap(), expected);
}

#[tokio::test]
async fn each_period_is_renewed_once_however_late_and_however_often_it_is_looked() {
    let platform = subscribed(&monthly(true, 0)).await;
    check(&platform, "2027-02-28T12:00:00Z", Active, Served, "2027-03-31T12:00:00Z").await;
    check(&platform, "2027-02-28T12:00:00Z", Active, Served, "2027-03-31T12:00:00Z").await;
    // Half a year during which nobody looked.
    check(&platform, "2027-09-01T00:00:00Z", Active, Served, "2027-09-30T12:00:00Z").await;
    let renewals = platform.audit().await;
    let renewals = renewals.iter().filter(|entry| entry.value.action == "subscription.renew");
    assert_eq!(renewals.count(), 7);
    let due = platform.rows().await.into_iter().filter(|(key, _)| key.starts_with("due/")).count();
    assert_eq!(due, 1);
}

#[tokio::test]
async fn cancelled_it_is_served_to_the_end_of_its_period_or_ends_at_once() {
    let platform = subscribed(&monthly(true, 14)).await;
    act(&platform, SubscriptionAction::Cancel { at_period_end: true }).await;
    let end = "2027-02-28T12:00:00Z";
    check(&platform, "2027-02-28T11:59:59.999Z", Active, Served, end).await;
    check(&platform, "2027-02-28T12:00:00Z", Cancelled, Suspended, end).await;
    let platform = subscribed(&monthly(true, 14)).await;
    let found = act(&platform, SubscriptionAction::Cancel { at_period_end: false }).await;
    assert_eq!(found.resource.state, Suspended);
    check(&platform, "2028-01-01T00:00:00Z", Cancelled, Suspended, end).await;
}

#[tokio::test]
async fn other_terms_go_on_with_the_period_and_others_begin_where_they_are_told() {
    let platform = subscribed(&monthly(false, 14)).await;
    let put = async |spec: &SubscriptionSpec| {
        let (caller, acme) = (caller(), named("acme"));
        let put = platform.tenancy.put_subscription(&caller, &acme, spec, &NONE).await;
        put.map(|found| found.value.subscription.unwrap())
    };
    let end = "2027-02-28T12:00:00Z";
    check(&platform, "2027-03-01T12:00:00Z", PastDue, Served, end).await;
    // More grace is counted from when it was past due, whoever says so again.
    let longer = put(&monthly(false, 20)).await.unwrap();
    assert_eq!((longer.status, longer.periods), (PastDue, 0));
    let again = act(&platform, SubscriptionAction::PastDue).await.subscription.unwrap();
    assert_eq!(again, longer);
    check(&platform, "2027-03-20T11:59:59.999Z", PastDue, Served, end).await;
    check(&platform, "2027-03-20T12:00:00Z", PastDue, Suspended, end).await;
    // What began long ago is in the period that contains now.
    let anchor = "2025-12-31T00:00:00Z".parse().unwrap();
    let moved = put(&SubscriptionSpec { anchor: Some(anchor), ..monthly(true, 0) }).await.unwrap();
    assert_eq!((moved.status, moved.periods), (Active, 14));
    assert_eq!(moved.period_end().to_string(), "2027-03-31T00:00:00Z");
    let refused = put(&monthly(true, 366)).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { pointer, .. } if pointer == "/grace_days"));
}

#[tokio::test]
async fn what_was_cancelled_is_not_past_due_and_goes_on_when_it_is_paid() {
    let platform = subscribed(&monthly(true, 0)).await;
    act(&platform, SubscriptionAction::Cancel { at_period_end: true }).await;
    act(&platform, SubscriptionAction::Renew).await;
    check(&platform, "2027-02-28T12:00:00Z", Active, Served, "2027-03-31T12:00:00Z").await;
    act(&platform, SubscriptionAction::Cancel { at_period_end: false }).await;
    let found = act(&platform, SubscriptionAction::PastDue).await.subscription.unwrap();
    assert_eq!((found.status, found.past_due_at), (Cancelled, None));
    let found = act(&platform, SubscriptionAction::Renew).await;
    assert_eq!((found.resource.state, found.suspended_reason), (Served, None));
}

#[tokio::test]
async fn a_tenant_that_was_suspended_for_something_else_is_not_served_because_it_paid() {
    let platform = subscribed(&monthly(false, 0)).await;
    let (caller, acme) = (caller(), named("acme"));
    let fraud = Transition::Suspend { reason: "fraud".to_owned() };
    platform.tenancy.move_tenant(&caller, &acme, &fraud, &NONE).await.unwrap();
    check(&platform, "2027-03-01T00:00:00Z", PastDue, Suspended, "2027-02-28T12:00:00Z").await;
    let found = act(&platform, SubscriptionAction::Renew).await;
    assert_eq!(found.resource.state, Suspended);
    assert_eq!(found.suspended_reason.as_deref(), Some("fraud"));
}

#[tokio::test]
async fn a_deleted_tenant_stands_still_and_catches_up_when_it_is_undeleted() {
    let platform = subscribed(&monthly(true, 0)).await;
    let (caller, acme) = (caller(), named("acme"));
    let delete = Transition::Delete { retention_days: None };
    platform.tenancy.move_tenant(&caller, &acme, &delete, &NONE).await.unwrap();
    let action = SubscriptionAction::Renew;
    let refused = platform.tenancy.subscription_action(&caller, &acme, action, &NONE).await;
    assert!(matches!(refused, Err(Error::InvalidState { .. })), "{refused:?}");
    let refused = platform.tenancy.delete_subscription(&caller, &acme, &NONE).await;
    assert!(matches!(refused, Err(Error::InvalidState { .. })), "{refused:?}");
    platform.clock.stand_still_at("2027-03-01T00:00:00Z");
    platform.tenancy.reconcile().await.unwrap();
    let found = platform.tenancy.tenant(&acme).await.unwrap().value.subscription.unwrap();
    assert_eq!(found.periods, 0);
    platform.tenancy.move_tenant(&caller, &acme, &Transition::Undelete, &NONE).await.unwrap();
    check(&platform, "2027-03-01T00:00:00Z", Active, Served, "2027-03-31T12:00:00Z").await;
}
