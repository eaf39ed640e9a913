//! Nodes that are enrolled.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use tenantry_model::{NodeId, NodeName, RegionId, Timestamp};

/// `POST /api/v1/nodes`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrollNode {
    /// What its proxy subscribes as: `node` of its bootstrap config.
    pub name: NodeName,
    /// Where it stands: tenants of other regions never reach it. If not given, all do.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// For whoever runs the platform.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// From this instant on its token is refused; never, if not given.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// An enrolled node as it is returned: everything but the secret.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeBody {
    /// Never changes, and is not the secret.
    pub id: NodeId,
    /// What its proxy subscribes as.
    pub name: NodeName,
    /// Where it stands.
    pub region: Option<RegionId>,
    /// For whoever runs the platform.
    pub labels: BTreeMap<String, String>,
    /// The first characters of the secret, so that tokens can be told apart.
    pub hint: String,
    /// From this instant on its token is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// The revision that wrote it; also its `ETag`.
    pub revision: u64,
}

/// The only answer that ever holds a node's token.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledNode {
    /// The node.
    #[serde(flatten)]
    pub node: NodeBody,
    /// The token. It is kept nowhere and cannot be shown again: it is `null` where the request had been sent
    /// before under the same `Idempotency-Key`.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub secret: Option<String>,
}

impl fmt::Debug for EnrolledNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolledNode").field("node", &self.node).finish_non_exhaustive()
    }
}
