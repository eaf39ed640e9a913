//! Quotas of what a tenant has a number of at once: devices, users, projects.
//!
//! Whoever adds one asks for room first (*reserve*), and gives it back when it is gone (*release*). With
//! a lease, the room comes back by itself unless it is *confirmed* in time: a client that dies between
//! asking and adding costs nobody anything. What is counted for each meter is one row, changed only if
//! it is still what was read, so that no two callers ever get the same last place.
//!
//! What time a lease ends is a due row. A maximum that was lowered below what is there takes nothing
//! away; it only lets nothing more in.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tenantry_model::{MeterName, ReservationId, ResourceKind, TenantId, Timestamp};
use tenantry_store::Revision;

use crate::{
    Caller, Error, Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    due::{Due, DueKind},
    idempotency::Answer,
    layout,
    tenant::not_deleted,
};

/// The longest lease: a day.
const MAX_LEASE: Duration = Duration::from_secs(86_400);
/// The most that is counted of anything.
const MAX_COUNT: u64 = 1 << 53;
/// How many meters a tenant's counters may be of, beside those that its quotas name.
const MAX_METERS: usize = 100;

/// How much of a meter is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// For good, until it is released.
    pub confirmed: u64,
    /// By leases that are neither confirmed nor ended.
    pub leased: u64,
}

/// Room that was given for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its identifier.
    pub id: ReservationId,
    /// Whose.
    pub tenant: TenantId,
    /// Of what.
    pub meter: MeterName,
    /// How much.
    pub amount: u64,
    /// Until when it must be confirmed.
    pub expires_at: Timestamp,
}

/// A quota, and how much of it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaState {
    /// Of what.
    pub meter: MeterName,
    /// How much is taken.
    pub count: Count,
    /// How much there is; none if there is no end.
    pub max: Option<u64>,
}

impl Count {
    /// All that is taken.
    #[must_use]
    pub fn current(self) -> u64 {
        self.confirmed.saturating_add(self.leased)
    }
}

impl QuotaState {
    /// How much more there is room for; none if there is no end.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.max.map(|max| max.saturating_sub(self.count.current()))
    }
}

