//! A roll-out ends: released, or taken back.

use serde_json::json;
use tenantry_model::RolloutId;

use super::{Body, RolloutRecord, RolloutState, start::CHECKED};
use crate::{
    Caller, Error, MassRemoval, Tenancy, Versioned,
    draft::{Draft, Operation, encoded},
    layout::{self, ROLLOUT_ACTIVE},
};

/// The longest reason, in bytes.
const MAX_REASON: usize = 1000;

impl Tenancy {
    /// Makes for all what the chosen proxies have.
    ///
    /// If somebody else has changed what is rolled out, or it cannot be applied any more, it is taken back instead.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::RolloutEnded`], [`Error::RolloutOutdated`], [`Error::Faults`]. After any other error
    /// it may be `releasing` still, and whoever finds it so [goes on](Self::finish_rollout).
    pub async fn release_rollout(
        &self,
        caller: &Caller,
        id: RolloutId,
    ) -> Result<Versioned<RolloutRecord>, Error> {
        let begun = self.run(caller, &Releasing { id }).await;
        match begun {
            Ok(done) if done.value.state.is_end() => Ok(done),
            Ok(_) => self.applied_to_all(caller, id).await,
            Err(Error::RolloutOutdated(resource)) if !caller.is_rehearsal => {
                let error = Error::RolloutOutdated(resource);
                self.ended(&Caller::system(), id, error.to_string()).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Goes on with a release that was begun and not ended, whoever began it.
    ///
    /// # Errors
    /// As for [`Tenancy::release_rollout`].
    pub async fn finish_rollout(&self, id: RolloutId) -> Result<Versioned<RolloutRecord>, Error> {
        let found = self.rollout(id).await?;
        if found.value.state != RolloutState::Releasing {
            return Ok(found);
        }
        self.applied_to_all(&Caller::system(), id).await
    }

    /// The control plane releases a roll-out by itself.
    ///
    /// # Errors
    /// As for [`Tenancy::release_rollout`].
    pub async fn auto_release_rollout(
        &self,
        id: RolloutId,
    ) -> Result<Versioned<RolloutRecord>, Error> {
        self.release_rollout(&Caller::system(), id).await
    }

    /// The control plane takes a roll-out back by itself.
    ///
    /// # Errors
    /// As for [`Tenancy::take_back_rollout`].
    pub async fn auto_take_back_rollout(
        &self,
        id: RolloutId,
        reason: String,
    ) -> Result<Versioned<RolloutRecord>, Error> {
        self.take_back_rollout(&Caller::system(), id, reason).await
    }

    /// Takes from the chosen proxies what was rolled out.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::RolloutEnded`], also if it is being applied for all already.
    pub async fn take_back_rollout(
        &self,
        caller: &Caller,
        id: RolloutId,
        reason: String,
    ) -> Result<Versioned<RolloutRecord>, Error> {
        if reason.is_empty() || reason.len() > MAX_REASON {
            let detail = format!("a reason has 1 to {MAX_REASON} bytes");
            return Err(Error::invalid("/reason", detail));
        }
        let from = RolloutState::Watching;
        self.run(caller, &TakingBack { id, from, reason }).await
    }

    /// Taken back by the control plane, whatever it was doing.
    async fn ended(&self, caller: &Caller, id: RolloutId, reason: String) -> Result<(), Error> {
        let reason = reason.chars().take(MAX_REASON / 4).collect();
        let from = self.rollout(id).await?.value.state;
        self.run(caller, &TakingBack { id, from, reason }).await.map(drop)
    }

    async fn applied_to_all(
        &self,
        caller: &Caller,
        id: RolloutId,
    ) -> Result<Versioned<RolloutRecord>, Error> {
        let key = layout::rollout_body(id);
        let body: Option<Versioned<Body>> = self.find(&key, None).await?;
        if let Some(body) = body {
            let documents = body.value.documents;
            let removal = MassRemoval::Refused;
            let applied = self.apply(caller, &documents, None, removal, caller.is_rehearsal).await;
            if let Err(error @ Error::Faults(_)) = applied {
                if !caller.is_rehearsal {
                    let reason = cannot_be_applied(&error);
                    self.ended(&Caller::system(), id, reason).await?;
                }
                return Err(error);
            }
            applied?;
        }
        self.run(caller, &Released { id }).await
    }
}

fn cannot_be_applied(error: &Error) -> String {
    let first = match error {
        Error::Faults(faults) => faults.first().map(|fault| fault.detail.clone()),
        _ => None,
    };
    format!("it cannot be applied any more: {}", first.unwrap_or_else(|| error.to_string()))
}

/// From now on it is applied for all.
struct Releasing {
    id: RolloutId,
}

impl Operation for Releasing {
    type Output = RolloutRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<RolloutRecord>, Error> {
        let found = tenancy.rollout(self.id).await?;
        let mut record = found.value.clone();
        match record.state {
            // Somebody has begun to.
            RolloutState::Releasing => return Ok(Draft::quiet(record).more_follows()),
            state if state.is_end() => return Err(Error::RolloutEnded(state)),
            _ => {}
        }
        if let Some(resource) = tenancy.rollout_outdated(&record).await? {
            return Err(Error::RolloutOutdated(resource));
        }
        record.state = RolloutState::Releasing;
        record.started_revision = Some(found.started());
        let (key, json) = (layout::rollout(self.id), encoded("roll-out", &record)?);
        let mut draft = Draft::about("rollout.release", key.clone(), None, record.clone())
            .saying(json!({ "state": record.state }))
            .unchanged(key.clone(), found.revision)
            .put(key, json)
            .more_follows();
        for change in record.changes.iter().take(CHECKED) {
            let key = layout::record(change.resource.kind, &change.resource.id);
            draft = draft.unchanged(key, change.base);
        }
        Ok(draft)
    }
}

/// It has been applied for all.
struct Released {
    id: RolloutId,
}

impl Operation for Released {
    type Output = RolloutRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<RolloutRecord>, Error> {
        let found = tenancy.rollout(self.id).await?;
        match found.value.state {
            // Somebody else has come to the end of it.
            RolloutState::Released => return Ok(Draft::quiet(found.value)),
            RolloutState::TakenBack => return Err(Error::RolloutEnded(found.value.state)),
            RolloutState::Watching | RolloutState::Releasing => {}
        }
        over(tenancy, found, "rollout.released", RolloutState::Released, None)
    }
}

struct TakingBack {
    id: RolloutId,
    /// From which state it may be.
    from: RolloutState,
    reason: String,
}

impl Operation for TakingBack {
    type Output = RolloutRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<RolloutRecord>, Error> {
        let found = tenancy.rollout(self.id).await?;
        let state = found.value.state;
        if state != self.from || state.is_end() {
            return Err(Error::RolloutEnded(state));
        }
        let reason = Some(self.reason.clone());
        over(tenancy, found, "rollout.take_back", RolloutState::TakenBack, reason)
    }
}

/// It is over: what was kept beside it goes.
fn over(
    tenancy: &Tenancy,
    found: Versioned<RolloutRecord>,
    action: &'static str,
    state: RolloutState,
    reason: Option<String>,
) -> Result<Draft<RolloutRecord>, Error> {
    let started = found.started();
    let mut record = found.value;
    record.started_revision = Some(started);
    record.ended_at = Some(tenancy.now());
    (record.state, record.reason) = (state, reason);
    let (key, json) = (layout::rollout(record.id), encoded("roll-out", &record)?);
    let (id, said) = (record.id, json!({ "state": state, "reason": record.reason }));
    Ok(Draft::about(action, key.clone(), None, record)
        .saying(said)
        .unchanged(key.clone(), found.revision)
        .unchanged(ROLLOUT_ACTIVE.to_owned(), started)
        .put(key, json)
        .delete(ROLLOUT_ACTIVE.to_owned())
        .delete(layout::rollout_body(id)))
}
