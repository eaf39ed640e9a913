//! From one state to another.

use std::time::Duration;

use tenantry_model::{TenantState, Timestamp};

use super::Change;
use crate::{Caller, Error, Precondition, Tenancy, TenantRecord, TenantRef, Versioned, text};

/// The longest retention: ten years.
const MAX_RETENTION_DAYS: u32 = 3650;

/// What moves a tenant from one state to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// Serves a tenant that was still to be set up.
    Activate,
    /// Refuses a tenant's requests until it is resumed. Nothing of it is lost.
    Suspend {
        /// Why, for people.
        reason: String,
    },
    /// Serves a suspended tenant again.
    Resume,
    /// Removes a tenant in a way that can be taken back for a while.
    Delete {
        /// For how many days; as many as usual, if not given.
        retention_days: Option<u32>,
    },
    /// Brings a deleted tenant back to what it was.
    Undelete,
}

impl Tenancy {
    /// Moves a tenant to another state.
    ///
    /// # Errors
    /// [`Error::InvalidState`] if that is no way out of its state, [`Error::Invalid`].
    pub async fn move_tenant(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        transition: &Transition,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        transition.check()?;
        let now = self.now();
        let change = |record: &TenantRecord| transition.of(record, now, self.terms.retention);
        let action = transition.action();
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }
}

impl Transition {
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Activate => "tenant.activate",
            Self::Suspend { .. } => "tenant.suspend",
            Self::Resume => "tenant.resume",
            Self::Delete { .. } => "tenant.delete",
            Self::Undelete => "tenant.undelete",
        }
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            Self::Suspend { reason } => text::name("/reason", reason),
            // None at all would be a purge, which has a permission and a confirmation of its own.
            Self::Delete { retention_days: Some(days) }
                if !(1..=MAX_RETENTION_DAYS).contains(days) =>
            {
                let detail = format!(
                    "retention_days is 1 to {MAX_RETENTION_DAYS}; purge the tenant if it is not to be kept"
                );
                Err(Error::InvalidQuery { parameter: "retention_days", detail })
            }
            _ => Ok(()),
        }
    }

    /// What becomes of a tenant.
    pub(super) fn of(
        &self,
        record: &TenantRecord,
        now: Timestamp,
        retention: Duration,
    ) -> Result<TenantRecord, Error> {
        use TenantState::{Active, Deleting, Provisioning, Suspended};
        let mut record = record.clone();
        let state = record.resource.state;
        if record.purge.is_some() {
            return Err(Error::InvalidState { state, rule: "it is being purged" });
        }
        record.resource.state = match (self, state) {
            (Self::Activate, Provisioning) => Active,
            (Self::Suspend { reason }, Active) => {
                record.suspended_reason = Some(reason.clone());
                Suspended
            }
            (Self::Resume, Suspended) => {
                record.suspended_reason = None;
                Active
            }
            (Self::Delete { retention_days }, Provisioning | Active | Suspended) => {
                let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
                record.deleted_at = Some(now);
                record.deleted_from = Some(state);
                record.purge_at = Some(now.after(retention_days.map_or(retention, days)));
                Deleting
            }
            (Self::Undelete, Deleting) => {
                let from = record.deleted_from.take();
                (record.deleted_at, record.purge_at) = (None, None);
                from.unwrap_or(Active)
            }
            _ => return Err(Error::InvalidState { state, rule: self.rule(state) }),
        };
        Ok(record)
    }

    /// Why this is no way out of a state.
    fn rule(&self, state: TenantState) -> &'static str {
        match (self, state) {
            (Self::Undelete, _) => "only a deleted tenant can be undeleted",
            (Self::Delete { .. }, _) => "it has been deleted already",
            (_, TenantState::Deleting) => "undelete it first",
            (Self::Activate, _) => "only a tenant that is still to be set up can be activated",
            (Self::Resume, _) => "only a suspended tenant can be resumed",
            (Self::Suspend { .. }, TenantState::Suspended) => "it stays so until it is resumed",
            (Self::Suspend { .. }, _) => "only an active tenant can be suspended",
        }
    }
}
