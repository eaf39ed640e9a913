//! Staged roll-outs: a change is released to some proxies first.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tenantry_model::{NodeName, RolloutId, Timestamp};

use crate::{ChangeAction, RefusedResource};

/// How far a roll-out has come.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStateBody {
    /// The chosen proxies have the change, and are watched.
    Watching,
    /// It is being applied for all.
    Releasing,
    /// It was applied for all.
    Released,
    /// No proxy has it any more.
    TakenBack,
}

impl RolloutStateBody {
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutRelease {
    /// The control plane.
    Automatic,
    /// An operator.
    Manual,
}

/// `POST /api/v1/rollouts`: who has it first (exactly one of `node`, `label` and `percentage`), and how it is watched.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRolloutQuery {
    /// The proxies of these names, with commas between them. All of them must be connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The connected proxies with all of these labels of their enrolments, written `name=value`, with commas between
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// So many of a hundred of the connected proxies, rounded up: 1 to 100. Which these are is drawn.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<u8>,
    /// For how many seconds it is watched: 1 to 86400; 300, if not given.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 86_400))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_seconds: Option<u32>,
    /// Who releases it then; the control plane (`automatic`), if not given.
    #[cfg_attr(feature = "openapi", param(inline))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<RolloutRelease>,
    /// By how many percentage points the share of answers 5xx may exceed that of the other proxies: 0 to 100; 1, if not
    /// given.
    #[cfg_attr(feature = "openapi", param(maximum = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_server_errors: Option<u8>,
    /// The same of requests that are denied (401, 403, 404, 413, 421 and 429 of the gateway's own): 0 to 100; 5, if not
    /// given.
    #[cfg_attr(feature = "openapi", param(maximum = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_denied: Option<u8>,
    /// From how many requests on shares are compared; 100, if not given.
    #[cfg_attr(feature = "openapi", param(minimum = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u32>,
}

/// How the proxies were chosen; one of these is there.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutChoice {
    /// By name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<BTreeSet<NodeName>>,
    /// By labels of their enrolments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// So many of a hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<u8>,
}

/// A roll-out.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutBody {
    /// Never changes.
    pub id: RolloutId,
    /// How far it has come.
    pub state: RolloutStateBody,
    /// Why it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who began it, as the audit log says it.
    pub started_by: String,
    /// When it began.
    pub started_at: Timestamp,
    /// The revision it began at.
    pub started_revision: u64,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// The proxies that have it first.
    pub nodes: BTreeSet<NodeName>,
    /// How these were chosen.
    pub chosen_by: RolloutChoice,
    /// For how long it is watched.
    pub watch_seconds: u32,
    /// Who releases it then.
    pub release: RolloutRelease,
    /// By how many percentage points the share of answers 5xx may exceed that of the others.
    pub max_server_errors: u8,
    /// By how many percentage points the share of requests that are denied may.
    pub max_denied: u8,
    /// From how many requests on shares are compared.
    pub min_requests: u32,
    /// How many resources it changes.
    pub changes_total: u64,
}

/// A resource that a roll-out changes.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutChangeBody {
    /// What happens to it.
    pub action: ChangeAction,
    /// What it is.
    pub kind: String,
    /// Its identifier.
    pub id: String,
}

/// Requests since a roll-out began.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRequests {
    /// How many there were.
    pub requests: u64,
    /// How many of them were answered 5xx.
    pub server_errors: u64,
    /// How many of them were denied.
    pub denied: u64,
}

/// What the answers of the chosen proxies are compared with.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutReference {
    /// With those of the other proxies in the same time.
    Others,
    /// With their own before.
    Before,
    /// With good ones: nobody has had enough requests.
    Nothing,
}

/// A proxy that has the change first.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutProxyBody {
    /// Its name.
    pub node: NodeName,
    /// Whether it follows the stream now.
    pub connected: bool,
    /// Whether the change is in force at it.
    pub enforces: bool,
    /// What it refuses of the change.
    pub refused: Vec<RefusedResource>,
    /// What it has answered since.
    pub since: RolloutRequests,
}

/// How a roll-out is going, while it is watched.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutWatchBody {
    /// Until when it is watched.
    pub until: Timestamp,
    /// Whether it was watched for long enough, and waits for an operator.
    pub ready: bool,
    /// The proxies that have it.
    pub proxies: Vec<RolloutProxyBody>,
    /// What all of them have answered since it began.
    pub chosen: RolloutRequests,
    /// What that is compared with.
    pub reference: RolloutRequests,
    /// Whose these are.
    pub reference_of: RolloutReference,
}

/// A roll-out with all that there is to say of it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutDetailBody {
    /// The roll-out.
    #[serde(flatten)]
    pub rollout: RolloutBody,
    /// What it changes.
    pub changes: Vec<RolloutChangeBody>,
    /// How it is going; none unless it is watched.
    pub watch: Option<RolloutWatchBody>,
}

/// `POST /api/v1/rollouts/{id}/take-back`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeBackRollout {
    /// Why, at most 1000 bytes; that an operator has done so, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
