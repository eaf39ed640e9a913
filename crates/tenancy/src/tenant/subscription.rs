//! A tenant's subscription, and what time does to it.
//!
//! ```text
//!   active --(period ends, auto-renew)--> active, next period
//!     |  \--(period ends, to be cancelled)-----------------------> cancelled, tenant suspended
//!     |   \-(period ends, no auto-renew; or not paid)--+
//!     ^                                                v
//!     +------------------- renew ---------------- past due --(grace ends)--> tenant suspended
//! ```
//!
//! Renewing brings back a tenant that was suspended for its subscription, and no other one. Whatever
//! time does is done once for each period: the row that makes it due goes in the commit that does it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenantry_model::{BillingPeriod, SubscriptionStatus, TenantId, TenantState, Timestamp};

use super::{Change, dues, not_deleted};
use crate::{
    Caller, Error, Precondition, Tenancy, TenantRecord, TenantRef, Versioned,
    due::{Due, DueKind},
};

/// The longest grace.
const MAX_GRACE_DAYS: u16 = 365;
const PAST_DUE: &str = "subscription past due";
const CANCELLED: &str = "subscription cancelled";

/// What may be written of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSpec {
    /// How long each period is.
    pub period: BillingPeriod,
    /// When the first one begins, or began; now, if not given and there is none yet.
    pub anchor: Option<Timestamp>,
    /// Whether a period is followed by the next one without anybody asking for it.
    pub auto_renew: bool,
    /// For how many days a tenant is still served that has not paid.
    pub grace_days: u16,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the others are those of `SubscriptionSpec`")]
pub struct Subscription {
    pub period: BillingPeriod,
    pub anchor: Timestamp,
    pub auto_renew: bool,
    pub grace_days: u16,
    /// Whether it is paid for.
    pub status: SubscriptionStatus,
    /// How many periods came before the current one.
    pub periods: u32,
    /// Since when it is past due.
    pub past_due_at: Option<Timestamp>,
    /// Whether it ends with the current period.
    pub cancel_at_period_end: bool,
    /// Whether the tenant was suspended for it.
    pub suspended_tenant: bool,
}

/// What can be done with a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionAction {
    /// It was paid: the period that contains now is current, and the subscription active.
    Renew,
    /// It was not paid: its grace begins.
    PastDue,
    /// It ends: with its current period, or now.
    Cancel {
        /// Whether the period is still served.
        at_period_end: bool,
    },
}

impl Subscription {
    /// When the current period began.
    #[must_use]
    pub fn period_start(&self) -> Timestamp {
        self.period.after(self.anchor, self.periods)
    }

    /// When the current period ends.
    #[must_use]
    pub fn period_end(&self) -> Timestamp {
        self.period.after(self.anchor, self.periods.saturating_add(1))
    }

    /// When its grace ends, if it is past due.
    #[must_use]
    pub fn grace_end(&self) -> Option<Timestamp> {
        let days = Duration::from_secs(u64::from(self.grace_days) * 86_400);
        self.past_due_at.map(|since| since.after(days))
    }

    /// When time does something to it next.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.status {
            SubscriptionStatus::Active => Some(self.period_end()),
            SubscriptionStatus::PastDue => self.grace_end().filter(|_| !self.suspended_tenant),
            SubscriptionStatus::Cancelled => None,
        }
    }

    fn next_period(&mut self) {
        self.periods = self.periods.saturating_add(1);
    }
}

impl Tenancy {
    /// Gives a tenant a subscription, or other terms of the one it has.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::InvalidState`] if it is deleted.
    pub async fn put_subscription(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        spec: &SubscriptionSpec,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        let now = self.now();
        let change = |record: &TenantRecord| subscribed(record, spec, now);
        let action = "subscription.update";
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }

    /// Takes a tenant's subscription away. A tenant that was suspended for it stays so.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it has none; [`Error::InvalidState`] if it is deleted.
    pub async fn delete_subscription(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        let (action, change) = ("subscription.delete", unsubscribed);
        self.run(caller, &Change { tenant, action, precondition, change }).await.map(drop)
    }

    /// Does something with a tenant's subscription.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it has none; [`Error::InvalidState`] if it is deleted.
    pub async fn subscription_action(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        action: SubscriptionAction,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        let now = self.now();
        let change = |record: &TenantRecord| acted(record, action, now);
        let action = match action {
            SubscriptionAction::Renew => "subscription.renew",
            SubscriptionAction::PastDue => "subscription.past_due",
            SubscriptionAction::Cancel { .. } => "subscription.cancel",
        };
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }

    /// A period or a grace has ended.
    pub(crate) async fn end_period(
        &self,
        caller: &Caller,
        id: TenantId,
        due: &Due,
    ) -> Result<(), Error> {
        let tenant = &TenantRef::Id(id);
        let record = match self.tenant(tenant).await {
            Ok(found) if dues(&found.value).contains(due) => found.value,
            Ok(_) | Err(Error::NotFound { .. }) => return self.forget(caller, due).await,
            Err(error) => return Err(error),
        };
        // If others change the tenant meanwhile it is looked at again the next time.
        let change = |found: &TenantRecord| match dues(found).contains(due) {
            true => timed(found, due.at),
            false => Err(Error::ConcurrentChange),
        };
        let (action, _) = ended(existing(&record)?);
        let precondition = &Precondition::None;
        self.run(caller, &Change { tenant, action, precondition, change }).await.map(drop)
    }
}