/// What is done with a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaAction {
    /// Takes room.
    Reserve {
        /// How much.
        amount: u64,
        /// For how long, if it comes back by itself; for good, if not given.
        lease: Option<Duration>,
    },
    /// Keeps leased room for good.
    Confirm {
        /// Which.
        reservation: ReservationId,
    },
    /// Gives leased room back.
    Cancel {
        /// Which.
        reservation: ReservationId,
    },
    /// Gives room back that was kept for good.
    Release {
        /// How much.
        amount: u64,
    },
    /// Says how much is taken for good, whatever was counted.
    Set {
        /// How much.
        current: u64,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaOutcome {
    /// How it is now.
    pub state: QuotaState,
    /// The lease that was given, if one was asked for.
    pub reservation: Option<Reservation>,
}

impl Answer for QuotaOutcome {}

impl Tenancy {
    /// All quotas of a tenant, and whatever else is counted for it.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what reading can end in.
    pub async fn quotas(&self, tenant: &TenantRef) -> Result<Vec<QuotaState>, Error> {
        let effective = self.effective(tenant).await?.value;
        let id = effective.tenant.id;
        let mut states = BTreeMap::new();
        for (meter, max) in effective.limits.quotas {
            let max = max.value.at_most();
            let state = QuotaState { meter: meter.clone(), count: Count::default(), max };
            states.insert(meter, state);
        }
        let prefix = format!("{}{id}.", layout::COUNTS);
        // Those beside the bound were counted by others at the same time.
        let page = self.store.scan(prefix.as_bytes(), None, MAX_METERS * 2).await?;
        for row in &page.rows {
            let counted: Counted = crate::tenancy::decoded(row)?.value;
            let none =
                || QuotaState { meter: counted.meter.clone(), count: counted.count, max: None };
            states.entry(counted.meter.clone()).or_insert_with(none).count = counted.count;
        }
        Ok(states.into_values().collect())
    }

    /// Whether one more meter can be counted that no quota names.
    async fn has_room_for_meter(&self, tenant: TenantId) -> Result<(), Error> {
        let prefix = format!("{}{tenant}.", layout::COUNTS);
        let counted = self.store.scan(prefix.as_bytes(), None, MAX_METERS).await?.rows.len();
        if counted < MAX_METERS {
            return Ok(());
        }
        let detail = format!("a tenant has at most {MAX_METERS} meters that no quota of it names");
        Err(Error::invalid("", detail))
    }

    /// Does something with a quota.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`] if there is no room; [`Error::NotFound`] if there is no such tenant or
    /// reservation; [`Error::InvalidState`] if the tenant is deleted; [`Error::Invalid`].
    pub async fn quota_action(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        meter: &MeterName,
        action: &QuotaAction,
    ) -> Result<Versioned<QuotaOutcome>, Error> {
        action.check()?;
        let id = self.tenant(tenant).await?.value.resource.id;
        // All who want the same counter would conflict and try again, and most of them in vain. The
        // checks of the commit keep it right; the queue keeps it quick.
        let _turn = self.turns.take(&layout::count(id, meter)).await;
        self.run(caller, &Act { tenant: id, meter, action }).await
    }

    /// A lease has ended without having been confirmed.
    pub(crate) async fn end_lease(
        &self,
        caller: &Caller,
        id: ReservationId,
        due: &Due,
    ) -> Result<(), Error> {
        let found: Option<Versioned<Reservation>> =
            self.find(&layout::reservation(id), None).await?;
        let Some(Versioned { value, .. }) = found.filter(|found| found.value.expires_at == due.at)
        else {
            return self.forget(caller, due).await;
        };
        let action = QuotaAction::Cancel { reservation: id };
        let act = Act { tenant: value.tenant, meter: &value.meter, action: &action };
        match self.run(caller, &act).await {
            // It was confirmed or given back meanwhile, and its due row with it.
            Err(Error::NotFound { .. }) => Ok(()),
            done => done.map(drop),
        }
    }
}

impl QuotaAction {
    fn check(&self) -> Result<(), Error> {
        match self {
            Self::Reserve { amount: 0, .. } | Self::Release { amount: 0 } => {
                Err(Error::invalid("/amount", "at least one is reserved or released"))
            }
            Self::Reserve { amount, .. } | Self::Set { current: amount } if *amount > MAX_COUNT => {
                Err(Error::invalid("/amount", format!("at most {MAX_COUNT} are counted")))
            }
            Self::Reserve { lease: Some(lease), .. } if lease.is_zero() || *lease > MAX_LEASE => {
                let detail = format!("a lease is 1 to {} seconds", MAX_LEASE.as_secs());
                Err(Error::invalid("/lease_seconds", detail))
            }
            _ => Ok(()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Reserve { .. } => "quota.reserve",
            Self::Confirm { .. } => "quota.confirm",
            Self::Cancel { .. } => "quota.cancel",
            Self::Release { .. } => "quota.release",
            Self::Set { .. } => "quota.set",
        }
    }
}

/// A counter as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Counted {
    meter: MeterName,
    #[serde(flatten)]
    count: Count,
}

struct Act<'a> {
    tenant: TenantId,
    meter: &'a MeterName,
    action: &'a QuotaAction,
}

