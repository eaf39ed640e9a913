//! Staged roll-outs: a change is released to some proxies first, watched there, and then made for all or taken back.
//!
//! What a roll-out would change is worked out once, when it begins, by the code that applies documents, and stays
//! beside the state ([`Staged`]): the proxies that were chosen are sent the state with these resources in the place of
//! its own. Nothing of the state itself is changed before the roll-out is **released**, which is to apply
//! its documents; **taken back**, it leaves nothing behind.
//!
//! There is one at a time, held by a check in the commit that begins it: two at once could each be good and
//! together be not, and nobody could say which of them a proxy suffers from.
//!
//! What a roll-out holds of a resource must not outlive what others do to it: a tenant that is suspended meanwhile
//! is suspended everywhere. So if somebody else changes what is rolled out, the roll-out is taken back
//! ([`Tenancy::rollout_outdated`]), and is not released.
//!
//! A release is a commit that says `releasing`, the application of the documents, which may be several commits, and one
//! that says `released`. Whoever finds a roll-out `releasing` goes on with it ([`Tenancy::finish_rollout`]): applying the
//! same documents again does what is left to do.

mod end;
mod shown;
mod start;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use tenantry_model::{NodeName, ResourceRef, RolloutId, Timestamp};
use tenantry_store::{Revision, Store};

use crate::{
    Error, Tenancy, Versioned,
    idempotency::Answer,
    layout::{self, ROLLOUT_ACTIVE},
    tenancy::decoded,
};

/// How many ended roll-outs are remembered.
pub const KEPT: usize = 100;

/// The most resources that a roll-out changes.
pub const MAX_CHANGES: usize = 1000;

/// The longest that an operator may take to release what was watched for long enough, in seconds.
pub const MAX_UNDECIDED: u32 = 86_400;

/// How far a roll-out has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// The chosen proxies have the change, and are watched.
    Watching,
    /// It is being applied for all.
    Releasing,
    /// It was applied for all.
    Released,
    /// No proxy has it any more.
    TakenBack,
}

impl RolloutState {
    /// As it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Releasing => "releasing",
            Self::Released => "released",
            Self::TakenBack => "taken_back",
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Released | Self::TakenBack)
    }
}

/// Who releases a roll-out that was watched for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// The control plane.
    #[default]
    Automatic,
    /// An operator.
    Manual,
}

/// How the proxies were chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenBy {
    /// By their names.
    Nodes(BTreeSet<NodeName>),
    /// By all of these labels of their enrolments.
    Labels(BTreeMap<String, String>),
    /// So many of a hundred.
    Percentage(u8),
}

/// For how long a roll-out is watched, and for what it is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutTerms {
    /// For how long it is watched.
    pub watch_seconds: u32,
    /// Who releases it then.
    pub release: Release,
    /// By how many percentage points the share of answers 5xx may exceed that of the reference.
    pub max_server_errors: u8,
    /// By how many percentage points the share of refusals may.
    pub max_denied: u8,
    /// From how many requests on shares are compared.
    pub min_requests: u32,
}

impl Default for RolloutTerms {
    fn default() -> Self {
        Self {
            watch_seconds: 300,
            release: Release::Automatic,
            max_server_errors: 1,
            max_denied: 5,
            min_requests: 100,
        }
    }
}

impl RolloutTerms {
    fn check(&self) -> Result<(), Error> {
        let within = |parameter, holds: bool, detail: &str| {
            let refused = || Error::InvalidQuery { parameter, detail: detail.to_owned() };
            if holds { Ok(()) } else { Err(refused()) }
        };
        let Self { watch_seconds, release: _, max_server_errors, max_denied, min_requests } = *self;
        let watched = (1..=86_400).contains(&watch_seconds);
        within("watch_seconds", watched, "watch_seconds is 1 to 86400")?;
        within("max_server_errors", max_server_errors <= 100, "max_server_errors is 0 to 100")?;
        within("max_denied", max_denied <= 100, "max_denied is 0 to 100")?;
        within("min_requests", min_requests > 0, "min_requests is at least 1")
    }
}

/// A resource that a roll-out changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutChange {
    /// Which.
    pub resource: ResourceRef,
    /// The revision that wrote it as it is without the roll-out; zero, if it is not there.
    pub base: Revision,
    /// Whether it would be gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_removed: bool,
}