fn existing(record: &TenantRecord) -> Result<&Subscription, Error> {
    let found = record.subscription.as_ref();
    found.ok_or_else(|| Error::not_found("subscription of the tenant", &record.resource.slug))
}

pub(super) fn subscribed(
    record: &TenantRecord,
    spec: &SubscriptionSpec,
    now: Timestamp,
) -> Result<TenantRecord, Error> {
    not_deleted(record)?;
    let SubscriptionSpec { period, anchor, auto_renew, grace_days } = *spec;
    if grace_days > MAX_GRACE_DAYS {
        let detail = format!("grace_days is 0 to {MAX_GRACE_DAYS}");
        return Err(Error::invalid("/grace_days", detail));
    }
    let old = record.subscription.as_ref();
    let anchor = anchor.or(old.map(|old| old.anchor)).unwrap_or(now);
    // With the same beginning and length it goes on where it is.
    let same = old.filter(|old| old.anchor == anchor && old.period == period);
    let mut subscription = Subscription {
        period,
        anchor,
        auto_renew,
        grace_days,
        status: SubscriptionStatus::Active,
        periods: 0,
        past_due_at: None,
        cancel_at_period_end: false,
        suspended_tenant: false,
    };
    if let Some(same) = same {
        subscription = Subscription { auto_renew, grace_days, ..same.clone() };
    } else {
        while subscription.period_end() <= now {
            subscription.next_period();
        }
    }
    Ok(TenantRecord { subscription: Some(subscription), ..record.clone() })
}

pub(super) fn unsubscribed(record: &TenantRecord) -> Result<TenantRecord, Error> {
    not_deleted(record)?;
    existing(record)?;
    Ok(TenantRecord { subscription: None, ..record.clone() })
}

fn acted(
    record: &TenantRecord,
    action: SubscriptionAction,
    now: Timestamp,
) -> Result<TenantRecord, Error> {
    not_deleted(record)?;
    let mut subscription = existing(record)?.clone();
    match action {
        SubscriptionAction::Renew => {
            while subscription.period_end() <= now {
                subscription.next_period();
            }
            Ok(paid(record, subscription))
        }
        SubscriptionAction::PastDue => {
            if subscription.status == SubscriptionStatus::Active {
                subscription.status = SubscriptionStatus::PastDue;
                subscription.past_due_at = Some(now);
            }
            Ok(with(record, subscription))
        }
        SubscriptionAction::Cancel { at_period_end: true } => {
            subscription.cancel_at_period_end = true;
            Ok(with(record, subscription))
        }
        SubscriptionAction::Cancel { at_period_end: false } => {
            subscription.status = SubscriptionStatus::Cancelled;
            Ok(suspended(record, subscription, CANCELLED))
        }
    }
}

/// What the end of a period or a grace is called, and whether it ends the tenant.
fn ended(subscription: &Subscription) -> (&'static str, Option<&'static str>) {
    match subscription.status {
        SubscriptionStatus::Active if subscription.cancel_at_period_end => {
            ("subscription.end", Some(CANCELLED))
        }
        SubscriptionStatus::Active if subscription.auto_renew => ("subscription.renew", None),
        SubscriptionStatus::Active => ("subscription.past_due", None),
        SubscriptionStatus::PastDue | SubscriptionStatus::Cancelled => {
            ("subscription.suspend", Some(PAST_DUE))
        }
    }
}

/// What becomes of a tenant at the end of a period or a grace.
fn timed(record: &TenantRecord, at: Timestamp) -> Result<TenantRecord, Error> {
    let mut subscription = existing(record)?.clone();
    let (_, reason) = ended(&subscription);
    if let Some(reason) = reason {
        if subscription.status == SubscriptionStatus::Active {
            subscription.status = SubscriptionStatus::Cancelled;
        }
        return Ok(suspended(record, subscription, reason));
    }
    if subscription.auto_renew {
        subscription.next_period();
    } else {
        subscription.status = SubscriptionStatus::PastDue;
        subscription.past_due_at = Some(at);
    }
    Ok(with(record, subscription))
}

fn with(record: &TenantRecord, subscription: Subscription) -> TenantRecord {
    TenantRecord { subscription: Some(subscription), ..record.clone() }
}

/// Refuses the tenant's requests, unless they are refused for another reason already.
fn suspended(record: &TenantRecord, subscription: Subscription, reason: &str) -> TenantRecord {
    let mut record = with(record, Subscription { suspended_tenant: true, ..subscription });
    if record.resource.state == TenantState::Active {
        record.resource.state = TenantState::Suspended;
        record.suspended_reason = Some(reason.to_owned());
    }
    record
}

/// Serves the tenant again, if it was suspended for its subscription.
fn paid(record: &TenantRecord, subscription: Subscription) -> TenantRecord {
    let mut record = with(
        record,
        Subscription {
            status: SubscriptionStatus::Active,
            past_due_at: None,
            cancel_at_period_end: false,
            suspended_tenant: false,
            ..subscription
        },
    );
    let for_it = [PAST_DUE, CANCELLED].map(Some).contains(&record.suspended_reason.as_deref());
    if record.resource.state == TenantState::Suspended && for_it {
        record.resource.state = TenantState::Active;
        record.suspended_reason = None;
    }
    record
}

/// What is to be done about a tenant's subscription some time.
pub(super) fn due(record: &TenantRecord) -> Option<Due> {
    let stays = record.resource.state != TenantState::Deleting;
    let at = record.subscription.as_ref().filter(|_| stays)?.due()?;
    Some(Due::new(at, DueKind::Subscription, record.resource.id))
}