impl Operation for Act<'_> {
    type Output = QuotaOutcome;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<QuotaOutcome>, Error> {
        let by_id = TenantRef::Id(self.tenant);
        let owner = tenancy.tenant(&by_id).await?;
        if !matches!(self.action, QuotaAction::Cancel { .. }) {
            not_deleted(&owner.value)?;
        }
        let max = tenancy.effective(&by_id).await?.value.limits.quotas;
        let max = max.get(self.meter).and_then(|max| max.value.at_most());
        let key = layout::count(self.tenant, self.meter);
        let found: Option<Versioned<Counted>> = tenancy.find(&key, None).await?;
        if found.is_none() && max.is_none() {
            tenancy.has_room_for_meter(self.tenant).await?;
        }
        let (count, revision) = found.map_or((Count::default(), Revision::ZERO), |found| {
            (found.value.count, found.revision)
        });
        let mut state = QuotaState { meter: self.meter.clone(), count, max };
        let (reservation, lease) = self.act(tenancy, &mut state).await?;
        let id = self.tenant.to_string();
        let before = json!({ "meter": self.meter, "count": count });
        let after =
            json!({ "meter": self.meter, "count": state.count, "reservation": reservation });
        let counted = Counted { meter: self.meter.clone(), count: state.count };
        let outcome = QuotaOutcome { state, reservation };
        let target = (ResourceKind::Tenant, id.as_str());
        let mut draft = Draft::new(self.action.name(), target, Some(self.tenant), outcome)
            .before(&before)?
            .saying(after)
            .unchanged(layout::record(ResourceKind::Tenant, self.tenant), owner.revision)
            .unchanged(key.clone(), revision);
        let index = format!("{}{key}", layout::all_owned(self.tenant));
        draft = match counted.count.current() {
            0 => draft.delete(key).delete(index),
            _ => draft.put(key, encoded("count", &counted)?).put(index, Vec::new()),
        };
        match lease {
            Some(Lease::New(lease)) => {
                let (key, due) = (layout::reservation(lease.id), due(&lease));
                let index = format!("{}{key}", layout::all_owned(self.tenant));
                let json = encoded("reservation", &lease)?;
                Ok(draft.put(key, json).put(index, Vec::new()).due(&due))
            }
            Some(Lease::Over(lease, revision)) => {
                let (key, due) = (layout::reservation(lease.id), due(&lease));
                let index = format!("{}{key}", layout::all_owned(self.tenant));
                Ok(draft.unchanged(key.clone(), revision).delete(key).delete(index).not_due(&due))
            }
            None => Ok(draft),
        }
    }
}

enum Lease {
    New(Reservation),
    Over(Reservation, Revision),
}

impl Act<'_> {
    /// What becomes of the counter, and of a lease.
    async fn act(
        &self,
        tenancy: &Tenancy,
        state: &mut QuotaState,
    ) -> Result<(Option<Reservation>, Option<Lease>), Error> {
        match *self.action {
            QuotaAction::Reserve { amount, lease } => {
                if state.left().is_some_and(|left| left < amount)
                    || state.count.current().saturating_add(amount) > MAX_COUNT
                {
                    let max = state.max.unwrap_or(MAX_COUNT);
                    let (meter, current) = (self.meter.to_string(), state.count.current());
                    return Err(Error::QuotaExceeded { meter, max, current });
                }
                let Some(lease) = lease else {
                    state.count.confirmed += amount;
                    return Ok((None, None));
                };
                state.count.leased += amount;
                let now = tenancy.now();
                let reservation = Reservation {
                    id: ReservationId::from_parts(now.unix_ms(), tenancy.identifiers.random()),
                    tenant: self.tenant,
                    meter: self.meter.clone(),
                    amount,
                    expires_at: now.after(lease),
                };
                Ok((Some(reservation.clone()), Some(Lease::New(reservation))))
            }
            QuotaAction::Confirm { reservation } => {
                let (lease, revision) = self.lease(tenancy, reservation).await?;
                state.count.leased = state.count.leased.saturating_sub(lease.amount);
                state.count.confirmed += lease.amount;
                Ok((None, Some(Lease::Over(lease, revision))))
            }
            QuotaAction::Cancel { reservation } => {
                let (lease, revision) = self.lease(tenancy, reservation).await?;
                state.count.leased = state.count.leased.saturating_sub(lease.amount);
                Ok((None, Some(Lease::Over(lease, revision))))
            }
            QuotaAction::Release { amount } => {
                let left = state.count.confirmed.checked_sub(amount);
                state.count.confirmed = left.ok_or_else(|| {
                    let detail = format!("only {} are taken for good", state.count.confirmed);
                    Error::invalid("/amount", detail)
                })?;
                Ok((None, None))
            }
            QuotaAction::Set { current } => {
                state.count.confirmed = current;
                Ok((None, None))
            }
        }
    }

    async fn lease(
        &self,
        tenancy: &Tenancy,
        id: ReservationId,
    ) -> Result<(Reservation, Revision), Error> {
        let found: Option<Versioned<Reservation>> =
            tenancy.find(&layout::reservation(id), None).await?;
        let is_own = |found: &Versioned<Reservation>| {
            found.value.tenant == self.tenant && found.value.meter == *self.meter
        };
        let found = found.filter(is_own).ok_or_else(|| Error::not_found("reservation", id))?;
        Ok((found.value, found.revision))
    }
}

fn due(lease: &Reservation) -> Due {
    Due::new(lease.expires_at, DueKind::Lease, lease.id)
}