/// A roll-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// Never changes.
    pub id: RolloutId,
    /// How far it has come.
    pub state: RolloutState,
    /// Why it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who began it, as the audit log says it.
    pub started_by: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The revision it began at; that of the record itself, if it does not say so yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_revision: Option<Revision>,
    /// The proxies that were chosen. It stays with these.
    pub nodes: BTreeSet<NodeName>,
    /// How they were chosen.
    pub chosen_by: ChosenBy,
    /// How it is watched.
    pub terms: RolloutTerms,
    /// What it changes.
    pub changes: Vec<RolloutChange>,
}

impl Answer for RolloutRecord {}

impl Versioned<RolloutRecord> {
    /// The revision that the roll-out began at.
    #[must_use]
    pub fn started(&self) -> Revision {
        self.value.started_revision.unwrap_or(self.revision)
    }
}

/// A roll-out to be begun.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRollout {
    /// From [`Tenancy::rollout_id`]; who is chosen may depend on it.
    pub id: RolloutId,
    /// Who has it first.
    pub nodes: BTreeSet<NodeName>,
    /// How these were chosen.
    pub chosen_by: ChosenBy,
    /// How it is watched.
    pub terms: RolloutTerms,
    /// What is to be, as for [`Tenancy::apply`].
    pub documents: Vec<Value>,
}

/// What is kept beside the record while a roll-out is under way.
#[derive(Serialize, Deserialize)]
struct Body {
    documents: Vec<Value>,
    /// As in the record, in the same order: each as it would be, or nothing where it would be gone.
    changes: Vec<Option<Box<RawValue>>>,
}

/// What the chosen proxies are sent in the place of what the state holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Which roll-out it is.
    pub id: RolloutId,
    /// When it began.
    pub revision: Revision,
    /// Who is sent it.
    pub nodes: BTreeSet<NodeName>,
    /// Each resource as it is sent, byte for byte, or nothing where it is gone.
    pub changes: Vec<(ResourceRef, Option<String>)>,
}

/// The roll-out that is under way now, or was at a revision.
///
/// # Errors
/// What reading can end in.
pub async fn staged(store: &dyn Store, at: Option<Revision>) -> Result<Option<Staged>, Error> {
    let (at, pointer) = store.get(ROLLOUT_ACTIVE.as_bytes(), at).await?;
    let Some(pointer) = pointer else { return Ok(None) };
    let id: Versioned<RolloutId> = decoded(&pointer)?;
    let (record, body) = (layout::rollout(id.value), layout::rollout_body(id.value));
    let missing = |key: &str| crate::tenancy::damaged(key.as_bytes());
    let (_, row) = store.get(record.as_bytes(), Some(at)).await?;
    let record: Versioned<RolloutRecord> = decoded(&row.ok_or_else(|| missing(&record))?)?;
    let (_, row) = store.get(body.as_bytes(), Some(at)).await?;
    let body: Versioned<Body> = decoded(&row.ok_or_else(|| missing(&body))?)?;
    let json = |json: Option<Box<RawValue>>| json.map(|json| json.get().to_owned());
    let changes = record.value.changes.into_iter().zip(body.value.changes);
    Ok(Some(Staged {
        id: id.value,
        revision: id.revision,
        nodes: record.value.nodes,
        changes: changes.map(|(change, body)| (change.resource, json(body))).collect(),
    }))
}

impl Tenancy {
    /// An identifier for a roll-out to be begun.
    #[must_use]
    pub fn rollout_id(&self) -> RolloutId {
        RolloutId::from_parts(self.now().unix_ms(), self.identifiers.random())
    }

    /// The roll-out that is under way, if one is.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn active_rollout(&self) -> Result<Option<Versioned<RolloutRecord>>, Error> {
        match self.active().await? {
            Some(active) => self.rollout(active.value).await.map(Some),
            None => Ok(None),
        }
    }

    async fn active(&self) -> Result<Option<Versioned<RolloutId>>, Error> {
        self.find(ROLLOUT_ACTIVE, None).await
    }

    /// Something that a roll-out changes and somebody else has changed since it began; none if it is over, or is being
    /// applied.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn rollout_outdated(
        &self,
        rollout: &RolloutRecord,
    ) -> Result<Option<ResourceRef>, Error> {
        if rollout.state != RolloutState::Watching {
            return Ok(None);
        }
        for RolloutChange { resource, base, .. } in &rollout.changes {
            let key = layout::record(resource.kind, &resource.id);
            let (_, row) = self.store.get(key.as_bytes(), None).await?;
            if row.map_or(Revision::ZERO, |row| row.mod_rev) != *base {
                return Ok(Some(resource.clone()));
            }
        }
        Ok(None)
    }
}
