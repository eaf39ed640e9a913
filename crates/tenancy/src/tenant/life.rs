//! From one state to another.

use tenantry_model::{TenantState, Timestamp};

use super::Change;
use crate::{Caller, Error, Precondition, Tenancy, TenantRecord, TenantRef, Versioned, text};

impl Tenancy {
    /// Refuses a tenant's requests until it is resumed. Nothing of it is lost.
    ///
    /// # Errors
    /// [`Error::InvalidState`] unless it is active.
    pub async fn suspend_tenant(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        reason: &str,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        text::name("/reason", reason)?;
        let change = |record: &TenantRecord| match record.resource.state {
            TenantState::Active => {
                let suspended_reason = Some(reason.to_owned());
                Ok(TenantRecord { suspended_reason, ..moved(record, TenantState::Suspended) })
            }
            TenantState::Suspended => Err(refused(record, "it stays so until it is resumed")),
            TenantState::Deleting => Err(refused(record, "undelete it before you suspend it")),
        };
        let action = "tenant.suspend";
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }

    /// Serves a suspended tenant again.
    ///
    /// # Errors
    /// [`Error::InvalidState`] unless it is suspended.
    pub async fn resume_tenant(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        let change = |record: &TenantRecord| match record.resource.state {
            TenantState::Suspended => {
                Ok(TenantRecord { suspended_reason: None, ..moved(record, TenantState::Active) })
            }
            TenantState::Active => Err(refused(record, "only a suspended tenant can be resumed")),
            TenantState::Deleting => Err(refused(record, "undelete it before you resume it")),
        };
        let action = "tenant.resume";
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }

    /// Removes a tenant in a way that can be taken back.
    ///
    /// # Errors
    /// [`Error::InvalidState`] if it is deleted already.
    pub async fn delete_tenant(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        let now = self.now();
        let change = |record: &TenantRecord| match record.resource.state {
            TenantState::Active | TenantState::Suspended => {
                Ok(TenantRecord { deleted_at: Some(now), ..moved(record, TenantState::Deleting) })
            }
            TenantState::Deleting => Err(refused(record, "it has been deleted already")),
        };
        let action = "tenant.delete";
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }

    /// Brings a deleted tenant back to what it was: active or suspended.
    ///
    /// # Errors
    /// [`Error::InvalidState`] unless it is deleted.
    pub async fn undelete_tenant(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        precondition: &Precondition,
    ) -> Result<Versioned<TenantRecord>, Error> {
        let change = |record: &TenantRecord| match record.resource.state {
            TenantState::Deleting => {
                let state = match record.suspended_reason {
                    Some(_) => TenantState::Suspended,
                    None => TenantState::Active,
                };
                let deleted_at: Option<Timestamp> = None;
                Ok(TenantRecord { deleted_at, ..moved(record, state) })
            }
            TenantState::Active | TenantState::Suspended => {
                Err(refused(record, "only a deleted tenant can be undeleted"))
            }
        };
        let action = "tenant.undelete";
        self.run(caller, &Change { tenant, action, precondition, change }).await
    }
}

fn moved(record: &TenantRecord, state: TenantState) -> TenantRecord {
    let mut record = record.clone();
    record.resource.state = state;
    record
}

fn refused(record: &TenantRecord, rule: &'static str) -> Error {
    Error::InvalidState { state: record.resource.state, rule }
}
