//! A roll-out begins.

use serde_json::json;
use tenantry_store::MAX_BATCH_BYTES;

use super::{Body, KEPT, MAX_CHANGES, NewRollout, RolloutChange, RolloutRecord, RolloutState};
use crate::{
    Caller, Error, Fault, Tenancy, Versioned,
    draft::{Draft, MAX_SHOWN_BYTES, Operation, encoded, unencodable},
    layout::{self, ROLLOUT_ACTIVE},
    tenancy::decoded,
};

/// The most that documents take up, and what they change: both are kept until the roll-out is over, in one row.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
const MAX_CHANGE_BYTES: usize = 368 * 1024;
/// How many of the resources are checked in the commit to be still what they were; what is beyond is found to
/// have been changed by whoever watches.
pub(super) const CHECKED: usize = 80;
/// How many names of proxies the audit log says.
const MAX_TOLD: usize = 100;
/// Room for an answer that is kept under an idempotency key, and its rows.
const SPARE_BYTES: usize = 16 * 1024;

impl Tenancy {
    /// Begins a roll-out.
    ///
    /// # Errors
    /// [`Error::RolloutUnderWay`]; [`Error::Invalid`] or [`Error::Faults`] if the documents are at fault, change
    /// nothing that a proxy enforces, or too much.
    pub async fn start_rollout(
        &self,
        caller: &Caller,
        rollout: NewRollout,
    ) -> Result<Versioned<RolloutRecord>, Error> {
        self.run(caller, &Start { caller, rollout }).await
    }
}

struct Start<'a> {
    caller: &'a Caller,
    rollout: NewRollout,
}

impl Operation for Start<'_> {
    type Output = RolloutRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<RolloutRecord>, Error> {
        let NewRollout { id, nodes, chosen_by, terms, documents } = self.rollout.clone();
        terms.check()?;
        if let Some(active) = tenancy.active().await? {
            return Err(Error::RolloutUnderWay(active.value));
        }
        let written = serde_json::to_vec(&documents).map_err(|_| unencodable())?.len();
        bounded(written, MAX_DOCUMENT_BYTES, "bytes of documents")?;
        let staged = tenancy.staged_changes(self.caller, &documents).await?;
        if staged.is_empty() {
            let detail = "these documents change nothing that a proxy enforces".to_owned();
            return Err(Error::Faults(vec![Fault { pointer: "/documents".to_owned(), detail }]));
        }
        bounded(staged.len(), MAX_CHANGES, "resources that change")?;
        let (mut changes, mut forms) = (Vec::new(), Vec::new());
        for change in staged {
            let (resource, base, is_removed) =
                (change.resource, change.base, change.json.is_none());
            changes.push(RolloutChange { resource, base, is_removed });
            forms.push(change.json);
        }
        let bytes: usize = forms.iter().flatten().map(|json| json.get().len()).sum();
        bounded(bytes, MAX_CHANGE_BYTES, "bytes of resources that change")?;
        let said = json!({
            "nodes": nodes.iter().take(MAX_TOLD).collect::<Vec<_>>(),
            "nodes_total": nodes.len(),
            "terms": terms,
            "documents": if written <= MAX_SHOWN_BYTES / 2 { json!(documents) } else { json!(null) },
        });
        let body = encoded("roll-out", &Body { documents, changes: forms })?;
        let record = RolloutRecord {
            id,
            state: RolloutState::Watching,
            reason: None,
            started_by: self.caller.principal.to_string(),
            started_at: tenancy.now(),
            ended_at: None,
            started_revision: None,
            nodes,
            chosen_by,
            terms,
            changes,
        };
        let (key, json) = (layout::rollout(id), encoded("roll-out", &record)?);
        let mut draft = Draft::about("rollout.start", key.clone(), None, record).saying(said);
        for change in draft.value.changes.clone().iter().take(CHECKED) {
            let key = layout::record(change.resource.kind, &change.resource.id);
            draft = draft.unchanged(key, change.base);
        }
        draft = draft
            .absent(ROLLOUT_ACTIVE.to_owned())
            .put(ROLLOUT_ACTIVE.to_owned(), encoded("id", &id)?)
            .put(key, json)
            .put(layout::rollout_body(id), body);
        for old in tenancy.forgotten_rollouts().await? {
            draft = draft.delete(old);
        }
        let (bytes, limit) = (draft.batch.size(), MAX_BATCH_BYTES - SPARE_BYTES);
        if bytes > limit {
            return Err(Error::TooLarge { kind: "roll-out", bytes, limit });
        }
        Ok(draft)
    }
}

impl Tenancy {
    /// The rows of roll-outs that are remembered no longer once another one has begun.
    async fn forgotten_rollouts(&self) -> Result<Vec<String>, Error> {
        let page = self.store.scan(layout::ROLLOUTS.as_bytes(), None, KEPT * 2).await?;
        let mut forgotten = Vec::new();
        for row in page.rows.iter().take(page.rows.len().saturating_sub(KEPT - 1)) {
            let old: Versioned<RolloutRecord> = decoded(row)?;
            if old.value.state.is_end() {
                forgotten.push(layout::rollout(old.value.id));
            }
        }
        Ok(forgotten)
    }
}

fn bounded(found: usize, most: usize, what: &str) -> Result<(), Error> {
    if found <= most {
        return Ok(());
    }
    let detail =
        format!("{found} {what}, and a roll-out has at most {most}; divide it, or apply it");
    Err(Error::Faults(vec![Fault { pointer: "/documents".to_owned(), detail }]))
}
